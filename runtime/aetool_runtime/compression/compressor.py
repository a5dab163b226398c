"""The front door for writing: samples → a stream, each chunk by the path that costs it least."""

from __future__ import annotations

import io
import itertools
import math
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import TracebackType
from typing import BinaryIO

import numpy as np

from aetool_runtime.autoencoder import Autoencoder
from aetool_runtime.bundle import Bundle, open_bundle
from aetool_runtime.compression.batches import as_stream_type, chunks_of
from aetool_runtime.compression.choosing_paths import ChunkEncoder, Encoded
from aetool_runtime.compression.decoding import ChunkDecoder
from aetool_runtime.compression.framing.chunk import FIRST_CODEC, PREDICTIVE, STORED
from aetool_runtime.compression.framing.header import MAX_VALUES, Header, Picture
from aetool_runtime.compression.framing.stream import StreamWriter
from aetool_runtime.compression.goals import Bounded, grid_for, read_goal
from aetool_runtime.compression.pictures import cut
from aetool_runtime.compression.reading import read_compression
from aetool_runtime.errors import InputError, UsageError
from aetool_runtime.specs import Array, format_shape

__all__ = ["Compressor", "Summary"]

_ROWS = 1024  # of a sample, where the bundle leaves it free
_NAMES = {STORED: "stored", PREDICTIVE: "predictive"}


@dataclass(frozen=True)
class Summary:
    """What became of a stream.

    Args:
        count: samples, or rows.
        values: numbers in them.
        bytes: of the stream.
        paths: path → chunks that took it; ``stored``, ``predictive``, or a codec's name.
        rmse, largest_error: raw units; over all values.
    """

    count: int = 0
    values: int = 0
    bytes: int = 0
    paths: Mapping[str, int] = field(default_factory=dict)
    rmse: float = 0.0
    largest_error: float = 0.0


class Compressor:
    """Compresses samples with a bundle. What comes out is read by a ``Decompressor`` with the same bundle.

    Exactly one of ``quality``, ``max_error`` and ``lossless`` says what to keep. Each chunk takes the cheapest of the
    bundle's codecs, linear prediction, or none at all, so that input unlike the training data costs bytes, not truth:
    the bound is checked on what a decompressor returns, every value, before a chunk is written.

    Every method may be called from several threads at once; each call itself uses one thread, and the bundle's encoder
    as many as ``threads`` says. Memory is bounded by a few chunks.

    Example:
        >>> with Compressor("model.aepkg", max_error=2) as compressor:
        ...     stream = compressor.compress(windows)

    Args:
        bundle: a bundle's folder or zip, one that is open, or an open ``Autoencoder``, which stays the caller's.
        quality: 0 for the coarsest of the first codec's qualities, and so on: what is lost is traded against bytes as
            that quality does on data like the training data.
        max_error: the most that any value may be off, in the data's units.
        lossless: no value is changed.
        backend, device, threads, precision: for the bundle's encoder; see ``Autoencoder.open``.
        chunk_values: about how many values make a chunk, which is read and lost as a whole.
        check: each chunk carries a crc32 of what it returns, 4 bytes, so that a decoder with a bug is found out.
        index: the stream ends with an index, for random access without reading all of it.

    Raises:
        UsageError: see above, or the bundle brings nothing for compression.
        InputError, IntegrityError: see ``aetool_runtime.bundle.open_bundle``.
    """

    def __init__(
        self,
        bundle: str | os.PathLike[str] | Bundle | Autoencoder,
        *,
        quality: int | None = None,
        max_error: float | None = None,
        lossless: bool = False,
        backend: str | None = None,
        device: str | None = None,
        threads: int | None = None,
        precision: str | None = None,
        chunk_values: int = 1 << 18,
        check: bool = True,
        index: bool = True,
    ) -> None:
        self._given = bundle if isinstance(bundle, Autoencoder) else None
        if isinstance(bundle, Autoencoder):
            self.bundle = bundle.bundle
        else:
            self.bundle = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
        self.compression = read_compression(self.bundle)
        self.goal = read_goal(self.compression, quality, max_error, lossless)
        if not 1 <= chunk_values <= MAX_VALUES:
            raise UsageError(f"chunk_values is {chunk_values}", expected=f"1 to {MAX_VALUES}")
        self._chunk_values, self._check, self._index = chunk_values, check, index
        self._open = partial(
            Autoencoder.open, self.bundle, backend=backend, device=device, threads=threads, precision=precision
        )
        self._decoder = ChunkDecoder(self.compression)
        self._lock = threading.Lock()
        self._model: Autoencoder | None = None

    def compress(self, samples: Array, *, rows: bool = False, attachment: bytes = b"") -> bytes:
        """A stream of these samples [count, …]; see ``write``."""
        file = io.BytesIO()
        self.write(file, [samples], rows=rows, attachment=attachment)
        return file.getvalue()

    def write(
        self,
        file: BinaryIO,
        batches: Iterable[Array],
        *,
        rows: bool = False,
        picture: Picture | None = None,
        attachment: bytes = b"",
    ) -> Summary:
        """Write a stream to a binary file, which may be a pipe, as batches come.

        Args:
            batches: arrays [count, …sample], any counts, of one type: uint8, int8, uint16, int16, int32 or float32;
                others are converted where no value changes.
            rows: batches are pieces of one recording, [rows, …], which is cut into samples here.
            picture: the samples are all the tiles of this picture, in raster order.
            attachment: at most 2^20 bytes of the application's own, for the header.

        Raises:
            InputError: a type or shape that does not fit the bundle; the stream that was begun is truncated then.
            BackendError, DependencyError, DeviceError: the bundle's encoder cannot be run.
        """
        stream = iter(batches)
        first = as_stream_type(next(stream, self._nothing(rows)))
        header = self._header(first, rows, picture, attachment)
        writer = StreamWriter(file, header, index=self._index)
        encoder = ChunkEncoder(self._decoder, header, self.goal, self._encode)
        summary = Summary()
        whole = itertools.chain([first], (self._alike(batch, header) for batch in stream))
        for samples, count in chunks_of(whole, header.shape, self._chunk_values, rows=rows):
            for encoded in encoder.encode(samples, count):
                writer.add(encoded.body)
                summary = self._counted(summary, encoded, header)
        if header.tiles not in (None, summary.count):
            raise InputError(f"{summary.count} tiles are given", expected=f"{header.tiles}, as the picture has")
        writer.close()
        return replace(summary, bytes=writer.bytes)

    def compress_picture(
        self, pixels: Array, *, tile: tuple[int, int] | None = None, halo: int = 0, attachment: bytes = b""
    ) -> bytes:
        """A stream of one picture of any size, cut into tiles; ``Decompressor.decompress_picture`` reads it.

        Args:
            pixels: [height, width, …].
            tile: height and width of a tile; ``None`` for the bundle's, which must have some then.
            halo: how far tiles overlap into each other at each side.

        Raises:
            UsageError: the bundle's tiles may have any size, or are smaller than their halos.
            InputError, BackendError, DependencyError, DeviceError: see ``write``.
        """
        height, width, *_ = (*self.compression.sample_shape, None, None)
        if tile is None and (height is None or width is None):
            raise UsageError("the bundle takes tiles of any size", hint="say which: tile=(64, 64)")
        tiles, picture = cut(pixels, tile or (height or 0, width or 0), halo)
        file = io.BytesIO()
        self.write(file, [tiles], picture=picture, attachment=attachment)
        return file.getvalue()

    # --- shapes and types ---

    def _nothing(self, rows: bool) -> Array:
        sizes = [size or 1 for size in self.compression.sample_shape]
        return np.empty((0, *sizes[rows:]), np.int16)

    def _header(self, first: Array, rows: bool, picture: Picture | None, attachment: bytes) -> Header:
        shape = self._sample_shape(first, rows)
        grid = grid_for(self.goal, self.compression, first) if first.dtype == np.float32 else None
        error = None
        if isinstance(self.goal, Bounded):
            error = self.goal.error if first.dtype == np.float32 else min(int(self.goal.error), 2**32)
        return Header(
            digest=bytes.fromhex(self.bundle.digest)[:8],
            dtype=first.dtype.name,
            shape=shape,
            grid=grid,
            max_error=error,
            rows=rows,
            picture=picture,
            checked=self._check,
            attachment=attachment,
        )

    def _sample_shape(self, first: Array, rows: bool) -> tuple[int, ...]:
        wanted = self.compression.sample_shape
        met = (None, *first.shape[1:]) if rows else first.shape[1:]
        fits = len(met) == len(wanted) and all(
            None in pair or pair[0] == pair[1] for pair in zip(met, wanted, strict=True)
        )
        if not fits or 0 in met:
            expected = format_shape((None, *wanted[1:])) if rows else format_shape((None, *wanted))
            raise InputError(
                f"samples have shape {list(first.shape)}",
                expected=expected.replace("batch", "rows") if rows else expected,
                hint="add the batch dimension, or say rows=True for a recording [rows, …]",
            )
        return (wanted[0] or _ROWS, *first.shape[1:]) if rows else first.shape[1:]

    def _alike(self, batch: Array, header: Header) -> Array:
        found = as_stream_type(batch, header.dtype)
        if found.shape[1:] != header.item_shape:
            raise InputError(
                f"a batch has shape {list(found.shape)}", expected=f"{list(header.item_shape)} behind the first size"
            )
        return found

    def _counted(self, summary: Summary, encoded: Encoded, header: Header) -> Summary:
        """The summary with one more chunk."""
        body = encoded.body
        path = _NAMES.get(body.path) or self.compression.codecs[body.path - FIRST_CODEC].name
        values = summary.values + body.count * math.prod(header.item_shape)
        return Summary(
            count=summary.count + body.count,
            values=values,
            paths={**summary.paths, path: summary.paths.get(path, 0) + 1},
            rmse=math.sqrt((summary.rmse**2 * summary.values + encoded.squared_error) / max(1, values)),
            largest_error=max(summary.largest_error, encoded.largest_error),
        )

    # --- the bundle's encoder ---

    def _encode(self, samples: Array) -> Array:
        return self._opened().encode(samples)

    def _opened(self) -> Autoencoder:
        if self._given is not None:
            return self._given
        with self._lock:
            if self._model is None:
                self._model = self._open()
            return self._model

    def close(self) -> None:
        """Give the encoder's memory back, if it was loaded. Closing twice is fine."""
        with self._lock:
            model, self._model = self._model, None
        if model is not None:
            model.close()

    def __enter__(self) -> Compressor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
