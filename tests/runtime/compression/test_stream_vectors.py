"""The language-neutral vectors of compression, read by this runtime."""

from __future__ import annotations

import io
import json
import re
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests.vectors.coded import coded_rows
from tests.vectors.make import COMPRESSION
from tests.vectors.streams import stream_rows

from aetool_runtime import Decompressor
from aetool_runtime.bundle import open_bundle
from aetool_runtime.compression.fields import Cursor
from aetool_runtime.compression.framing.chunk import FIRST_CODEC
from aetool_runtime.errors import DamagedStreamError, TruncatedError, VersionError, WrongBundleError

REFUSALS = {
    "damaged": DamagedStreamError,
    "truncated": TruncatedError,
    "bundle": WrongBundleError,
    "version": VersionError,
}
CODED: list[dict[str, Any]] = json.loads((COMPRESSION / "coded.json").read_text("utf-8"))
STREAMS: list[dict[str, Any]] = json.loads((COMPRESSION / "streams.json").read_text("utf-8"))


@cache
def decompressor(bundle: str) -> Decompressor:
    return Decompressor(COMPRESSION / f"{bundle}.aepkg")


@pytest.mark.parametrize("vector", CODED, ids=[vector["name"] for vector in CODED])
def test_coded_values(vector: dict[str, Any]) -> None:
    coder = decompressor(vector["bundle"]).decoder.coder
    data = bytes.fromhex(vector["bytes"])
    found, end = coder.decode(memoryview(b"<" + data + b">"), 1, tuple(vector["shape"]), vector["model"])
    assert end == 1 + len(data)
    assert found.reshape(-1).tolist() == vector["values"]


@pytest.mark.parametrize("vector", STREAMS, ids=[vector["name"] for vector in STREAMS])
def test_stream(vector: dict[str, Any]) -> None:
    opened = decompressor(vector["bundle"])
    stream = bytes.fromhex(vector["stream"])
    if vector["verdict"] != "ok":
        with pytest.raises(REFUSALS[vector["verdict"]]) as refusal:
            opened.decompress(stream)
        assert type(refusal.value) is REFUSALS[vector["verdict"]]
        return
    found = opened.decompress(stream)
    assert (found.dtype.name, list(found.shape)) == (vector["dtype"], vector["shape"])
    assert found.astype(found.dtype.newbyteorder("<")).tobytes().hex() == vector["values"]


@pytest.mark.parametrize("vector", [v for v in STREAMS if "symbols" in v], ids=lambda vector: vector["name"])
def test_symbols_of_a_stream(vector: dict[str, Any]) -> None:
    opened = decompressor(vector["bundle"])
    reader = opened.reader(io.BytesIO(bytes.fromhex(vector["stream"])))
    (chunk,) = reader.chunks()
    runner = opened.decoder.runners[chunk.body.path - FIRST_CODEC]
    fields = Cursor(chunk.body.payload, "vector")
    quality = runner.codec.qualities[fields.u8()]
    assert quality is runner.codec.qualities[vector["quality"]]
    assert fields.varint() == vector.get("step", 0)
    shape = (chunk.body.count, *(runner.latent_shape(reader.header.shape) or ()))
    symbols, _ = opened.decoder.coder.decode(fields.data, fields.at, shape, quality.model)
    assert symbols.reshape(-1).tolist() == vector["symbols"]


def test_every_row_has_its_vector_and_names_are_unique() -> None:
    bundles = {name: open_bundle(COMPRESSION / f"{name}.aepkg") for name in ("bare", "fixed", "free")}
    made = {name: decompressor(name).compression for name in bundles}
    for vectors, rows in ((CODED, coded_rows(made)), (STREAMS, stream_rows(bundles))):
        names = [vector["name"] for vector in vectors]
        assert len(set(names)) == len(names)
        assert {row["name"] for row in rows} <= set(names)


def test_every_path_flag_and_type_has_a_vector() -> None:
    met: set[tuple[str, Any]] = set()
    for vector in STREAMS:
        if vector["verdict"] == "ok":
            header = decompressor(vector["bundle"]).reader(io.BytesIO(bytes.fromhex(vector["stream"]))).header
            met |= {("dtype", header.dtype), ("checked", header.checked), ("rows", header.rows)}
            met |= {("grid", header.grid is None), ("error", header.max_error is None)}
            met |= {("picture", header.picture is None), ("attachment", header.attachment != b"")}
            met |= {("path", chunk["path"]) for chunk in vector["chunks"]}
    assert {kind for kind, _ in met} == {"dtype", "checked", "rows", "grid", "error", "picture", "attachment", "path"}
    assert len(met) == 6 + 6 * 2 + 4


def test_the_vectors_are_where_other_languages_look() -> None:
    text = (Path(COMPRESSION).parent / "README.md").read_text("utf-8")
    assert "compression/streams.json" in text
    assert "compression/coded.json" in text


def test_the_specifications_example() -> None:
    text = (Path(COMPRESSION).parents[2] / "runtime" / "BITSTREAM.md").read_text("utf-8")
    lines = text.split("## 9. A whole stream")[1].splitlines()
    codes = [re.match(r"    ((?:[0-9a-f]{2} )*[0-9a-f]{2})    +\S", line) for line in lines]
    stream = bytes.fromhex(" ".join(code[1] for code in codes if code))
    rows = [[1000, -20], [1003, -20], [1005, -21], [1004, -21]]
    found = decompressor("bare").decompress(stream)
    assert found.tolist() == rows
    reader = decompressor("bare").reader(io.BytesIO(stream))
    (chunk,) = reader.chunks()
    assert (chunk.body.crc, chunk.body.path) == (zlib.crc32(found.astype("<i4").tobytes()), 1)
    coded = chunk.body.payload[9:]
    values, _ = decompressor("bare").decoder.coder.decode(memoryview(coded), 0, (1, 16, 1), 0)
    assert values.reshape(-1).tolist() == [1000, 3, 2, -1, 0, 0, 0, 0, -20, 0, -1, 0, 0, 0, 0, 0]
    assert "1000, 3, 2, −1, 0, 0, 0, 0" in text
