"""Reads streams: forward from any file, at any place of a file that can be sought, around damage when asked to."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from aetool_runtime.compression.decoding import ChunkDecoder
from aetool_runtime.compression.fields import Source
from aetool_runtime.compression.framing.chunk import MAX_BODY, Body, chunk_crc, parse_body
from aetool_runtime.compression.framing.header import Header, parse_header
from aetool_runtime.compression.framing.index import Index, parse_index
from aetool_runtime.errors import IntegrityError, UsageError
from aetool_runtime.specs import Array

__all__ = ["Chunk", "LostChunk", "StreamReader"]

_MIN_CHUNK = 7  # bytes: length, count, path, crc32


@dataclass(frozen=True)
class Chunk:
    """A chunk whose crc32 was right.

    Args:
        number: its place, from 0.
        start: samples (or rows) before it; ``None`` behind damage that hides how many were lost.
        body: what it holds.
        bytes: of the stream that it takes.
    """

    number: int
    start: int | None
    body: Body
    bytes: int


@dataclass(frozen=True)
class LostChunk:
    """A chunk that was left out.

    Args:
        number: its place; those behind it are lost as well where ``rest``.
        count: the samples (or rows) that it held; ``None`` where that is not known.
        reason: the error.
    """

    number: int
    count: int | None
    reason: IntegrityError
    rest: bool = False


class StreamReader:
    """A stream, opened with the bundle that made it.

    Iterate over it for arrays [count, …] in order, each returned only after its checks, or ``read`` any range of a file
    that can be sought. One thread at a time; several readers may share a decoder.

    Attributes:
        header: the stream's.
        lost: with ``salvage``, the damaged chunks met so far.
    """

    def __init__(
        self, file: BinaryIO, decoder: ChunkDecoder, digest: bytes, *, where: str = "stream", salvage: bool = False
    ) -> None:
        self.lost: list[LostChunk] = []
        self._file = file
        self._decoder = decoder
        self._where = where
        self._salvage = salvage
        self._seekable = file.seekable()
        self._begin = file.tell() if self._seekable else 0
        self._source = Source(file, where)
        self._source.keep()
        self.header: Header = parse_header(self._source, digest)
        self._head = bytes(self._source.kept or b"")
        self._source.kept = None
        self._index: Index | None = None
        self._used = False

    # --- all of it, in order ---

    def __iter__(self) -> Iterator[Array]:
        """The chunks' arrays [count, …] in order.

        Raises:
            DamagedStreamError, TruncatedError: at the chunk that is so; with ``salvage`` it is left out and listed.
            UsageError: a pipe was read before.
        """
        for chunk in self.chunks():
            try:
                yield self._decoder.decode(self.header, chunk.body, self._at(chunk.number))
            except IntegrityError as error:
                self._lose(LostChunk(chunk.number, chunk.body.count, error))

    def chunks(self) -> Iterator[Chunk]:
        """The chunks in order, framing and crc32 checked, content not decoded; see ``__iter__``."""
        self.lost.clear()
        if self._seekable:
            index = self._tail_index() if self._salvage else None
            if index is not None:
                yield from self._by_index(index)
                return
            self._seek(len(self._head))
        elif self._used:
            raise UsageError("the pipe was read already", where=self._where, hint="write the stream to a file first")
        self._used = True
        yield from self._forward(Index())

    def read_all(self) -> Array:
        """All samples (or rows)."""
        parts = list(self)
        return np.concatenate(parts) if parts else self._nothing()

    def _forward(self, met: Index) -> Iterator[Chunk]:
        """The chunks from where the file is, and the end; ``met`` is filled with what there was."""
        start: int | None = 0
        while True:
            number, begin = len(met), self._source.at
            try:
                length = self._source.varint(0, MAX_BODY)
                if length == 0:
                    self._finish(met)
                    return
                data, crc = self._source.take(length), self._source.u32()
            except IntegrityError as error:
                self._lose(LostChunk(number, None, error, rest=True))
                return
            try:
                body = self._checked(data, crc, number, met)
            except IntegrityError as error:
                self._lose(LostChunk(number, None, error))
                met.add(0, length)
                start = None
                continue
            met.add(body.count, length)
            yield Chunk(number, start, body, self._source.at - begin)
            start = None if start is None else start + body.count

    def _checked(self, data: memoryview, crc: int, number: int, before: Index) -> Body:
        if crc != chunk_crc(self._head, number, data):
            self._source.refuse(f"the crc32 of chunk {number} does not match")
        body = parse_body(data, self.header, len(self._decoder.runners), self._at(number))
        self._check_place(body.count, number, before)
        return body

    def _check_place(self, count: int, number: int, before: Index) -> None:
        """Nothing follows a chunk with a count of 0, or one that leaves a sample unfilled."""
        unfilled = number and self.header.rows and before.counts[number - 1] % self.header.shape[0]
        if number and (count == 0 or unfilled or (number == 1 and before.counts[0] == 0 and not self.lost)):
            self._source.refuse(f"chunk {number} follows one that must be the last, or is empty")

    def _finish(self, met: Index) -> None:
        if not len(met):
            self._source.refuse("the stream has no chunk", "at least one")
        if self._source.peek() == 0:
            self._source.u8()
        else:
            index = parse_index(self._source, self._head, len(met))
            if self._source.u8() != 1 or (index != met and not self.lost):
                self._source.refuse("the index is not that of the chunks")
        self._source.end()
        if not self.lost:
            self._check_picture(met)

    def _check_picture(self, index: Index) -> None:
        tiles = self.header.tiles
        if tiles is not None and index.total != tiles:
            self._source.refuse(f"{index.total} tiles are there", f"{tiles}, as the picture has")

    # --- any place of it ---

    def count(self) -> int:
        """How many samples (or rows) there are.

        Raises:
            UsageError: the file is a pipe.
            DamagedStreamError, TruncatedError: a stream without an index that is damaged anywhere.
        """
        return self._whole_index().total

    def read(self, start: int, stop: int) -> Array:
        """The samples (or rows) from ``start`` to ``stop``, as a slice: only their chunks are decoded.

        Raises:
            DamagedStreamError, TruncatedError: one of the chunks is so; with ``salvage`` too.
            UsageError: the file is a pipe.
        """
        index = self._whole_index()
        start, stop, _ = slice(start, stop).indices(index.total)
        parts = []
        for number, (at, first) in enumerate(index.places(len(self._head))):
            count = index.counts[number]
            if first < stop and start < first + count:
                body = self._chunk_at(index, number, at)
                values = self._decoder.decode(self.header, body, self._at(number))
                parts.append(values[max(0, start - first) : stop - first])
        return np.concatenate(parts) if parts else self._nothing()

    def _whole_index(self) -> Index:
        if not self._seekable:
            raise UsageError("a pipe is read in order", where=self._where, hint="iterate, or write it to a file first")
        if self._index is None:
            self._index = self._tail_index() or self._walked_index()
            self._check_picture(self._index)
        return self._index

    def _walked_index(self) -> Index:
        """From the chunks themselves: every one is checked, for a wrong length would shift all behind it."""
        self._seek(len(self._head))
        index, salvage = Index(), self._salvage
        self._salvage = False
        try:
            for _ in self._forward(index):
                pass
        finally:
            self._salvage = salvage
        return index

    def _tail_index(self) -> Index | None:
        """The index at the end of a file, if it is sound and fits the file's length."""
        size = self._file.seek(0, io.SEEK_END) - self._begin
        if size < len(self._head) + _MIN_CHUNK + 8:
            return None
        self._seek(size - 5)
        length, last = self._source.u32(), self._source.u8()
        if last != 1 or length > size - len(self._head):
            return None
        self._seek(size - 1 - length)
        try:
            index = parse_index(self._source, self._head, size // _MIN_CHUNK)
        except IntegrityError:
            return None
        fits = self._source.at == size - 1 and index.end(len(self._head)) + 1 + length + 1 == size
        return index if fits and self._counts_fit(index) else None

    def _counts_fit(self, index: Index) -> bool:
        counts = np.frombuffer(index.counts, np.uint64)
        unfilled = self.header.rows and bool(np.any(counts[:-1] % np.uint64(self.header.shape[0])))
        return not unfilled and (len(counts) == 1 or bool(counts.all()))

    def _by_index(self, index: Index) -> Iterator[Chunk]:
        for number, (at, start) in enumerate(index.places(len(self._head))):
            try:
                body = self._chunk_at(index, number, at)
            except IntegrityError as error:
                self._lose(LostChunk(number, index.counts[number], error))
                continue
            yield Chunk(number, start, body, self._source.at - at)

    def _chunk_at(self, index: Index, number: int, at: int) -> Body:
        self._seek(at)
        length = self._source.varint(1, MAX_BODY)
        if length != index.lengths[number]:
            self._source.refuse(f"chunk {number} has another length than the index says")
        body = self._checked(self._source.take(length), self._source.u32(), number, index)
        if body.count != index.counts[number]:
            self._source.refuse(f"chunk {number} has another count than the index says")
        return body

    # --- small things ---

    def _seek(self, at: int) -> None:
        self._file.seek(self._begin + at)
        self._source.restart(at)

    def _at(self, number: int) -> str:
        return f"{self._where}, chunk {number}"

    def _nothing(self) -> Array:
        return np.empty((0, *self.header.item_shape), self.header.dtype)

    def _lose(self, lost: LostChunk) -> None:
        if not self._salvage:
            raise lost.reason
        self.lost.append(lost)
