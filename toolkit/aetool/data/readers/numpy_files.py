"""``.npy`` and ``.npz``: memory-mapped; compressed members of an archive are streamed instead."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from aetool.data.source import ArraySource, Source, check_numeric
from aetool_runtime.errors import InputError
from aetool_runtime.specs import Array

__all__ = ["open_npy", "open_npz"]

_LOCAL_HEADER = 30  # bytes of a zip member's header before its name and extra field
_BROKEN = (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)


def open_npy(path: Path) -> Source:
    """Memory-map a ``.npy`` file.

    Raises:
        InputError: broken, truncated, or holding Python objects.
    """
    try:
        return MappedSource(str(path), np.load(path, mmap_mode="r", allow_pickle=False))
    except _BROKEN as error:
        raise _unreadable(str(path), error) from error


class MappedSource(ArraySource):
    """A memory-mapped file: random access by the mapping, streaming by plain reads.

    Pages that a mapping has touched count as the process's memory for as long as there is room, so that a stream of
    any length would seem to need, and on a device with a limit would need, all of it.
    """

    def batches(self, rows: int, start: int = 0) -> Iterator[Array]:
        values = self.values
        if not (isinstance(values, np.memmap) and values.flags.c_contiguous and values.filename):
            yield from super().batches(rows, start)
            return
        row_bytes = values.nbytes // len(values)
        with Path(values.filename).open("rb") as file:
            file.seek(values.offset + start * row_bytes)
            for at in range(start, len(values), rows):
                count = min(rows, len(values) - at)
                data = file.read(count * row_bytes)
                if len(data) != count * row_bytes:
                    raise InputError(f"ends in row {at + len(data) // row_bytes}", where=self.name)
                yield np.frombuffer(data, values.dtype).reshape(count, *values.shape[1:])


def open_npz(path: Path, key: str = "") -> Source:
    """Open one array of a ``.npz`` archive: ``key``, or the only one.

    Raises:
        InputError: broken, no such key, or several arrays and no key.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            member = _member(path, key, [info for info in archive.infolist() if info.filename.endswith(".npy")])
            if member.compress_type != zipfile.ZIP_STORED:
                return _CompressedSource.open(path, member.filename)
        return MappedSource(_name(path, member.filename), _map_member(path, member))
    except _BROKEN as error:
        raise _unreadable(str(path), error) from error


def _member(path: Path, key: str, members: list[zipfile.ZipInfo]) -> zipfile.ZipInfo:
    names = [info.filename.removesuffix(".npy") for info in members]
    if key in names:
        return members[names.index(key)]
    if not key and len(members) == 1:
        return members[0]
    raise InputError(
        f"holds no array {key!r}" if key else f"holds {len(members)} arrays",
        where=str(path),
        expected=f"one of {', '.join(names)}" if names else "at least one array",
        hint=f"name one, such as {path}:{names[0]}" if names else "",
    )


def _name(path: Path, filename: str) -> str:
    return f"{path}:{filename.removesuffix('.npy')}"


def _unreadable(name: str, error: Exception) -> InputError:
    return InputError(f"cannot be read as NumPy data ({error})", where=name, expected="a whole file of plain numbers")


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    """Shape, Fortran order and dtype; leaves ``file`` at the first value."""
    version = npy.read_magic(file)
    reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = reader(file)
    return shape, fortran, dtype


def _map_member(path: Path, member: zipfile.ZipInfo) -> Array:
    """Memory-map an uncompressed member where it lies in the archive."""
    with path.open("rb") as file:
        file.seek(member.header_offset)
        local = file.read(_LOCAL_HEADER)
        file.seek(int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little"), 1)
        shape, fortran, dtype = _header(file)
        if dtype.hasobject:
            raise ValueError("Python objects")
        return np.memmap(path, dtype, "r", file.tell(), shape, "F" if fortran else "C")


@dataclass(frozen=True)
class _CompressedSource:
    path: Path
    member: str
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]

    @classmethod
    def open(cls, path: Path, member: str) -> Source:
        with zipfile.ZipFile(path) as archive, archive.open(member) as file:
            shape, fortran, dtype = _header(file)
        check_numeric(np.broadcast_to(np.zeros((), dtype), shape), _name(path, member))
        if fortran:  # rows are not contiguous in the stream
            return ArraySource(_name(path, member), cls(path, member, shape, dtype).array())
        return cls(path, member, shape, dtype)

    @property
    def name(self) -> str:
        return _name(self.path, self.member)

    def batches(self, rows: int, start: int = 0) -> Iterator[Array]:
        size = self.dtype.itemsize * int(np.prod(self.shape[1:]))
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as file:
                _header(file)
                file.seek(start * size, 1)
                for at in range(start, self.shape[0], rows):
                    count = min(rows, self.shape[0] - at)
                    yield np.frombuffer(file.read(count * size), self.dtype).reshape(count, *self.shape[1:])
        except _BROKEN as error:
            raise _unreadable(self.name, error) from error

    def array(self) -> Array:
        try:
            with np.load(self.path, allow_pickle=False) as archive:
                return np.asarray(archive[self.member.removesuffix(".npy")])
        except _BROKEN as error:
            raise _unreadable(self.name, error) from error
