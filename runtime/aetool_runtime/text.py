"""Text ↔ token ids, as a device does it: a list of entries and one rule, plain data with no code in it.

The rule: text is UTF-8 bytes, and the longest entry that fits is taken, from left to right. So the entries alone say
everything; there is no order of merges to keep, and twenty lines in any language do the same. Every single byte is an
entry, so that every text has ids and comes back from them as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aetool_runtime.errors import InputError
from aetool_runtime.specs import Array
from aetool_runtime.strict_json import Node

__all__ = ["BYTES", "Tokenizer", "parse_tokenizer", "tokenizer_json"]

BYTES = tuple(bytes([value]) for value in range(256))
MAX_ENTRIES, MAX_LENGTH = 1 << 20, 1 << 24
_RULE = "longest-match"
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True)
class Tokenizer:
    """Texts → ids [n, length] and back.

    Args:
        entries: id → the bytes that it stands for; all different, each single byte among them.
        pad: the id behind a text that is shorter than ``length``; the one entry that stands for nothing.
        length: ids per text; what is behind is cut off.

    Raises:
        ValueError: entries that break these rules.
    """

    entries: tuple[bytes, ...] = field(repr=False)
    pad: int
    length: int

    def __post_init__(self) -> None:
        if not 0 < self.length <= MAX_LENGTH:
            raise ValueError(f"a length of {self.length}")
        if not 0 <= self.pad < len(self.entries) or self.entries[self.pad] != b"":
            raise ValueError(f"the entry {self.pad} is to be the pad, and empty")
        if len(self.entries) > MAX_ENTRIES or len(set(self.entries)) != len(self.entries):
            raise ValueError("two entries are the same")
        if not set(BYTES) <= set(self.entries):
            raise ValueError("a single byte is missing among the entries")

    @cached_property
    def _ids(self) -> Mapping[bytes, int]:
        return {entry: index for index, entry in enumerate(self.entries) if entry}

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self.entries))

    def tokens(self, text: str) -> list[int]:
        """The ids of a whole text, however many there are.

        Raises:
            InputError: the text has half of a surrogate pair, which UTF-8 cannot hold.
        """
        try:
            rest = text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InputError(f"the text cannot be written as UTF-8 (character {error.start})") from error
        found, start = [], 0
        while start < len(rest):
            size = min(self._longest, len(rest) - start)
            while rest[start : start + size] not in self._ids:
                size -= 1
            found.append(self._ids[rest[start : start + size]])
            start += size
        return found

    def encode(self, texts: Iterable[str]) -> NDArray[np.int32]:
        """Ids [n, length] int32, padded or cut off at ``length``."""
        rows = [self.tokens(text)[: self.length] for text in texts]
        ids = np.full((len(rows), self.length), self.pad, np.int32)
        for row, found in zip(ids, rows, strict=True):
            row[: len(found)] = found
        return ids

    def decode(self, ids: Array) -> list[str]:
        """The texts of ids [n, any length]; a byte sequence that is no UTF-8 becomes U+FFFD.

        Raises:
            InputError: an id that there is no entry for.
        """
        ids = np.asarray(ids)
        if ids.ndim != 2 or ids.dtype.kind not in "iu":
            raise InputError(f"token ids are {ids.dtype} {list(ids.shape)}", expected="integers [texts, length]")
        if ids.size and not 0 <= ids.min() <= ids.max() < len(self.entries):
            raise InputError(
                f"token ids from {ids.min()} to {ids.max()}", expected=f"ids from 0 to {len(self.entries) - 1}"
            )
        return [b"".join(self.entries[index] for index in row).decode("utf-8", "replace") for row in ids]


def tokenizer_json(tokenizer: Tokenizer) -> dict[str, Any]:
    """As a JSON object: bytes in lower-case hexadecimal digits, "" for the pad."""
    return {
        "rule": _RULE,
        "length": tokenizer.length,
        "pad": tokenizer.pad,
        "entries": [entry.hex() for entry in tokenizer.entries],
    }


def parse_tokenizer(node: Node | None) -> Tokenizer | None:
    """Read what ``tokenizer_json`` wrote; ``None`` where there is none.

    Raises:
        ManifestError: a member is missing or wrong.
    """
    if node is None:
        return None
    node["rule"].one_of([_RULE])
    entries = tuple(_entry(entry) for entry in node["entries"].items())
    try:
        return Tokenizer(entries, node["pad"].natural(), node["length"].natural(1))
    except ValueError as error:
        node.refuse(f"has {error}", "all 256 single bytes, one empty entry for the pad, and no entry twice")


def _entry(node: Node) -> bytes:
    digits = node.text()
    if len(digits) % 2 or not _HEX.issuperset(digits):
        node.refuse(f"is {digits[:40]!r}", "pairs of lower-case hexadecimal digits")
    return bytes.fromhex(digits)
