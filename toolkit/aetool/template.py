"""A commented configuration file, made from the configuration's own classes and docstrings, so that it cannot drift."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

from aetool.config import Config
from aetool.config.run import SECTIONS

__all__ = ["config_template", "default_config"]

_WIDTH = 110
_ARGUMENT = re.compile(r"^ {4}(\w+(?:, \w+)*): ", re.MULTILINE)
_LITERAL = re.compile(r"``([^`]*)``")
_HEAD = """A configuration of aetool: every section and key, with what it means, its default and its choices.
Leave out what keeps its default. Lines behind "#:" are what else a section can be: put one of them in its place.

  aetool train THIS_FILE DATA -o model
"""


def default_config() -> Config:
    """Every default, and the first family."""
    return Config(_kinds("model")[0]())


def config_template(config: Config) -> str:
    """TOML that reads equal to ``config``; the keys of other kinds of a section stand below it as comments."""
    lines = [f"# {line}".rstrip() for line in _HEAD.splitlines()]
    for section in SECTIONS:
        lines += ["", *_section(section, getattr(config, section))]
    return "\n".join(lines) + "\n"


def _section(name: str, values: Any) -> Iterator[str]:
    """The section as it is; then, where it has several kinds, each of the others behind ``#:``."""
    yield f"[{name}]"
    yield from _keys(type(values), {name: getattr(values, name) for name in _defaults(type(values))})
    for kind in _kinds(name):
        if kind is not type(values):
            yield ""
            for line in [f"[{name}]", *_keys(kind, _defaults(kind))]:
                yield f"#: {line}".rstrip()


def _keys(kind: type[Any], values: Mapping[str, Any]) -> Iterator[str]:
    yield from _comment(_purpose(kind))
    hints, explanations = get_type_hints(kind), _explanations(kind)
    for name, default in _defaults(kind).items():
        yield ""
        if name in explanations:
            yield from _comment(f"{name}: {explanations[name]}")
        yield f"{name} = {_toml(values[name])}{_remark(values[name], default, hints[name])}"


def _remark(value: Any, default: Any, hint: Any) -> str:
    """``# default 50``, ``# default; or cosine``."""
    choices = [str(choice) for choice in get_args(hint) if choice != value] if get_origin(hint) is Literal else []
    if get_origin(hint) is Literal and not choices:
        return ""  # the name of the kind itself
    told = "default" if value == default else f"default {_toml(default)}"
    return f"  # {told}" + (f"; or {', '.join(choices)}" if choices else "")


def _defaults(kind: type[Any]) -> dict[str, Any]:
    """Key → default, in order. They need not make a valid section: some keys want the user's word."""
    return {
        item.name: item.default if item.default_factory is dataclasses.MISSING else item.default_factory()
        for item in dataclasses.fields(kind)
    }


def _kinds(section: str) -> list[type[Any]]:
    """The classes that a section may have."""
    hint = get_type_hints(Config)[section]
    kinds: tuple[type[Any], ...] = get_args(hint) or (hint,)
    return list(kinds)


def _purpose(kind: type[Any]) -> str:
    """What the docstring says before the keys, without the section's name at its start."""
    text = re.split(r"\n*^Args:$", _docstring(kind), flags=re.MULTILINE)[0]
    return re.sub(r"^\[\w+\][^:]*: ", "", text)


def _explanations(kind: type[Any]) -> dict[str, str]:
    """Key → what the docstrings of a class and those it is derived from say about it."""
    found: dict[str, str] = {}
    for ancestor in reversed(kind.__mro__):
        if dataclasses.is_dataclass(ancestor):
            _, _, arguments = _docstring(ancestor).partition("Args:\n")
            pieces = _ARGUMENT.split(re.split(r"\n\n(?! )", arguments)[0])[1:]
            for names, text in zip(pieces[::2], pieces[1::2], strict=True):
                found |= dict.fromkeys(names.split(", "), text)
    return found


def _docstring(kind: type[Any]) -> str:
    return inspect.cleandoc(kind.__dict__.get("__doc__") or "")


def _comment(text: str) -> Iterator[str]:
    """Lines behind ``#``, wrapped anew; indented ones (formulas) as they are."""
    plain = _LITERAL.sub(_as_toml, text).strip()
    for place, paragraph in enumerate(plain.split("\n\n")):
        formula = paragraph.startswith(" ")
        lines = paragraph.splitlines() if formula else textwrap.wrap(" ".join(paragraph.split()), _WIDTH)
        yield from (["#"] if place else [])
        yield from (f"# {line}" for line in lines)


def _as_toml(literal: re.Match[str]) -> str:
    """Tuples of Python are arrays of TOML."""
    text = literal[1]
    return f"[{text[1:-1].rstrip(',')}]" if text.startswith("(") and text.endswith(")") else text


def _toml(value: Any) -> str:
    """Texts, numbers, truth values and arrays of them are written alike in JSON and TOML; tables are not."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
