"""Writes a stream, to any binary file, a pipe too (BITSTREAM.md, section 6)."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np

from aetool_runtime.compression.framing.chunk import MAX_BODY, STORED, Body, chunk_crc, content_crc, format_body
from aetool_runtime.compression.framing.header import Header, format_header
from aetool_runtime.compression.framing.index import Index
from aetool_runtime.compression.varints import format_varint
from aetool_runtime.specs import Array

__all__ = ["StreamWriter"]


class StreamWriter:
    """Header, chunks, end. A stream that was not closed is truncated, as readers will say.

    Attributes:
        header: what was written first.
        bytes: written so far.
        index: counts and lengths of the chunks so far.
    """

    def __init__(self, file: BinaryIO, header: Header, *, index: bool = True) -> None:
        self.header = header
        self.index = Index()
        self.bytes = 0
        self._file = file
        self._with_index = index
        self._head = format_header(header)
        self._write(self._head)

    def add(self, body: Body) -> int:
        """Write a chunk; returns its bytes. Only the last may have a count that leaves a sample unfilled."""
        data = format_body(body)
        if len(data) > MAX_BODY:
            raise ValueError(f"a chunk of {len(data)} bytes")
        crc = chunk_crc(self._head, len(self.index), data)
        self.index.add(body.count, len(data))
        return self._write(format_varint(len(data)) + data + crc.to_bytes(4, "little"))

    def close(self) -> None:
        """Write the end. The file stays open."""
        if not len(self.index):
            nothing: Array = np.empty(0, np.int32)
            self.add(Body(0, STORED, content_crc(nothing) if self.header.checked else None, b""))
        self._write(b"\0" + self.index.format(self._head) + b"\1" if self._with_index else b"\0\0")

    def _write(self, data: bytes) -> int:
        rest = memoryview(data)
        while rest:  # files without a buffer may take a part only
            taken = self._file.write(rest)
            rest = rest[len(rest) if taken is None else taken :]
        self.bytes += len(data)
        return len(data)
