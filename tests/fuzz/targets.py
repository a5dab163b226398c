"""What is tried with bytes that nobody wrote: only named errors may come of them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

from aetool_runtime.bundle import open_bundle
from aetool_runtime.compression.decompressor import Decompressor
from aetool_runtime.compression.fields import Cursor
from aetool_runtime.compression.framing.chunk import chunk_crc
from aetool_runtime.compression.framing.header import Header, format_header
from aetool_runtime.compression.varints import format_varint
from aetool_runtime.errors import AetoolError, IntegrityError, VersionError

__all__ = ["NAMES", "TARGETS", "seeds"]

FOLDER = Path(__file__).parents[1] / "vectors" / "compression"
NAMES = ("bare", "fixed", "free")
MAX_VALUES = 1 << 14  # larger chunks are as well read, but not thousands of times a minute
SHAPES = {"bare": (8, 2), "fixed": (8, 2), "free": (8, 12, 1)}


@cache
def decompressor(name: str) -> Decompressor:
    return Decompressor(open_bundle(FOLDER / f"{name}.aepkg"))


def whole(data: bytes) -> None:
    """As a stream, strictly, anywhere, and with salvage."""
    opened = decompressor(NAMES[data[0] % len(NAMES)] if data else "bare")
    for use in (
        lambda: opened.decompress(data[1:]),
        lambda: opened.reader(io.BytesIO(data[1:])).read(3, 11),
        lambda: opened.reader(io.BytesIO(data[1:]), salvage=True).read_all(),
    ):
        with suppress(IntegrityError, VersionError):
            use()


def body(data: bytes) -> None:
    """As the body of a chunk whose crc32 is right."""
    if len(data) < 3:
        return
    name = NAMES[data[0] % len(NAMES)]
    opened = decompressor(name)
    dtype = ("int16", "uint8", "int32", "float32")[data[1] % 4]
    digest = bytes.fromhex(opened.bundle.digest)[:8]
    header = Header(digest, dtype, SHAPES[name], rows=bool(data[1] & 16), checked=False)
    head, content = format_header(header), data[2:]
    try:
        if header.samples_of(Cursor(content, "fuzz").varint()) * header.sample_values > MAX_VALUES:
            return
        crc = chunk_crc(head, 0, content).to_bytes(4, "little")
        opened.decompress(head + format_varint(len(content)) + content + crc + b"\0\0")
    except AetoolError as error:
        if not isinstance(error, IntegrityError):
            raise


TARGETS: dict[str, Callable[[bytes], None]] = {"whole": whole, "body": body}


def seeds() -> list[tuple[str, bytes]]:
    """Inputs to begin with: every vector, whole, and its bodies."""
    found = []
    for vector in json.loads((FOLDER / "streams.json").read_text("utf-8")):
        stream, number = bytes.fromhex(vector["stream"]), NAMES.index(vector["bundle"])
        found.append(("whole", bytes([number]) + stream))
        if vector["verdict"] == "ok":
            kinds = {"int16": 0, "uint8": 1, "int32": 2, "float32": 3}
            reader = decompressor(vector["bundle"]).reader(io.BytesIO(stream))
            for chunk in reader.chunks():
                start = bytes([number, kinds.get(vector["dtype"], 0) | (16 if reader.header.rows else 0)])
                content = format_varint(chunk.body.count) + bytes([chunk.body.path]) + bytes(chunk.body.payload)
                found.append(("body", start + content))
    return found
