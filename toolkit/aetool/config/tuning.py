"""[tune]: which values ``aetool tune`` may try, by the path of what they replace.

    [tune]
    "model.hidden" = {choices = [[32], [64], [64, 32]]}
    "model.latent" = {low = 4, high = 32, log = true}
    "training.learning_rate" = {low = 1e-4, high = 1e-2, log = true}

``aetool train`` reads the same file and overlooks the section. Only what leaves the validation loss's meaning alone may
be tried: a trial with another loss, normalization or penalty could not be compared with the others.
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, get_type_hints

from aetool.config.reading import check_keys, convert_section
from aetool.config.run import Config
from aetool.config.tune_defaults import default_table
from aetool_runtime.errors import UsageError

__all__ = [
    "Choices",
    "Dimension",
    "Range",
    "SearchSpace",
    "default_space",
    "load_space",
    "parse_space",
    "tunable_paths",
    "with_values",
]

_TUNABLE = ("model", "latent", "training")
_FIXED = {  # what the loss means, what a section is, and luck
    "model": {"family", "vocabulary", "build"},
    "latent": {"kind", "beta", "commitment", "weight"},
    "training": {"loss", "seed", "save_seconds", "strategy"},
}
_FORMS = "{choices = [...]} or {low = ..., high = ..., log = true}"


@dataclass(frozen=True)
class Choices:
    """One of these, in no order."""

    choices: tuple[Any, ...]


@dataclass(frozen=True)
class Range:
    """A number between both, ends included; whole where both are.

    Args:
        log: equal shares of trials for equal ratios.
    """

    low: float
    high: float
    log: bool = False


Dimension: TypeAlias = Choices | Range
SearchSpace: TypeAlias = Mapping[str, Dimension]


def tunable_paths(config: Config) -> list[str]:
    """What ``[tune]`` may name for a configuration, such as ``model.latent``."""
    return [
        f"{section}.{item.name}"
        for section in _TUNABLE
        for item in dataclasses.fields(getattr(config, section))
        if item.name not in _FIXED[section]
    ]


def default_space(config: Config) -> SearchSpace:
    """What is tried where there is no ``[tune]``: widths, kernel, activation, batch size and learning rate around the
    configuration's own. The latent's size stays: it is what the user asked for.
    """
    return parse_space(default_table(config), config, "default search space")


def load_space(path: Path, config: Config) -> SearchSpace | None:
    """``[tune]`` of a configuration file that was read before as ``config``; ``None`` where it has none.

    Raises:
        UsageError: see ``parse_space``.
    """
    table = tomllib.loads(path.read_text(encoding="utf-8")).get("tune")
    return None if table is None else parse_space(table, config, str(path))


def parse_space(table: Mapping[str, Any], config: Config, where: str) -> SearchSpace:
    """Read ``[tune]``; every value is tried on the configuration, so that a wrong one is told before the first trial.

    Raises:
        UsageError: a path, form or value that cannot be; names it.
    """
    paths = tunable_paths(config)
    flat = _flat(table)
    if not flat:
        raise UsageError("[tune] is empty", where=where, expected=f"paths such as {', '.join(paths[:3])}")
    for path in flat:
        _check_path(path, config, paths, where)
    return {path: _dimension(path, form, config, f"{where}, [tune] {path}") for path, form in flat.items()}


def with_values(config: Config, values: Mapping[str, Any], where: str = "") -> Config:
    """The configuration with other values, by path; checked like a file's.

    Raises:
        UsageError: a value that cannot be; names it.
    """
    sections: dict[str, dict[str, Any]] = {}
    for path, value in values.items():
        section, _, key = path.partition(".")
        table = sections.setdefault(section, dataclasses.asdict(getattr(config, section)))
        table[key] = value
    made = {
        section: convert_section(table, type(getattr(config, section)), section, where)
        for section, table in sections.items()
    }
    return dataclasses.replace(config, **made)


def _flat(table: Mapping[str, Any]) -> dict[str, Any]:
    """Without quotes TOML reads a path as a table in a table: both are taken."""
    flat: dict[str, Any] = {}
    for name, value in table.items():
        if name in _TUNABLE and isinstance(value, dict):
            flat |= {f"{name}.{key}": form for key, form in value.items()}
        else:
            flat[name] = value
    return flat


def _check_path(path: str, config: Config, paths: list[str], where: str) -> None:
    section, _, key = path.partition(".")
    fields = {item.name for item in dataclasses.fields(getattr(config, section))} if hasattr(config, section) else set()
    if key in fields and path not in paths:
        raise UsageError(
            f"tune.{path} cannot be tried: trials with different values could not be compared by their validation loss",
            where=where,
            expected=", ".join(paths),
        )
    check_keys({path: None}, paths, "tune.", where)


def _dimension(path: str, form: Any, config: Config, where: str) -> Dimension:
    if not isinstance(form, dict) or not ("choices" in form) ^ ("low" in form or "high" in form):
        raise UsageError(f"is {form!r}", where=where, expected=_FORMS)
    if "choices" in form:
        check_keys(form, ["choices"], "", where)
        return _choices(path, form["choices"], config, where)
    check_keys(form, ["low", "high", "log"], "", where)
    return _range(path, form, config, where)


def _choices(path: str, choices: Any, config: Config, where: str) -> Choices:
    if not isinstance(choices, list) or not choices:
        raise UsageError(f"choices is {choices!r}", where=where, expected="a list of values")
    for index, choice in enumerate(choices):
        with_values(config, {path: choice}, f"{where}, choices[{index}]")
        if choice in choices[:index]:
            raise UsageError(f"choices[{index}] is {choice!r}, which is there already", where=where)
    return Choices(tuple(tuple(choice) if isinstance(choice, list) else choice for choice in choices))


def _range(path: str, form: Mapping[str, Any], config: Config, where: str) -> Range:
    section, _, key = path.partition(".")
    kind = get_type_hints(type(getattr(config, section)))[key]
    if kind not in (int, float):
        raise UsageError(f"{path} is no number, so it has no range", where=where, expected="{choices = [...]}")
    for end in ("low", "high"):
        if end not in form:
            raise UsageError(f"{end} is missing", where=where, expected=_FORMS)
        with_values(config, {path: form[end]}, f"{where}, {end}")
    low, high, log = kind(form["low"]), kind(form["high"]), form.get("log", False)
    if not isinstance(log, bool):
        raise UsageError(f"log is {log!r}", where=where, expected="true or false")
    if not (math.isfinite(high) and low < high):
        raise UsageError(f"low is {low} and high is {high}", where=where, expected="low < high")
    if log and low <= 0:
        raise UsageError(f"low is {low} and log is true", where=where, expected="low > 0")
    return Range(low, high, log)
