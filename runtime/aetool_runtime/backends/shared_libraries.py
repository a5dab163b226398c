"""Which shared libraries a file needs, and which of them cannot be loaded, found out without loading the file itself.

An engine's plug-in must not be loaded before the engine does it: ONNX Runtime's crash then. So its needs are read from
its dynamic section and tried one by one. Source: System V ABI, ELF-64 object file format.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["missing_library", "needed_by"]

_LOAD, _DYNAMIC = 1, 2  # program headers
_NEEDED, _STRING_TABLE, _STRING_SIZE = 1, 5, 10  # tags of dynamic entries
_MOST_STRINGS = 64 << 20


def needed_by(path: Path) -> list[str]:
    """The names in the file's own order; none for what is no little-endian ELF-64 file (on Windows, say)."""
    try:
        with path.open("rb") as file:
            return list(_needed(file))
    except (OSError, struct.error, ValueError):
        return []


def missing_library(path: Path) -> str:
    """The loader's message for the first library that the file needs and that cannot be loaded; empty for none.

    Those that can be loaded stay loaded, so that the engine finds them by name.
    """
    for name in needed_by(path):
        try:
            ctypes.CDLL(name)
        except OSError as error:
            return str(error)
    return ""


def _needed(file: BinaryIO) -> Iterator[str]:
    header = file.read(64)
    if header[:6] != b"\x7fELF\x02\x01":
        raise ValueError("no little-endian ELF-64 file")
    table, size, count = *struct.unpack_from("<Q", header, 32), *struct.unpack_from("<HH", header, 54)
    segments = []
    for i in range(count):
        kind, _, offset, address, _, length = struct.unpack("<IIQQQQ", _read(file, table + i * size, 40))
        segments.append((kind, offset, address, length))
    entries = [
        entry
        for kind, offset, _, length in segments
        if kind == _DYNAMIC
        for entry in struct.iter_unpack("<QQ", _read(file, offset, length - length % 16))
    ]
    values = dict(entries)
    at, length = values.get(_STRING_TABLE, 0), values.get(_STRING_SIZE, 0)
    starts = [
        offset + at - address for kind, offset, address, size in segments if kind == _LOAD and 0 <= at - address < size
    ]
    if not starts or length > _MOST_STRINGS:
        raise ValueError("no table of strings")
    strings = _read(file, starts[0], length)
    for tag, value in entries:
        if tag == _NEEDED:
            yield strings[value : strings.index(b"\0", value)].decode()


def _read(file: BinaryIO, offset: int, length: int) -> bytes:
    file.seek(offset)
    return file.read(length)
