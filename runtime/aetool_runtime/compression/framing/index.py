"""A stream's index: how much each chunk holds, and how long it is (BITSTREAM.md, section 6)."""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterator

from aetool_runtime.compression.fields import Fields
from aetool_runtime.compression.framing.chunk import MAX_BODY
from aetool_runtime.compression.varints import format_varint

__all__ = ["Index", "parse_index"]


class Index:
    """Counts and lengths of bodies, in the order of chunks; sixteen bytes of memory each."""

    def __init__(self) -> None:
        self.counts = array("Q")
        self.lengths = array("Q")

    def __len__(self) -> int:
        return len(self.counts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Index) and (self.counts, self.lengths) == (other.counts, other.lengths)

    __hash__ = None  # type: ignore[assignment]

    def add(self, count: int, length: int) -> None:
        self.counts.append(count)
        self.lengths.append(length)

    @property
    def total(self) -> int:
        return sum(self.counts)

    def places(self, first: int) -> Iterator[tuple[int, int]]:
        """For each chunk, where it begins and where what it returns begins; ``first``: the header's length."""
        at, start = first, 0
        for count, length in zip(self.counts, self.lengths, strict=True):
            yield at, start
            at += len(format_varint(length)) + length + 4
            start += count

    def end(self, first: int) -> int:
        """Where the last chunk ends."""
        return first + sum(len(format_varint(length)) + length + 4 for length in self.lengths)

    def format(self, header: bytes) -> bytes:
        """The index's bytes, crc32 and own length included."""
        pairs = (format_varint(c) + format_varint(n) for c, n in zip(self.counts, self.lengths, strict=True))
        data = format_varint(len(self)) + b"".join(pairs)
        data += zlib.crc32(header + data).to_bytes(4, "little")
        return data + (len(data) + 4).to_bytes(4, "little")


def parse_index(fields: Fields, header: bytes, most: int) -> Index:
    """Read an index.

    Args:
        most: how many chunks there can be.

    Raises:
        DamagedStreamError, TruncatedError: it breaks BITSTREAM.md.
    """
    index = Index()
    begin = fields.at
    number = fields.varint(1, most)
    for _ in range(number):
        index.add(fields.varint(), fields.varint(1, MAX_BODY))
    written = index.format(header)
    if fields.take(4) != written[-8:-4] or fields.u32() != fields.at - begin:
        fields.refuse("the index does not match its crc32 or its length")
    return index
