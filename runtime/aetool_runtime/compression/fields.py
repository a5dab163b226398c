"""Reads the numbers that streams are written in, from memory or from a file (BITSTREAM.md, "Notation")."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from typing import BinaryIO, NoReturn

from aetool_runtime.compression.varints import parse_varint
from aetool_runtime.errors import DamagedStreamError, TruncatedError

__all__ = ["MAX_VARINT", "Cursor", "Fields", "Source"]

MAX_VARINT = 2**63 - 1
_VARINT_BYTES = 9
_PIECE = 1 << 20  # bytes: what is claimed to come is not made room for before it comes
_HINT = "take a whole copy of the stream"


class Fields(ABC):
    """Numbers one after the other.

    Attributes:
        where: what is read, for errors.
        at: bytes read so far.
    """

    def __init__(self, where: str, at: int = 0) -> None:
        self.where = where
        self.at = at

    @abstractmethod
    def take(self, count: int) -> memoryview:
        """The next bytes."""

    def refuse(self, met: str, expected: str = "") -> NoReturn:
        raise DamagedStreamError(met, where=f"{self.where}, byte {self.at}", expected=expected, hint=_HINT)

    def u8(self) -> int:
        return self.take(1)[0]

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def f64(self) -> float:
        return float(struct.unpack("<d", self.take(8))[0])

    def varint(self, least: int = 0, most: int = MAX_VARINT) -> int:
        """A varint, which must be as short as it goes and in the range."""
        digits = bytearray([self.u8()])
        while digits[-1] >= 0x80 and len(digits) < _VARINT_BYTES:
            digits.append(self.u8())
        try:
            value, _ = parse_varint(memoryview(digits), 0)
        except DamagedStreamError as error:
            self.refuse(error.what, error.expected)
        if not least <= value <= most:
            self.refuse(f"the number {value} is out of range", f"{least} to {most}")
        return value

    def signed(self) -> int:
        """The varint of a zigzag code."""
        code = self.varint()
        return code >> 1 if code % 2 == 0 else -(code >> 1) - 1


class Cursor(Fields):
    """Reads from bytes that are all there: what is not there is damage."""

    def __init__(self, data: bytes | memoryview, where: str, at: int = 0) -> None:
        super().__init__(where, at)
        self.data = memoryview(data)

    def take(self, count: int) -> memoryview:
        if count > len(self.data) - self.at:
            self.refuse(f"{count} bytes are claimed, {len(self.data) - self.at} are there")
        self.at += count
        return self.data[self.at - count : self.at]

    def end(self) -> None:
        if self.at != len(self.data):
            self.refuse(f"{len(self.data) - self.at} bytes are left over", "none")


class Source(Fields):
    """Reads from a file, which may be a pipe: what is not there is truncated.

    Attributes:
        kept: what was read since ``keep`` was called.
    """

    def __init__(self, file: BinaryIO, where: str, at: int = 0) -> None:
        super().__init__(where, at)
        self.file = file
        self.kept: bytearray | None = None
        self._ahead = b""

    def restart(self, at: int) -> None:
        """Go on at a place that the file was moved to."""
        self.at, self._ahead = at, b""

    def peek(self) -> int:
        """The next byte, which is read again."""
        if not self._ahead:
            self._ahead = bytes(self.take(1))
            self.at -= 1
        return self._ahead[0]

    def keep(self) -> None:
        self.kept = bytearray()

    def take(self, count: int) -> memoryview:
        data = bytearray(self._ahead[:count])
        self._ahead = self._ahead[count:]
        while len(data) < count:
            piece = self.file.read(min(count - len(data), _PIECE))
            if not piece:
                raise TruncatedError(
                    "the stream ends too early", where=f"{self.where}, byte {self.at + len(data)}", hint=_HINT
                )
            data += piece
        self.at += count
        if self.kept is not None:
            self.kept += data
        return memoryview(data)

    def end(self) -> None:
        if self.file.read(1):
            self.refuse("bytes follow the end of the stream", "none")
