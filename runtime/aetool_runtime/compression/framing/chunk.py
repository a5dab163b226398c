"""A chunk: a count, a path, a payload, tied to its stream and its place by a crc32 (BITSTREAM.md, section 6)."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from aetool_runtime.compression.fields import Cursor
from aetool_runtime.compression.framing.header import MAX_VALUES, Header
from aetool_runtime.compression.varints import format_varint
from aetool_runtime.errors import DamagedStreamError
from aetool_runtime.specs import Array

__all__ = [
    "FIRST_CODEC", "MAX_BODY", "PREDICTIVE", "STORED", "Body", "check_content", "chunk_crc",
    "content_crc", "format_body", "parse_body",
]  # fmt: skip

MAX_BODY = 2**26
STORED, PREDICTIVE, FIRST_CODEC = 0, 1, 2


@dataclass(frozen=True)
class Body:
    """What a chunk holds.

    Args:
        count: of samples, or of rows.
        path: ``STORED``, ``PREDICTIVE``, or ``FIRST_CODEC`` and more.
        crc: of what it returns; ``None`` where the stream's chunks have none.
        payload: the path's.
    """

    count: int
    path: int
    crc: int | None
    payload: memoryview | bytes


def chunk_crc(header: bytes, number: int, body: bytes | memoryview) -> int:
    """The crc32 behind a chunk."""
    return zlib.crc32(body, zlib.crc32(number.to_bytes(4, "little"), zlib.crc32(header)))


def format_body(body: Body) -> bytes:
    """The bytes of a chunk's body."""
    crc = b"" if body.crc is None else body.crc.to_bytes(4, "little")
    return format_varint(body.count) + bytes([body.path]) + crc + bytes(body.payload)


def parse_body(data: memoryview, header: Header, codecs: int, where: str) -> Body:
    """Read a body whose crc32 was right.

    Args:
        codecs: how many the bundle has.

    Raises:
        DamagedStreamError: a count beyond what a chunk may hold, or an unknown path.
    """
    fields = Cursor(data, where)
    count = fields.varint()
    if header.samples_of(count) * header.sample_values > MAX_VALUES:
        fields.refuse(
            f"the chunk claims {count} {'rows' if header.rows else 'samples'}", f"at most {MAX_VALUES} values"
        )
    path = fields.u8()
    if path >= FIRST_CODEC + codecs:
        fields.refuse(f"the chunk has the path {path}", f"less than {FIRST_CODEC + codecs}")
    if not count and path != STORED:
        fields.refuse(f"the chunk is empty and has the path {path}", f"{STORED}")
    crc = fields.u32() if header.checked else None
    return Body(count, path, crc, data[fields.at :])


def check_content(content: Array, body: Body, where: str) -> None:
    """Hold what a chunk returns against the crc32 that it brings.

    Args:
        content: int32 n, or for a stored chunk of a float32 stream the values.

    Raises:
        DamagedStreamError: they differ, so that the decoder at hand does not compute what the compressor's did.
    """
    if body.crc is not None and content_crc(content) != body.crc:
        raise DamagedStreamError(
            "the decoded values are not the ones that were compressed",
            where=where,
            expected=f"the crc32 {body.crc:08x}",
            hint="this is a bug of the decoder: report it with the bundle and the stream",
        )


def content_crc(content: Array) -> int:
    """The crc32 of int32 or float32 values, little-endian."""
    return zlib.crc32(content.astype(content.dtype.newbyteorder("<"), copy=False).tobytes())
