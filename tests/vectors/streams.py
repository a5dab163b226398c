"""The rows of compression/streams.json: whole streams, what they hold, and what is refused."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from aetool_runtime.bundle import Bundle
from aetool_runtime.compression.codecs import scaling_of
from aetool_runtime.compression.decoding import ChunkDecoder
from aetool_runtime.compression.fields import Cursor
from aetool_runtime.compression.framing.chunk import FIRST_CODEC, PREDICTIVE, STORED, Body, chunk_crc, content_crc
from aetool_runtime.compression.framing.header import Grid, Header, Picture, format_header, parse_header
from aetool_runtime.compression.framing.stream import StreamWriter
from aetool_runtime.compression.prediction import predictive
from aetool_runtime.compression.prediction.predictors import Predictor
from aetool_runtime.compression.reading import read_compression
from aetool_runtime.compression.varints import format_varint

__all__ = ["stream_rows"]

NONE = np.empty(0, np.int64)
WAVE = np.rint(900 * np.sin(np.arange(640) * 0.07) + np.random.default_rng(0).normal(0, 5, 640)).astype(np.int64)


class Maker:
    """Writes streams of one bundle, chunk by chunk."""

    def __init__(self, name: str, bundle: Bundle) -> None:
        self.name = name
        self.bundle = bundle
        self.made = read_compression(bundle)
        self.decoder = ChunkDecoder(self.made)
        self.digest = bytes.fromhex(bundle.digest)[:8]

    def header(self, dtype: str = "int16", shape: tuple[int, ...] = (8, 2), **members: Any) -> Header:
        return Header(self.digest, dtype, shape, **members)

    def stored(self, header: Header, values: np.ndarray, count: int | None = None) -> Body:
        kind = np.dtype(header.dtype).newbyteorder("<")
        count = count or len(values) * (header.shape[0] if header.rows else 1)
        return self._with_crc(header, Body(count, STORED, None, values.astype(kind).tobytes()))

    def predictive(self, header: Header, values: np.ndarray, form: predictive.Form, count: int | None = None) -> Body:
        payload = predictive.encode(values.astype(np.int64), form, self.decoder.coder, self.made.residual)
        assert payload is not None
        count = count or len(values) * (header.shape[0] if header.rows else 1)
        return self._with_crc(header, Body(count, PREDICTIVE, None, payload))

    def codec(
        self,
        header: Header,
        index: int,
        quality: int,
        symbols: np.ndarray,
        step: int = 0,
        left: np.ndarray | None = None,
    ) -> Body:
        model = self.made.codecs[index].qualities[quality].model
        payload = bytes([quality]) + format_varint(step) + self.decoder.coder.encode(symbols.astype(np.int32), model)
        if left is not None:
            payload += self.decoder.coder.encode(left.reshape(1, -1, 1).astype(np.int32), self.made.residual)
        return self._with_crc(header, Body(len(symbols), FIRST_CODEC + index, None, payload))

    def _with_crc(self, header: Header, body: Body) -> Body:
        if not header.checked:
            return body
        values = self.decoder.decode(replace(header, checked=False), body, "vector")
        if header.is_float and body.path != STORED:
            values = np.rint(values / scaling_of(header, self.made).grid)
        kind = np.float32 if header.is_float and body.path == STORED else np.int32
        return replace(body, crc=content_crc(values.astype(kind)))

    def stream(self, header: Header, bodies: list[Body], *, index: bool = True) -> bytes:
        file = io.BytesIO()
        writer = StreamWriter(file, header, index=index)
        for body in bodies:
            writer.add(body)
        writer.close()
        return file.getvalue()

    def row(self, name: str, header: Header, bodies: list[Body], *, index: bool = True, **told: Any) -> dict[str, Any]:
        """A stream that is read: its values, its chunks, and what more is told of them."""
        stream = self.stream(header, bodies, index=index)
        values = [self.decoder.decode(header, body, name) for body in bodies]
        whole = np.concatenate(values) if values else np.empty((0, *header.item_shape), header.dtype)
        return {
            "name": name,
            "bundle": self.name,
            "verdict": "ok",
            "stream": stream.hex(),
            "dtype": header.dtype,
            "shape": list(whole.shape),
            "values": whole.astype(whole.dtype.newbyteorder("<")).tobytes().hex(),
            "chunks": [{"count": body.count, "path": body.path} for body in bodies],
            **told,
        }

    def refused(self, name: str, verdict: str, stream: bytes) -> dict[str, Any]:
        return {"name": name, "bundle": self.name, "verdict": verdict, "stream": stream.hex()}


def stream_rows(bundles: Mapping[str, Bundle]) -> Iterator[dict[str, Any]]:
    """Every row; a new one must have a new name."""
    makers = {name: Maker(name, bundle) for name, bundle in bundles.items()}
    yield from _stored(makers["bare"])
    yield from _forms(makers["bare"])
    yield from _headers(makers["bare"])
    yield from _codecs(makers["fixed"])
    yield from _pictures(makers["free"])
    yield from _refusals(makers["bare"], makers["fixed"])


# --- read ---


def _stored(make: Maker) -> Iterator[dict[str, Any]]:
    for dtype in ("uint8", "int8", "uint16", "int16", "int32"):
        limits = np.iinfo(dtype)
        values = np.resize(np.array([limits.min, limits.max, 0, 1, 77], dtype), (2, 8, 2))
        header = make.header(dtype)
        yield make.row(f"stored, {dtype}", header, [make.stored(header, values)])
    floats = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-45, 3.4e38, 0.1, -2], "<f4")
    header = make.header("float32")
    yield make.row("stored, float32", header, [make.stored(header, np.resize(floats, (1, 8, 2)))])


FORM = predictive.Form(1, 1, 4, (Predictor(),), NONE)
FORMS: dict[str, tuple[predictive.Form, np.ndarray]] = {
    "no prediction": (FORM, WAVE),
    "order 1": (replace(FORM, predictors=(Predictor((1,)),)), WAVE),
    "order 2, shifted": (replace(FORM, block=8, predictors=(Predictor((29000, -13000), 14),)), WAVE),
    "order 32": (replace(FORM, block=6, predictors=(Predictor(tuple(range(-16, 16)), 9),)), WAVE),
    "a block longer than all": (replace(FORM, block=16, predictors=(Predictor((2, -1)),)), WAVE),
    "one for each series": (replace(FORM, predictors=(Predictor((1,)), Predictor((3, -3, 1)))), WAVE),
    "all dimensions are time": (replace(FORM, time=2, predictors=(Predictor((0, 1)),)), WAVE),
    "a step": (replace(FORM, step=7, predictors=(Predictor((1,)),)), WAVE // 7),
    "a step that clamps": (replace(FORM, step=60_001), np.array([1, -1, 0, 0] * 160)),
    "an even step": (replace(FORM, step=16), WAVE // 16),
    "a palette": (replace(FORM, palette=np.array([-9999, -1, 0, 10_000])), np.arange(640) * 7 % 4),
    "a lag": (replace(FORM, lag=20, predictors=(Predictor((1,)),)), np.resize(WAVE[:40], 640)),
    "a table of its own": (FORM, np.random.default_rng(1).choice([-40, 40], 640)),
    "all extras": (
        replace(FORM, step=3, palette=np.array([-20, 5, 1000]), lag=3, block=12),
        np.resize(np.random.default_rng(2).integers(0, 3, 6), 640),
    ),
}


def _forms(make: Maker) -> Iterator[dict[str, Any]]:
    header = make.header()
    for name, (form, values) in FORMS.items():
        yield make.row(f"predictive, {name}", header, [make.predictive(header, values.reshape(-1, 8, 2), form)])
    wide = make.header("int32")
    large = np.array([2**31 - 1, 0, -(2**31) + 1, 0] * 8).reshape(-1, 8, 2)
    yield make.row("predictive, the largest values", wide, [make.predictive(wide, large, replace(FORM, block=16))])


def _headers(make: Maker) -> Iterator[dict[str, Any]]:
    plain = make.header()
    samples = WAVE.reshape(-1, 8, 2)
    pieces = [samples[:3], samples[3:4], samples[4:20], samples[20:]]
    for name, header, index in (
        ("four chunks", plain, True),
        ("no index", plain, False),
        ("chunks without crc32 of their content", replace(plain, checked=False), True),
        ("a largest error", replace(plain, max_error=300), True),
        ("an attachment", replace(plain, attachment=b"\0text\xff"), True),
    ):
        bodies = [make.predictive(header, piece, FORMS["order 1"][0]) for piece in pieces]
        yield make.row(name, header, bodies, index=index)
    rows = replace(plain, rows=True)
    bodies = [make.predictive(rows, samples[:5], FORM), make.predictive(rows, samples[5:8], FORM, count=19)]
    yield make.row("rows, the last sample not full", rows, bodies)
    yield make.row("rows, stored", rows, [make.stored(rows, samples[:2], count=9)])
    empty = Body(0, STORED, zlib.crc32(b""), b"")
    yield make.row("nothing", plain, [empty])
    yield make.row("no rows", rows, [empty], index=False)
    for name, grid in (("the bundle's grid", None), ("a grid of its own", Grid(0.1, 1_310_720, 20))):
        header = make.header("float32", grid=grid, max_error=0.05 if grid else None)
        yield make.row(f"float32, {name}", header, [make.predictive(header, samples, FORMS["order 1"][0])])
    other = make.header("uint8", (3, 4, 2))
    values = (samples[:3, :4] % 7).reshape(1, 3, 4, 2)
    yield make.row("samples of another shape", other, [make.predictive(other, values, replace(FORM, time=2))])


def _codecs(make: Maker) -> Iterator[dict[str, Any]]:
    rng = np.random.default_rng(5)
    for index, codec in enumerate(make.made.codecs):
        for quality in range(len(codec.qualities)):
            symbols = rng.integers(-6, 7, (9, *codec.latent_shape))
            told = {"quality": quality, "symbols": symbols.reshape(-1).tolist()}
            for dtype in ("int16", "uint8", "float32"):
                header = make.header(dtype)
                body = make.codec(header, index, quality, symbols)
                yield make.row(f"{codec.name}, quality {quality}, {dtype}", header, [body], **told)
            for step in (1, 9):
                header = make.header(max_error=step // 2)
                left = rng.integers(-4, 5, (9, 8, 2))
                body = make.codec(header, index, quality, symbols, step, left)
                told_too = {**told, "step": step, "residual": left.reshape(-1).tolist()}
                name = f"{codec.name}, quality {quality}, residual in steps of {step}"
                yield make.row(name, header, [body], **told_too)
    header = make.header("float32", grid=Grid(0.01, 1_638_400, 17))
    far = np.resize(np.array([2**20, -(2**20), 3, 0]), (2, *make.made.codecs[0].latent_shape))
    yield make.row("far symbols, another grid", header, [make.codec(header, 0, 0, far)])


def _pictures(make: Maker) -> Iterator[dict[str, Any]]:
    rng = np.random.default_rng(6)
    for index, codec in enumerate(make.made.codecs):
        factor = codec.downsampling[0]
        symbols = rng.integers(-2, 3, (6, 8 // factor, 12 // factor, 2))
        header = make.header("uint8", (8, 12, 1), picture=Picture(9, 20, 1))  # cores of 6 × 10
        told = {"quality": 0, "symbols": symbols[:4].reshape(-1).tolist()}
        yield make.row(f"a picture, {codec.name}", header, [make.codec(header, index, 0, symbols[:4])], **told)
        header = make.header("uint8", (8, 12, 1))
        bodies = [make.codec(header, index, 0, symbols[:2]), make.codec(header, index, 0, symbols[2:])]
        yield make.row(f"tiles in two chunks, {codec.name}", header, bodies)


# --- refused ---


def _refusals(make: Maker, other: Maker) -> Iterator[dict[str, Any]]:
    header = make.header(rows=True)
    samples = WAVE[:128].reshape(-1, 8, 2)
    bodies = [make.predictive(header, piece, FORMS["order 1"][0]) for piece in (samples[:3], samples[3:])]
    whole, plain = make.stream(header, bodies), make.stream(header, bodies, index=False)
    head = format_header(header)
    yield other.refused("made with another bundle", "bundle", whole)
    yield make.refused("an empty file", "truncated", b"")
    yield make.refused("text", "damaged", b"time,value\n0,1\n")
    places = {"magic": 2, "dtype": 14, "body": len(head) + 9, "index": len(whole) - 12, "end": len(whole) - 1}
    for name, place in places.items():
        yield make.refused(f"a flipped bit, {name}", "damaged", _flipped(whole, place))
    yield make.refused("a flipped bit, digest", "bundle", _flipped(whole, 7))
    yield make.refused("version 2", "version", whole[:4] + b"\2" + whole[5:])
    yield make.refused("an unknown flag", "version", whole[:13] + bytes([whole[13] | 64]) + whole[14:])
    lengths = {"magic": 3, "digest": 12, "header": len(head), "a length": len(head) + 1, "a body": len(head) + 30}
    for name, length in {**lengths, "the index": len(whole) - 20, "the end": len(whole) - 1}.items():
        yield make.refused(f"cut off in {name}", "truncated", whole[:length])
    yield make.refused("without the last byte, no index", "truncated", plain[:-1])
    for name, more in (("a byte", b"\0"), ("itself", whole)):
        yield make.refused(f"{name} behind the end", "damaged", whole + more)
        yield make.refused(f"{name} behind the end, no index", "damaged", plain + more)
    yield make.refused("2^40 values a sample, in 22 bytes", "damaged", head[:16] + b"\x80\x80\x40\x80\x80\x40")
    yield make.refused("a chunk that claims 2^26 bytes", "truncated", head + b"\x80\x80\x80\x20")
    yield make.refused("a chunk that claims 2^62 bytes", "damaged", head + b"\x80\x80\x80\x80\x80\x80\x80\x80\x40")
    for name, edited in _edits(header, [_body_bytes(plain, i) for i in range(2)]).items():
        yield make.refused(name, "damaged", edited)


def _edits(header: Header, bodies: list[bytes]) -> dict[str, bytes]:
    """Streams whose crc32 are right, but that no compressor writes."""
    head, (first, second) = format_header(header), bodies
    long = b"\x80\x80\x80\x80\x80\x20"
    changes = {
        "no chunk": [],
        "chunks exchanged": None,
        "an empty chunk among others": [b"\0\0" + bytes(4), second],
        "nothing, predicted": [b"\0" + first[1:]],
        "a byte left over": [first + b"\0", second],
        "an unfilled sample before the end": [b"\x13" + first[1:], second],
        "an unknown path": [first[:1] + b"\x10" + first[2:], second],
        "another crc32 of the content": [first[:2] + bytes([first[2] ^ 1]) + first[3:], second],
        "2^40 rows": [long + first[1:], second],
        "more rows than were coded": [b"\x20" + first[1:], second],
        "a payload cut off": [first[:9], second],
        "a step of 0": [first[:6] + b"\0" + first[7:], second],
        "an unknown extra": [first[:7] + b"\x08" + first[8:], second],
        "a predictor of order 33": [first[:11] + b"\x21" + first[12:], second],
    }
    made = {name: head + _framed(head, parts) + b"\0\0" for name, parts in changes.items() if parts is not None}
    made["chunks exchanged"] = head + _framed(head, [second], 1) + _framed(head, [first]) + b"\0\0"
    return made


def _framed(head: bytes, bodies: list[bytes], number: int = 0) -> bytes:
    return b"".join(
        format_varint(len(body)) + body + chunk_crc(head, number + i, body).to_bytes(4, "little")
        for i, body in enumerate(bodies)
    )


def _body_bytes(stream: bytes, number: int) -> bytes:
    fields = Cursor(stream, "vector")
    parse_header(fields)
    for _ in range(number):
        fields.take(fields.varint() + 4)
    return bytes(fields.take(fields.varint()))


def _flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :]
