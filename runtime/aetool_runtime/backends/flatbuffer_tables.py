"""Just enough of FlatBuffers to look into a file: tables, vectors of tables, integers and strings.

Every offset is held against the buffer before it is followed. Source: flatbuffers.dev, "FlatBuffer Internals".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

__all__ = ["Table", "root_table"]

_MAX_ITEMS = 1 << 24


@dataclass(frozen=True)
class Table:
    """A table at a place of a buffer. Fields are named by their offset in the vtable: 4, 6, 8 … in the schema's order.

    All methods raise ``ValueError`` where an offset leads out of the buffer.
    """

    data: bytes
    at: int

    @property
    def vtable(self) -> int:
        """Where the table's list of fields lies."""
        return self.at - self._number("<i", self.at)

    def field(self, slot: int) -> int:
        """Where a field lies; 0 where it is left out."""
        length = self._number("<H", self.vtable)
        offset = self._number("<H", self.vtable + slot) if slot + 2 <= length else 0
        return self.at + offset if offset else 0

    def integer(self, slot: int, kind: str, default: int) -> int:
        """A number; ``kind`` as in ``struct``, such as ``<q``."""
        at = self.field(slot)
        return self._number(kind, at) if at else default

    def table(self, slot: int) -> Table | None:
        at = self.field(slot)
        return Table(self.data, self._follow(at)) if at else None

    def tables(self, slot: int) -> list[Table]:
        at = self.field(slot)
        if not at:
            return []
        vector = self._follow(at)
        count = self._number("<I", vector)
        if count > _MAX_ITEMS or vector + 4 + 4 * count > len(self.data):
            raise ValueError("a vector ends outside the file")
        return [Table(self.data, self._follow(vector + 4 + 4 * index)) for index in range(count)]

    def text(self, slot: int) -> bytes:
        at = self.field(slot)
        if not at:
            return b""
        place = self._follow(at)
        end = place + 4 + self._number("<I", place)
        if end > len(self.data):
            raise ValueError("a text ends outside the file")
        return self.data[place + 4 : end]

    def _follow(self, at: int) -> int:
        return at + self._number("<I", at)

    def _number(self, kind: str, at: int) -> int:
        if not 0 <= at <= len(self.data) - struct.calcsize(kind):
            raise ValueError("an offset leads out of the file")
        return int(struct.unpack_from(kind, self.data, at)[0])


def root_table(data: bytes, identifier: bytes) -> Table:
    """The first table of a buffer.

    Raises:
        ValueError: another kind of file.
    """
    if data[4:8] != identifier:
        raise ValueError(f"no {identifier.decode()} at byte 4")
    (at,) = struct.unpack_from("<I", data)
    return Table(data, at)
