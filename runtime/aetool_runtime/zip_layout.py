"""The one layout that a zipped bundle has (FORMAT.md, "One file"): stored entries, no times, nothing else.

Because every byte outside the files' contents is prescribed, a reader can compare it, and a flipped bit anywhere in
the archive is found. Stock zip tools open it like any other. Source: PKWARE APPNOTE 6.3.10, sections 4.3.7, 4.3.12
and 4.3.16.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from aetool_runtime.errors import InputError, TruncatedError, UnsafeError
from aetool_runtime.manifest import MAX_PATH, check_path

__all__ = ["Entry", "looks_like_archive", "read_layout", "zip_chunks"]

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_LOCAL_MARK, _END_MARK = b"PK\3\4", b"PK\5\6"
_VERSION = 20
_DATE = 0x21  # 1980-01-01, the earliest
_LIMIT = 2**32 - 1
_MAX_ENTRIES = 4096


@dataclass(frozen=True)
class Entry:
    """A file in the archive; ``offset`` is where its contents begin."""

    name: str
    size: int
    crc32: int
    offset: int = 0


def zip_chunks(files: Mapping[str, bytes]) -> Iterator[bytes]:
    """The archive of these files, in this order, piece by piece.

    Raises:
        InputError: it would be 4 GiB or more; the folder form has no limit.
    """
    entries = _placed(Entry(name, len(data), zlib.crc32(data)) for name, data in files.items())
    if _end(entries) + sum(map(_central_size, entries)) > _LIMIT or len(entries) > _MAX_ENTRIES:
        raise InputError(
            f"a zipped bundle holds less than 4 GiB in at most {_MAX_ENTRIES} files", hint="keep the bundle as a folder"
        )
    for entry in entries:
        yield _local(entry)
        yield files[entry.name]
    yield _directory(entries)


def looks_like_archive(file: BinaryIO) -> bool:
    """Whether a file is meant to be a zip: it begins as one, as far as it goes, or it ends as one."""
    size = file.seek(0, 2)
    return _LOCAL_MARK.startswith(_read(file, 0, 4)) or _read(file, size - _END.size, 4) == _END_MARK


def read_layout(file: BinaryIO, where: str) -> dict[str, Entry]:
    """Find the files of an archive, having compared every byte outside their contents with the prescribed layout.

    Raises:
        TruncatedError: it does not end as a zipped bundle ends.
        UnsafeError: its layout is not the prescribed one, or a name is listed twice or could leave the bundle.
    """
    size = file.seek(0, 2)
    end = _read(file, size - _END.size, _END.size) if size >= _END.size else b""
    if not end.startswith(_END_MARK):
        raise TruncatedError(
            "does not end as a zipped bundle does", where=where, hint="copy or download the file again"
        )
    count, length, start = _END.unpack(end)[4:7]
    fits = start + length + _END.size == size and length <= count * (_CENTRAL.size + MAX_PATH) and count <= _MAX_ENTRIES
    if not fits:
        raise _strange(where)
    entries = _placed(_parse_central(_read(file, start, length), count, where))
    # Sizes that do not add up are refused first: written out, they might not even fit into 32 bits.
    if _end(entries) != start or _directory(entries) != _read(file, start, length + _END.size):
        raise _strange(where)
    for entry in entries:
        header = _local(entry)
        if _read(file, entry.offset - len(header), len(header)) != header:
            raise _strange(where)
    return {entry.name: entry for entry in entries}


def _strange(where: str) -> UnsafeError:
    return UnsafeError(
        "the archive does not have the layout of a zipped bundle",
        where=where,
        expected="stored entries as `aetool pack` writes them",
        hint="unzip it and open the folder, or pack the folder again with `aetool pack`",
    )


def _placed(entries: Iterable[Entry]) -> list[Entry]:
    """The entries with their offsets: one after the other from byte 0."""
    placed: list[Entry] = []
    end = 0
    for entry in entries:
        offset = end + _LOCAL.size + len(entry.name)
        placed.append(Entry(entry.name, entry.size, entry.crc32, offset))
        end = offset + entry.size
    return placed


def _end(entries: list[Entry]) -> int:
    """Where the contents of placed entries end and the central directory begins."""
    return entries[-1].offset + entries[-1].size if entries else 0


def _local(entry: Entry) -> bytes:
    name = entry.name.encode("ascii")
    fields = (_VERSION, 0, 0, 0, _DATE, entry.crc32, entry.size, entry.size, len(name), 0)
    return _LOCAL.pack(_LOCAL_MARK, *fields) + name


def _central_size(entry: Entry) -> int:
    return _CENTRAL.size + len(entry.name)


def _directory(entries: list[Entry]) -> bytes:
    records = []
    for entry in entries:
        name = entry.name.encode("ascii")
        sizes = (entry.crc32, entry.size, entry.size, len(name))
        fields = (_VERSION, _VERSION, 0, 0, 0, _DATE, *sizes, 0, 0, 0, 0, 0)
        records.append(_CENTRAL.pack(b"PK\1\2", *fields, entry.offset - _LOCAL.size - len(name)) + name)
    body = b"".join(records)
    return body + _END.pack(_END_MARK, 0, 0, len(entries), len(entries), len(body), _end(entries), 0)


def _parse_central(directory: bytes, count: int, where: str) -> list[Entry]:
    entries: list[Entry] = []
    at = 0
    for _ in range(count):
        if at + _CENTRAL.size > len(directory):
            raise _strange(where)
        fields = _CENTRAL.unpack_from(directory, at)
        crc32, size, name_length = fields[7], fields[9], fields[10]
        name = directory[at + _CENTRAL.size : at + _CENTRAL.size + name_length]
        entries.append(Entry(check_path(name.decode("latin-1"), where), size, crc32))
        at += _CENTRAL.size + name_length
    if len({entry.name for entry in entries}) != len(entries):
        raise UnsafeError("lists a file twice", where=where, hint="pack the folder again with `aetool pack`")
    return entries


def _read(file: BinaryIO, start: int, length: int) -> bytes:
    if start < 0:
        return b""
    file.seek(start)
    return file.read(length)
