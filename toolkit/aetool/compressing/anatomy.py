"""What a stream is made of: its chunks, the paths they took, and what its bytes are spent on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, BinaryIO, cast

from aetool_runtime import Decompressor
from aetool_runtime.compression.decoding import ChunkDecoder
from aetool_runtime.compression.fields import Cursor, Source
from aetool_runtime.compression.framing.chunk import FIRST_CODEC, PREDICTIVE, STORED, Body
from aetool_runtime.compression.framing.header import Header, format_header, parse_header
from aetool_runtime.compression.framing.reader import Chunk, StreamReader

__all__ = ["Anatomy", "Part", "dissect"]

_ANY_CODEC = 254
_NAMES = {STORED: "stored", PREDICTIVE: "predictive"}


@dataclass(frozen=True)
class Part:
    """A chunk.

    Args:
        number: its place, from 0.
        start: samples (or rows) before it; count: in it.
        path: ``stored``, ``predictive``, or a codec's name or number.
        quality: of the codec; residual: the step that what it lacks is coded at, 0 for not at all.
        bytes: of the stream that it takes; sections: those of its payload, by what they hold.
    """

    number: int
    start: int | None
    count: int
    path: str
    quality: int | None
    residual: int | None
    bytes: int
    sections: Mapping[str, int]


@dataclass(frozen=True)
class Anatomy:
    """A whole stream, every chunk's crc32 checked.

    Args:
        header: the stream's.
        parts: its chunks.
        bytes: of all; sections: by what they hold.
        values: numbers that it stands for.
    """

    header: Header
    parts: tuple[Part, ...]
    bytes: int
    sections: Mapping[str, int]
    values: int

    @property
    def bits(self) -> float:
        """A value."""
        return 8 * self.bytes / max(1, self.values)

    def shares(self) -> dict[str, dict[str, float]]:
        """For each path its chunks, and its shares of values and bytes."""
        found: dict[str, dict[str, float]] = {}
        counts = sum(part.count for part in self.parts)
        for part in self.parts:
            share = found.setdefault(part.path, {"chunks": 0, "values": 0.0, "bytes": 0.0})
            share["chunks"] += 1
            share["values"] += part.count / max(1, counts)
            share["bytes"] += part.bytes / self.bytes
        return found


def dissect(file: BinaryIO, where: str, decompressor: Decompressor | None = None) -> Anatomy:
    """Read a stream's frame; values are not decoded.

    Args:
        file: a whole file that can be sought.
        decompressor: of its bundle, to name codecs, and to tell symbols from what they lack.

    Raises:
        DamagedStreamError, TruncatedError: anywhere.
        WrongBundleError: the bundle given is not the one.
        VersionError: a newer version.
    """
    reader = _reader(file, where, decompressor)
    header = reader.header
    parts = tuple(_part(chunk, header, decompressor) for chunk in reader.chunks())
    size = file.seek(0, 2)
    head = len(format_header(header))
    sections = Counter({"header": head - len(header.attachment), "attachment": len(header.attachment)})
    for part in parts:
        sections.update(part.sections)
    sections["frames"] = sum(part.bytes - sum(part.sections.values()) for part in parts)
    sections["end and index"] = size - head - sum(part.bytes for part in parts)
    values = sum(part.count for part in parts) * math.prod(header.item_shape)
    if header.picture is not None:
        values = math.prod((header.picture.height, header.picture.width, *header.shape[2:]))
    return Anatomy(header, parts, size, {name: count for name, count in sections.items() if count}, values)


def _reader(file: BinaryIO, where: str, decompressor: Decompressor | None) -> StreamReader:
    if decompressor is not None:
        return decompressor.reader(file, where=where)
    digest = parse_header(Source(file, where)).digest
    file.seek(0)
    frames_only = cast(ChunkDecoder, SimpleNamespace(runners=range(_ANY_CODEC)))  # asked for nothing but their number
    return StreamReader(file, frames_only, digest, where=where)


def _part(chunk: Chunk, header: Header, decompressor: Decompressor | None) -> Part:
    body = chunk.body
    basics: dict[str, Any] = {
        "number": chunk.number, "start": chunk.start, "count": body.count, "bytes": chunk.bytes
    }  # fmt: skip
    if body.path in _NAMES:
        name = _NAMES[body.path]
        what = "stored values" if body.path == STORED else "predicted values"
        return Part(**basics, path=name, quality=None, residual=None, sections={what: len(body.payload)})
    fields = Cursor(body.payload, f"chunk {chunk.number}")
    quality, step = fields.u8(), fields.varint()
    sections = _codec_sections(body, header, fields, quality, step, decompressor)
    return Part(**basics, path=_name(body.path, decompressor), quality=quality, residual=step, sections=sections)


def _name(path: int, decompressor: Decompressor | None) -> str:
    index = path - FIRST_CODEC
    return f"codec {index}" if decompressor is None else decompressor.compression.codecs[index].name


def _codec_sections(
    body: Body, header: Header, fields: Cursor, quality: int, step: int, decompressor: Decompressor | None
) -> dict[str, int]:
    left = len(body.payload) - fields.at
    if not step:
        return {"symbols": left}
    if decompressor is None:
        return {"symbols and residuals": left}
    runner = decompressor.decoder.runners[body.path - FIRST_CODEC]
    latent = runner.latent_shape(header.shape)
    if quality >= len(runner.codec.qualities) or latent is None:
        fields.refuse(f"has the quality {quality} and samples {list(header.shape)}", "what the codec has")
    shape = (header.samples_of(body.count), *latent)
    model = runner.codec.qualities[quality].model
    _, end = decompressor.decoder.coder.decode(fields.data, fields.at, shape, model)
    return {"symbols": end - fields.at, "residuals": len(body.payload) - end}
