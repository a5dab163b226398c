"""Strict JSON: every value knows its path, so that every refusal can name the member that broke the format."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any, NoReturn

from aetool_runtime.errors import ManifestError

__all__ = ["MAX_JSON_BYTES", "Node", "load"]

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # a terminal would obey some of them
MAX_JSON_BYTES = 16 * 1024 * 1024


def load(text: bytes, where: str) -> Node:
    """Parse UTF-8 JSON without twin members, NaN, Infinity, or floats beyond 64 bits.

    Raises:
        ManifestError: it is not that, or larger than ``MAX_JSON_BYTES``.
    """
    if len(text) > MAX_JSON_BYTES:
        raise ManifestError(f"is {len(text)} bytes", where=where, expected=f"at most {MAX_JSON_BYTES}")
    try:
        value = json.loads(
            text.decode("utf-8"), object_pairs_hook=_no_twins, parse_constant=_no_constant, parse_float=_finite
        )
        return Node(value, where)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"is not valid JSON ({error})", where=where, hint="export the model again") from error


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member appears twice in one object")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    """A member that nobody reads must be writable again as well."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is beyond 64-bit floats")
    return number


def _shown(value: Any) -> str:
    """A value in an error message: containers by their kind, for they may be large and deep."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    return json.dumps(value)[:60]


class Node:
    """A JSON value with its path. Each reading method refuses, by name, a value of another kind."""

    def __init__(self, value: Any, where: str, path: str = "") -> None:
        self.value = value
        self.where = where
        self.path = path

    def refuse(self, met: str, expected: str) -> NoReturn:
        raise ManifestError(
            f"the member {self.path or '(root)'} {met}",
            where=self.where,
            expected=expected,
            hint="export the model again",
        )

    def _typed(self, kind: type | tuple[type, ...], expected: str) -> Any:
        if not isinstance(self.value, kind) or isinstance(self.value, bool):
            self.refuse(f"is {_shown(self.value)}", expected)
        return self.value

    def __getitem__(self, key: str) -> Node:
        members = self._typed(dict, "an object")
        if key not in members:
            self.refuse(f"has no {key!r}", "that member")
        return Node(members[key], self.where, f"{self.path}.{key}".lstrip("."))

    def get(self, key: str) -> Node | None:
        """A member that may be absent or null."""
        return None if self._typed(dict, "an object").get(key) is None else self[key]

    def members(self) -> list[tuple[str, Node]]:
        """Names, which are texts as well, and values."""
        return [(Node(key, self.where, f"{self.path} (a name in it)").text(), self[key]) for key in self.keys()]

    def keys(self) -> Iterable[str]:
        """Names that have rules of their own."""
        return list(self._typed(dict, "an object"))

    def items(self) -> list[Node]:
        values = self._typed(list, "an array")
        return [Node(value, self.where, f"{self.path}[{i}]") for i, value in enumerate(values)]

    def text(self) -> str:
        text = str(self._typed(str, "a string"))
        if _UNPRINTABLE.search(text):
            self.refuse(f"is {_shown(text)}", "Unicode text, without control characters or half of a surrogate pair")
        return text

    def one_of(self, known: Iterable[str]) -> str:
        text = self.text()
        if text not in known:
            self.refuse(f"is {text[:60]!r}", "one of " + ", ".join(known))
        return text

    def number(self) -> float:
        try:
            number = float(self._typed((int, float), "a number"))
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            self.refuse("is not finite", "a finite number")
        return number

    def numbers(self) -> tuple[float, ...]:
        return tuple(node.number() for node in self.items())

    def integer(self) -> int:
        return int(self._typed(int, "an integer"))

    def natural(self, least: int = 0) -> int:
        value = self.integer()
        if not least <= value < 2**53:
            self.refuse(f"is {_shown(value)}", f"{least} or more, below 2^53")
        return value
