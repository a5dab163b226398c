"""Framing: what is written is read again, in order, anywhere, from a pipe; what is damaged is refused or left out."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.runtime.compression.streams import SIGNALS

from aetool_runtime.bundle import Bundle
from aetool_runtime.compression.compressor import Compressor
from aetool_runtime.compression.decompressor import Decompressor
from aetool_runtime.compression.fields import Cursor
from aetool_runtime.compression.framing.chunk import chunk_crc
from aetool_runtime.compression.framing.header import Grid, Header, Picture, format_header, parse_header
from aetool_runtime.compression.framing.stream import StreamWriter
from aetool_runtime.errors import (
    AetoolError,
    DamagedStreamError,
    InputError,
    TruncatedError,
    UsageError,
    VersionError,
    WrongBundleError,
)

REFUSALS = (DamagedStreamError, TruncatedError, VersionError, WrongBundleError)
ROWS = np.stack([SIGNALS["a random walk"][:1003], SIGNALS["a clipped sine"][:1003]], axis=1)


class Pipe(io.RawIOBase):
    """Bytes that come a few at a time, and cannot be sought."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._data.read(min(size, 7) if size >= 0 else 7)


def stream_of(bundle: Bundle, *, index: bool = True, check: bool = True, rows: Any = ROWS) -> bytes:
    """A recording in chunks of 5 samples of 8 rows, the last one not full."""
    with Compressor(bundle, lossless=True, chunk_values=80, index=index, check=check) as compressor:
        return compressor.compress(rows, rows=True, attachment=b"note")


@pytest.fixture(scope="module")
def decompressor(bare_bundle: Bundle) -> Decompressor:
    return Decompressor(bare_bundle)


@pytest.fixture(scope="module")
def stream(bare_bundle: Bundle) -> bytes:
    return stream_of(bare_bundle)


# --- headers ---

HEADERS = {
    "the smallest": Header(b"12345678", "uint8", (1,), checked=False),
    "every flag but rows": Header(
        b"\0" * 8, "float32", (64, 64, 3), Grid(0.1, 7, 40), 0.25, picture=Picture(1000, 1, 3), attachment=b"x" * 300
    ),
    "rows": Header(b"12345678", "int16", (8, 2), max_error=4, rows=True),
    "rank 7": Header(b"12345678", "int32", (1, 2, 3, 4, 5, 6, 7)),
    "the largest sample": Header(b"12345678", "int8", (2**24,)),
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_are_read_again(name: str) -> None:
    data = format_header(HEADERS[name])
    fields = Cursor(data, "header")
    assert parse_header(fields, HEADERS[name].digest) == HEADERS[name]
    fields.end()


def test_a_header_byte_for_byte() -> None:
    data = format_header(HEADERS["rows"])
    assert data == b"\x93AEZ\x01" + b"12345678" + bytes([2 | 4 | 16, 3, 2, 8, 2, 4])


SMALL = format_header(Header(b"12345678", "float32", (4, 4), Grid(0.5, 1, 0), picture=Picture(8, 8, 1)))
HEADER_REFUSALS: dict[str, tuple[type[AetoolError], bytes]] = {
    "another magic": (DamagedStreamError, b"\x93AEY" + SMALL[4:]),
    "text": (DamagedStreamError, b"RIFF....WAVE"),
    "version 2": (VersionError, SMALL[:4] + b"\2" + SMALL[5:]),
    "another bundle": (WrongBundleError, SMALL[:5] + b"87654321" + SMALL[13:]),
    "an unknown flag": (VersionError, SMALL[:13] + b"\x40" + SMALL[14:]),
    "an unknown dtype": (DamagedStreamError, SMALL[:14] + b"\6" + SMALL[15:]),
    "rank 0": (DamagedStreamError, SMALL[:15] + b"\0" + SMALL[16:]),
    "rank 8": (DamagedStreamError, SMALL[:15] + b"\x08" + b"\1" * 8),
    "a size of 0": (DamagedStreamError, SMALL[:16] + b"\0" + SMALL[17:]),
    "2^40 values": (DamagedStreamError, SMALL[:16] + b"\x80\x80\x40\x80\x80\x40"),
    "a varint that is too long": (DamagedStreamError, SMALL[:16] + b"\x84\0" + SMALL[17:]),
    "a varint without end": (DamagedStreamError, SMALL[:16] + b"\xff" * 20),
    "a grid for integers": (DamagedStreamError, SMALL[:14] + b"\3" + SMALL[15:]),
    "a grid of 0": (DamagedStreamError, SMALL[:18] + struct.pack("<d", 0) + SMALL[26:]),
    "a grid of NaN": (DamagedStreamError, SMALL[:18] + struct.pack("<d", np.nan) + SMALL[26:]),
    "a multiplier of 0": (DamagedStreamError, SMALL[:26] + b"\0" + SMALL[27:]),
    "a shift of 41": (DamagedStreamError, SMALL[:27] + b"\x29" + SMALL[28:]),
    "rows that are tiles": (DamagedStreamError, SMALL[:13] + bytes([SMALL[13] | 4]) + SMALL[14:]),
    "halos that fill the tile": (DamagedStreamError, SMALL[:-1] + b"\2"),
    "an attachment of 2^20 + 1": (
        DamagedStreamError,
        SMALL[:13] + bytes([SMALL[13] | 32]) + SMALL[14:] + b"\x81\x80\x40",
    ),
}


@pytest.mark.parametrize("name", HEADER_REFUSALS)
def test_headers_that_are_refused(name: str) -> None:
    kind, data = HEADER_REFUSALS[name]
    with pytest.raises(kind):
        parse_header(Cursor(data, "header"), b"12345678")


# --- reading ---


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("check", [True, False])
def test_what_is_written_is_read(bare_bundle: Bundle, decompressor: Decompressor, index: bool, check: bool) -> None:
    data = stream_of(bare_bundle, index=index, check=check)
    file = io.BytesIO(b"before it" + data)
    file.seek(9)
    reader = decompressor.reader(file)
    assert reader.header.attachment == b"note"
    assert np.array_equal(reader.read_all(), ROWS)
    assert np.array_equal(reader.read_all(), ROWS)  # again
    assert np.array_equal(decompressor.reader(Pipe(data)).read_all(), ROWS)
    assert reader.header.checked == check


def test_a_pipe_is_read_once_and_not_sought(stream: bytes, decompressor: Decompressor) -> None:
    reader = decompressor.reader(Pipe(stream))
    assert sum(len(rows) for rows in reader) == len(ROWS)
    with pytest.raises(UsageError):
        list(reader)
    with pytest.raises(UsageError):
        reader.read(0, 1)
    with pytest.raises(UsageError):
        reader.count()


@settings(max_examples=60, deadline=None)
@given(st.integers(-1100, 1100), st.integers(-1100, 1100))
def test_random_access_is_slicing(readers: list[Any], start: int, stop: int) -> None:
    for reader in readers:
        assert np.array_equal(reader.read(start, stop), ROWS[start:stop])


@pytest.fixture(scope="module")
def readers(bare_bundle: Bundle, decompressor: Decompressor) -> list[Any]:
    """With an index, and without."""
    return [decompressor.reader(io.BytesIO(stream_of(bare_bundle, index=index))) for index in (True, False)]


def test_random_access_decodes_only_what_it_needs(stream: bytes, decompressor: Decompressor) -> None:
    broken = bytearray(stream)
    broken[len(stream) // 2] ^= 1
    reader = decompressor.reader(io.BytesIO(broken))
    assert reader.count() == len(ROWS)
    assert np.array_equal(reader.read(0, 40), ROWS[:40])
    assert np.array_equal(reader.read(990, 1003), ROWS[990:])
    with pytest.raises(DamagedStreamError):
        reader.read(0, 1003)


def test_an_empty_recording(bare_bundle: Bundle, decompressor: Decompressor) -> None:
    data = stream_of(bare_bundle, rows=ROWS[:0])
    assert decompressor.decompress(data).shape == (0, 2)
    assert decompressor.decompress(data).dtype == np.int16
    assert decompressor.reader(io.BytesIO(data)).count() == 0


# --- damage ---


@pytest.mark.parametrize("index", [True, False])
def test_every_flipped_bit_is_refused(bare_bundle: Bundle, decompressor: Decompressor, index: bool) -> None:
    data = stream_of(bare_bundle, index=index, rows=ROWS[:45])
    for place in range(8 * len(data)):
        broken = bytearray(data)
        broken[place // 8] ^= 1 << place % 8
        with pytest.raises(REFUSALS):
            decompressor.decompress(bytes(broken))


@pytest.mark.parametrize("index", [True, False])
def test_every_truncation_is_named_so(bare_bundle: Bundle, decompressor: Decompressor, index: bool) -> None:
    data = stream_of(bare_bundle, index=index, rows=ROWS[:45])
    for length in range(len(data)):
        with pytest.raises(TruncatedError):
            decompressor.decompress(data[:length])
        with pytest.raises(TruncatedError):
            decompressor.reader(io.BytesIO(data[:length])).read(0, 45)


@pytest.mark.parametrize("index", [True, False])
def test_anything_behind_the_end_is_refused(bare_bundle: Bundle, decompressor: Decompressor, index: bool) -> None:
    data = stream_of(bare_bundle, index=index, rows=ROWS[:45])
    for more in (b"\0", b"\1", b"garbage", data):
        with pytest.raises(DamagedStreamError):
            decompressor.decompress(data + more)
        with pytest.raises(DamagedStreamError):
            decompressor.reader(io.BytesIO(data + more)).read(0, 45)


def edited(data: bytes, edit: Callable[[list[bytes]], None]) -> bytes:
    """The stream with its bodies changed, every crc32 right again; no index."""
    head = data[: header_length(data)]
    bodies = bodies_of(data)
    edit(bodies)
    return head + b"".join(framed(head, number, body) for number, body in enumerate(bodies)) + b"\0\0"


def header_length(data: bytes) -> int:
    fields = Cursor(data, "header")
    parse_header(fields)
    return fields.at


def framed(head: bytes, number: int, body: bytes) -> bytes:
    length = len(body)
    prefix = bytes([length & 0x7F | 0x80, length >> 7]) if length > 127 else bytes([length])
    return prefix + body + chunk_crc(head, number, body).to_bytes(4, "little")


def bodies_of(data: bytes) -> list[bytes]:
    fields = Cursor(data, "stream", header_length(data))
    bodies = []
    while length := fields.varint():
        bodies.append(bytes(fields.take(length)))
        fields.u32()
    return bodies


EDITS: dict[str, Callable[[list[bytes]], Any]] = {
    "no chunk": lambda bodies: bodies.clear(),
    "a chunk without its content": lambda bodies: bodies.__setitem__(1, bodies[1][:6]),
    "an empty chunk among others": lambda bodies: bodies.insert(1, b"\0\0" + bytes(4)),
    "an unfilled sample before the end": lambda bodies: bodies.append(bodies[0]),
    "an unknown path": lambda bodies: bodies.__setitem__(1, bodies[1][:1] + b"\x02" + bodies[1][2:]),
    "a byte too many": lambda bodies: bodies.__setitem__(1, bodies[1] + b"\0"),
    "another crc32 of the content": lambda bodies: bodies.__setitem__(
        1, bodies[1][:2] + bytes([bodies[1][2] ^ 1]) + bodies[1][3:]
    ),
    "2^40 rows": lambda bodies: bodies.__setitem__(1, b"\x80\x80\x80\x80\x80\x20" + bodies[1][1:]),
    "2^24 rows and no more bytes": lambda bodies: bodies.__setitem__(1, b"\x80\x80\x80\x04" + bodies[1][1:]),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_stream_made_on_purpose_is_refused(stream: bytes, decompressor: Decompressor, name: str) -> None:
    assert np.array_equal(decompressor.decompress(edited(stream, lambda _: None)), ROWS)
    with pytest.raises(DamagedStreamError):
        decompressor.decompress(edited(stream, EDITS[name]))


def test_chunks_are_tied_to_their_place_and_stream(
    stream: bytes, bare_bundle: Bundle, decompressor: Decompressor
) -> None:
    head, bodies = stream[: header_length(stream)], bodies_of(stream)
    pieces = [framed(head, number, body) for number, body in enumerate(bodies)]
    whole = head + b"".join(pieces)
    assert np.array_equal(decompressor.decompress(whole + b"\0\0"), ROWS)
    for wrong in (
        [pieces[1], pieces[0], *pieces[2:]],
        pieces[1:],
        [*pieces[:3], *pieces[4:]],
        [pieces[0], *pieces],
    ):
        with pytest.raises(DamagedStreamError, match="crc32"):
            decompressor.decompress(head + b"".join(wrong) + b"\0\0")
    other = stream_of(bare_bundle, check=False)
    foreign = framed(other[: header_length(other)], 1, bodies[1])
    with pytest.raises(DamagedStreamError, match="crc32"):
        decompressor.decompress(head + pieces[0] + foreign + b"".join(pieces[2:]) + b"\0\0")


@pytest.mark.parametrize("missing", [0, -1])
def test_the_last_chunks_cannot_be_cut_off_unseen(stream: bytes, decompressor: Decompressor, missing: int) -> None:
    """With an index, a stream without some of its chunks does not match it."""
    head, bodies = stream[: header_length(stream)], bodies_of(stream)
    index = stream[len(head) + sum(len(framed(head, n, body)) for n, body in enumerate(bodies)) :]
    kept = bodies[:-1] if missing else bodies
    data = head + b"".join(framed(head, n, body) for n, body in enumerate(kept)) + index
    if missing:
        with pytest.raises(DamagedStreamError):
            decompressor.decompress(data)
    else:
        assert np.array_equal(decompressor.decompress(data), ROWS)


def test_an_index_of_other_chunks_is_not_followed(stream: bytes, decompressor: Decompressor) -> None:
    """Its crc32 is right and it fits the file, but the counts are exchanged: each chunk says its own."""
    head = stream[: header_length(stream)]
    bodies = bodies_of(stream)
    end = len(head) + sum(len(framed(head, n, body)) for n, body in enumerate(bodies))
    index = bytearray(stream[end + 1 : -9])
    at = index.index(40)
    index[at] = 32  # rows of the first chunk, eight fewer
    new = bytes(index) + zlib.crc32(head + bytes(index)).to_bytes(4, "little")
    new += (len(new) + 4).to_bytes(4, "little") + b"\1"
    with pytest.raises(DamagedStreamError):
        decompressor.reader(io.BytesIO(stream[: end + 1] + new)).read(0, 10)


# --- sizes that are only claimed ---

HUGE = {
    "a chunk of 2^26 bytes": b"\x80\x80\x80\x20",
    "a chunk of 2^62 bytes": b"\x80\x80\x80\x80\x80\x80\x80\x80\x40",
    "an index of 2^62 chunks": b"\0" + b"\x80\x80\x80\x80\x80\x80\x80\x80\x40",
}


@pytest.mark.parametrize("name", HUGE)
def test_claims_are_not_made_room_for(stream: bytes, decompressor: Decompressor, name: str) -> None:
    data = stream[: header_length(stream)] + HUGE[name]
    tracemalloc.start()
    began = time.monotonic()
    try:
        with pytest.raises(REFUSALS):
            decompressor.decompress(data)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
        assert time.monotonic() - began < 10  # generous: other processes run
    finally:
        tracemalloc.stop()


# --- salvage ---


def salvaged(decompressor: Decompressor, file: BinaryIO) -> tuple[np.ndarray, list[Any]]:
    reader = decompressor.reader(file, salvage=True)
    return reader.read_all(), reader.lost


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("as_file", [io.BytesIO, Pipe])
def test_a_damaged_chunk_is_left_out_and_named(
    bare_bundle: Bundle, decompressor: Decompressor, index: bool, as_file: Any
) -> None:
    data = bytearray(stream_of(bare_bundle, index=index))
    head, bodies = bytes(data[: header_length(data)]), bodies_of(bytes(data))
    at = len(head) + sum(len(framed(head, n, bodies[n])) for n in range(3)) + 10  # inside chunk 3
    data[at] ^= 0x10
    rows, lost = salvaged(decompressor, as_file(bytes(data)))
    assert np.array_equal(rows, np.concatenate([ROWS[:120], ROWS[160:]]))
    assert [(chunk.number, chunk.rest) for chunk in lost] == [(3, False)]
    assert lost[0].count == (40 if index and as_file is io.BytesIO else None)
    assert "crc32" in str(lost[0].reason)


def test_without_an_index_a_damaged_length_loses_the_rest(bare_bundle: Bundle, decompressor: Decompressor) -> None:
    data = bytearray(stream_of(bare_bundle, index=False))
    head, bodies = bytes(data[: header_length(data)]), bodies_of(bytes(data))
    data[len(head) + sum(len(framed(head, n, bodies[n])) for n in range(3))] ^= 0x40
    rows, lost = salvaged(decompressor, io.BytesIO(data))
    assert np.array_equal(rows, ROWS[:120])
    assert lost[-1].rest
    assert lost[0].number == 3


def test_with_an_index_a_damaged_length_loses_one_chunk(stream: bytes, decompressor: Decompressor) -> None:
    data = bytearray(stream)
    head, bodies = stream[: header_length(stream)], bodies_of(stream)
    data[len(head) + sum(len(framed(head, n, bodies[n])) for n in range(3))] ^= 0x40
    rows, lost = salvaged(decompressor, io.BytesIO(data))
    assert np.array_equal(rows, np.concatenate([ROWS[:120], ROWS[160:]]))
    assert [chunk.number for chunk in lost] == [3]


def test_a_truncated_stream_gives_what_is_whole(stream: bytes, decompressor: Decompressor) -> None:
    rows, lost = salvaged(decompressor, io.BytesIO(stream[: len(stream) // 2]))
    assert 0 < len(rows) < len(ROWS)
    assert np.array_equal(rows, ROWS[: len(rows)])
    assert isinstance(lost[-1].reason, TruncatedError)


def test_where_chunks_begin_is_told(stream: bytes, decompressor: Decompressor) -> None:
    chunks = list(decompressor.reader(io.BytesIO(stream)).chunks())
    assert [chunk.start for chunk in chunks] == list(range(0, 1003, 40))
    assert chunks[-1].body.count == 3


# --- pictures ---


def test_a_picture_has_its_tiles(free_bundle: Bundle) -> None:
    tiles = np.random.default_rng(0).integers(0, 255, (6, 8, 8, 1), dtype=np.uint8)
    decompressor = Decompressor(free_bundle)
    with Compressor(free_bundle, lossless=True) as compressor:
        for picture in (Picture(16, 24), Picture(8, 12, 2)):
            file = io.BytesIO()
            compressor.write(file, [tiles], picture=picture)
            assert np.array_equal(decompressor.decompress(file.getvalue()), tiles)
        with pytest.raises(InputError, match="tiles"):
            compressor.write(io.BytesIO(), [tiles[:5]], picture=Picture(16, 24))
        (chunk,) = decompressor.reader(io.BytesIO(compressor.compress(tiles))).chunks()
    for picture in (Picture(8, 8), Picture(17, 24), Picture(16, 24, 1)):
        file = io.BytesIO()
        header = Header(bytes.fromhex(free_bundle.digest)[:8], "uint8", (8, 8, 1), picture=picture)
        writer = StreamWriter(file, header)
        writer.add(chunk.body)
        writer.close()
        with pytest.raises(DamagedStreamError, match="tiles"):
            decompressor.decompress(file.getvalue())


def test_another_bundle_is_refused(stream: bytes, fixed_bundle: Bundle) -> None:
    with pytest.raises(WrongBundleError) as met:
        Decompressor(fixed_bundle).decompress(stream)
    assert met.value.hint


def test_headers_with_what_this_stream_has_not_are_tied_to_chunks(stream: bytes, decompressor: Decompressor) -> None:
    header = parse_header(Cursor(stream, "header"))
    rest = stream[header_length(stream) :]
    for other in (replace(header, dtype="uint16"), replace(header, shape=(4, 4)), replace(header, attachment=b"nope")):
        with pytest.raises(DamagedStreamError):
            decompressor.decompress(format_header(other) + rest)


class Trickle(io.RawIOBase):
    """A file without a buffer, which takes a few bytes at a time."""

    def __init__(self) -> None:
        self.taken = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.taken += data[:5]
        return min(5, len(data))


def test_a_file_that_takes_parts_gets_all(bare_bundle: Bundle) -> None:
    slow, quick = Trickle(), io.BytesIO()
    with Compressor(bare_bundle, lossless=True) as compressor:
        for file in (slow, quick):
            compressor.write(file, [ROWS], rows=True)
    assert bytes(slow.taken) == quick.getvalue()
