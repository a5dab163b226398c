"""A name → what goes into a stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from aetool.compressing.arrays import array_content
from aetool.compressing.content import Content
from aetool.compressing.form import Form
from aetool.compressing.numbers import Wanted
from aetool.compressing.pictures import PICTURES, picture_content
from aetool.compressing.raw import raw_content
from aetool.compressing.sound import wav_content
from aetool.compressing.tables import csv_content, parquet_content
from aetool.data.readers.numpy_files import open_npy, open_npz
from aetool_runtime.compression.description import Compression
from aetool_runtime.errors import InputError, UsageError

__all__ = ["SUFFIXES", "Opener"]

_TABLES = (".csv", ".tsv", ".txt")
SUFFIXES = (".npy", ".npz", *_TABLES, ".parquet", ".wav", *PICTURES)


@dataclass(frozen=True)
class Opener:
    """Opens files for a bundle.

    Args:
        compression: what the bundle brings.
        wanted: what is to be kept.
        raw: the type of bare values, or "" for files that say themselves what they hold.
        channels: of bare values.
        halo: of tiles; ``None`` to choose.
    """

    compression: Compression
    wanted: Wanted
    raw: str = ""
    channels: int = 1
    halo: int | None = None

    def open(self, name: str) -> Content:
        """Open a file (``FILE.npz:KEY`` for one array of several), or with ``raw`` also ``-``.

        Raises:
            UsageError: ``-`` without a type.
            InputError: not there, not readable, of a kind that is not known, or not what the bundle takes.
            DependencyError: the kind needs a package that is not installed.
        """
        if name == "-" and not self.raw:
            raise UsageError("standard input does not say what it holds", hint="--raw int16 --channels 2")
        if name != "-" and not Path(name).is_file():
            return self._member(name)
        if self.raw:
            return raw_content(name, self.raw, self.channels, self.compression, self.wanted)
        return self._reader(Path(name))(Path(name), self.compression, self.wanted)

    def _reader(self, path: Path) -> Callable[[Path, Compression, Wanted], Content]:
        suffix = path.suffix.lower()
        if suffix == ".npy":
            return self._array
        if suffix == ".npz":
            return self._archive
        if suffix in PICTURES:
            return partial(picture_content, halo=self.halo)
        readers = {".parquet": parquet_content, ".wav": wav_content, **dict.fromkeys(_TABLES, csv_content)}
        if suffix not in readers:
            raise InputError(
                f"a file ending in {suffix or 'nothing'!r} is not known data",
                where=str(path),
                expected=", ".join(SUFFIXES),
                hint="--raw int16 for bare values",
            )
        return readers[suffix]

    def _array(self, path: Path, compression: Compression, wanted: Wanted) -> Content:
        return array_content(open_npy(path), compression, wanted, self.halo)

    def _member(self, name: str) -> Content:
        archive, colon, key = name.rpartition(":")
        if colon and archive.lower().endswith(".npz") and Path(archive).is_file():
            return self._archive(Path(archive), self.compression, self.wanted, key)
        raise InputError("there is no such file or folder", where=name, expected=", ".join(SUFFIXES))

    def _archive(self, path: Path, compression: Compression, wanted: Wanted, key: str = "") -> Content:
        source = open_npz(path, key)
        content = array_content(source, compression, wanted, self.halo)
        name = source.name.removeprefix(f"{path}:")
        return replace(content, form=Form("array", {**content.form.members, "key": name}))
