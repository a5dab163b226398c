"""A stream → the file that it was."""

from __future__ import annotations

import csv
import struct
import wave
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from aetool.compressing.arrays import write_npy, write_npz, write_raw
from aetool.compressing.form import Form, parse_form
from aetool.compressing.pictures import write_picture
from aetool.compressing.sound import write_wav
from aetool.compressing.tables import write_csv, write_parquet
from aetool.compressing.tiles import Mosaic
from aetool_runtime.compression.decoding import ChunkDecoder
from aetool_runtime.compression.framing.reader import LostChunk, StreamReader
from aetool_runtime.errors import InputError, IntegrityError, UsageError
from aetool_runtime.specs import Array

__all__ = ["Restoring", "writable_name"]

_PART_VALUES = 1 << 22  # that are held when a range is read
_LOSSLESS = {".png": "PNG", ".bmp": "BMP", ".tif": "TIFF", ".tiff": "TIFF"}
_ANY = (".npy", ".raw", ".bin", ".pcm")  # what every stream can be written as
_SUFFIXES = {
    "array": (".npy", ".npz"), "csv": (".csv", ".tsv", ".txt"), "parquet": (".parquet",), "wav": (".wav",),
    "picture": tuple(_LOSSLESS),
}  # fmt: skip

_UNREADABLE = (LookupError, TypeError, ValueError, AttributeError, OverflowError, csv.Error, wave.Error, zlib.error,
               struct.error)  # fmt: skip


def writable_name(target: Path, form: Form) -> Path:
    """The name, with another suffix behind it where a file of that form cannot be written under it."""
    own = _SUFFIXES[form.kind]
    return target if target.suffix.lower() in (*own, *_ANY) else target.with_name(target.name + own[0])


@dataclass
class Restoring:
    """A stream that becomes a file.

    Args:
        reader: of the stream.
        decoder: of its bundle.
        where: the stream's name.
        part: only these rows or samples, from and to, as a slice.
        salvage: damaged chunks are left out.

    Attributes:
        lost: the chunks that were.
        missing: tiles of a picture that were, and are 0.
    """

    reader: StreamReader
    decoder: ChunkDecoder
    where: str
    part: tuple[int | None, int | None] | None = None
    salvage: bool = False

    def __post_init__(self) -> None:
        self.form = parse_form(self.reader.header.attachment)
        self.lost: list[LostChunk] = []
        self.missing = 0
        if self.part is not None and self.reader.header.picture is not None:
            raise UsageError("a picture comes whole", where=self.where, hint="leave --samples out")

    def check_suffix(self, output: Path) -> None:
        """Refuse what the file cannot be written as.

        Raises:
            UsageError: named with what it can be.
        """
        suffix, own = output.suffix.lower(), _SUFFIXES[self.form.kind]
        if suffix not in (*own, *_ANY):
            raise UsageError(
                f"would be written as {suffix or 'a file without a suffix'}",
                where=str(output),
                expected=f"{', '.join(own)} as it was, or {', '.join(_ANY)}",
            )

    def write(self, file: BinaryIO, suffix: str) -> tuple[int, ...]:
        """Write the file; its shape.

        Args:
            suffix: says what to write; "" for bare values, which may go to a pipe.

        Raises:
            IntegrityError: the stream is damaged; what was written is worth nothing then, but for bare values.
        """
        try:
            return self._write(file, suffix)
        except _UNREADABLE as error:
            if self.form == Form():
                raise
            raise InputError(f"the form of the file cannot be read ({error})", where=self.where) from error

    def _write(self, file: BinaryIO, suffix: str) -> tuple[int, ...]:
        own = suffix in _SUFFIXES[self.form.kind] or not suffix
        form = self.form if own else Form()
        parts = self._parts()
        if form.kind == "picture" and suffix:
            return write_picture(next(iter(parts)), form, file, _LOSSLESS[suffix])
        like = self._nothing()
        if not suffix or suffix in _ANY[1:]:
            return write_raw(parts, form if form.kind == "array" else Form(), like, file)
        if suffix in (".npy", ".npz"):
            return (write_npy if suffix == ".npy" else write_npz)(parts, form, like, file)
        write = {".wav": write_wav, ".parquet": write_parquet}.get(suffix, write_csv)
        return write(parts, form, file)

    def _nothing(self) -> Array:
        header = self.reader.header
        row = header.item_shape if header.picture is None else (header.picture.width, *header.shape[2:])
        return np.empty((0, *row), header.dtype)

    def _parts(self) -> Iterator[Array]:
        if self.reader.header.picture is not None:
            return iter([self._picture()])
        if self.part is not None:
            return self._range(*self.part)
        return self._all()

    def _all(self) -> Iterator[Array]:
        yield from self.reader
        self.lost = self.reader.lost

    def _range(self, start: int | None, stop: int | None) -> Iterator[Array]:
        first, last, _ = slice(start, stop).indices(self.reader.count())
        if first >= last:
            raise InputError(
                f"{first}:{last} holds nothing", where=self.where, expected=f"a part of 0:{self.reader.count()}"
            )
        size = max(1, _PART_VALUES // max(1, int(np.prod(self.reader.header.item_shape, dtype=np.int64))))
        for at in range(first, last, size):
            yield self.reader.read(at, min(at + size, last))

    def _picture(self) -> Array:
        """All tiles put together."""
        mosaic = Mosaic(self.reader.header)
        refused: list[LostChunk] = []
        for chunk in self.reader.chunks():
            if chunk.start is None:
                continue  # behind damage that hides where it belongs
            try:
                where = f"{self.where}, chunk {chunk.number}"
                mosaic.put(chunk.start, self.decoder.decode(self.reader.header, chunk.body, where))
            except IntegrityError as error:
                if not self.salvage:
                    raise
                refused.append(LostChunk(chunk.number, chunk.body.count, error))
        self.lost = sorted([*self.reader.lost, *refused], key=lambda lost: lost.number)
        self.missing = mosaic.missing
        return mosaic.picture()
