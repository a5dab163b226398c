"""From TOML to a configuration, strictly, and back."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

from aetool.config.balance import BalanceConfig
from aetool.config.compression import CompressionConfig
from aetool.config.data import DataConfig
from aetool.config.goal import CorruptionConfig, PenaltyConfig, TaskConfig
from aetool.config.latent import LATENTS
from aetool.config.model import FAMILIES
from aetool.config.run import SECTIONS, Config
from aetool.config.training import TrainingConfig
from aetool.data.packages import import_package
from aetool_runtime.errors import InputError, UsageError

__all__ = [
    "check_keys",
    "config_text",
    "convert_section",
    "load_config",
    "load_preset",
    "parse_config",
    "preset_names",
]

_PRESETS = Path(__file__).parents[1] / "presets"
_LARGEST = 2**31 - 1
_TUNE = "tune"  # may stand in the same file: read by ``aetool tune``, overlooked by all others


def preset_names() -> list[str]:
    """The presets that come with aetool."""
    return sorted(path.stem for path in _PRESETS.glob("*.toml"))


def load_preset(name: str) -> Config:
    """Read a preset.

    Raises:
        UsageError: no such preset; suggests the nearest.
    """
    if name not in preset_names():
        raise UsageError(
            f"there is no preset {name!r}", expected=", ".join(preset_names()), hint=_near(name, preset_names())
        )
    return load_config(_PRESETS / f"{name}.toml")


def load_config(path: Path) -> Config:
    """Read a configuration file.

    Raises:
        InputError: not there, or not TOML.
        UsageError: a key or value that is not known; names the path.
    """
    try:
        return parse_config(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise InputError(f"is not UTF-8 text (byte {error.start})", where=str(path), expected="TOML") from error


def parse_config(text: str, where: str = "configuration") -> Config:
    """Read a configuration from TOML text.

    Raises:
        InputError: not TOML.
        UsageError: a key or value that is not known; names the path.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"is not TOML ({error})", where=where) from error
    check_keys(table, [*SECTIONS, _TUNE], "", where)
    for name, section in table.items():
        if not isinstance(section, dict):
            raise UsageError(f"{name} is {section!r}", where=where, expected=f"a section [{name}]")
    sections = {name: table.get(name, {}) for name in SECTIONS}
    kinds: dict[str, type[Any]] = {
        "data": DataConfig,
        "model": _chosen(sections["model"], "model", "family", FAMILIES, None, where),
        "latent": _chosen(sections["latent"], "latent", "kind", LATENTS, "plain", where),
        "task": TaskConfig,
        "corruption": CorruptionConfig,
        "penalty": PenaltyConfig,
        "compression": CompressionConfig,
        "balance": BalanceConfig,
        "training": TrainingConfig,
    }
    return Config(**{name: convert_section(sections[name], kinds[name], name, where) for name in SECTIONS})


def _chosen(
    table: Mapping[str, Any], section: str, key: str, kinds: Mapping[str, type[Any]], default: str | None, where: str
) -> type[Any]:
    """The class that ``section.key`` names."""
    name = table.get(key, default)
    if isinstance(name, str) and name in kinds:
        return kinds[name]
    met = f"{section}.{key} is missing" if name is None else f"{section}.{key} is {name!r}"
    raise UsageError(met, where=where, expected=", ".join(kinds), hint=_near(str(name), kinds))


def convert_section(table: Mapping[str, Any], kind: type[Any], section: str, where: str) -> Any:
    """A table as a section of the configuration.

    Raises:
        UsageError: a key or value that is not known; names the path.
    """
    msgspec = import_package("msgspec", extra="train")
    check_keys(table, [item.name for item in dataclasses.fields(kind)], f"{section}.", where)
    _check_sizes(table, section, where)
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        place = path.strip(".`")
        if not place:  # a range: the message names the key
            raise UsageError(f"[{section}] {message}", where=where) from error
        raise _wrong_value(table, kind, section, place, message, where) from error


def _check_sizes(table: Mapping[str, Any], section: str, where: str) -> None:
    """No whole number of a configuration is larger than what counts a tensor's elements on every engine."""
    for key, value in table.items():
        for number in value if isinstance(value, list | tuple) else [value]:
            if isinstance(number, int) and abs(number) > _LARGEST:
                raise UsageError(f"{section}.{key} is {value}", where=where, expected=f"at most {_LARGEST}")


def _wrong_value(
    table: Mapping[str, Any], kind: type[Any], section: str, place: str, message: str, where: str
) -> UsageError:
    """``place`` is like ``epochs`` or ``split[0]``."""
    key, _, index = place.partition("[")
    value = table[key][int(index.rstrip("]"))] if index else table[key]
    choices = get_args(get_type_hints(kind)[key]) if message.startswith("Invalid enum") else ()
    return UsageError(
        f"{section}.{place} is {value!r}",
        where=where,
        expected=", ".join(choices) or message.removeprefix("Expected "),
        hint=_near(str(value), choices),
    )


def check_keys(table: Mapping[str, Any], known: list[str], prefix: str, where: str) -> None:
    """Refuse a key that is not known.

    Raises:
        UsageError: names it, and suggests the nearest.
    """
    for key in table:
        if key not in known:
            raise UsageError(
                f"{prefix}{key} is not known",
                where=where,
                expected=f"one of {', '.join(known)}",
                hint=_near(key, known),
            )


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"did you mean {near[0]!r}?" if near else ""


def config_text(config: Config) -> str:
    """The whole configuration as TOML, all defaults written out."""
    writer = import_package("tomli_w", extra="train")
    table = dataclasses.asdict(config)
    return str(writer.dumps({section: table[section] for section in SECTIONS}))
