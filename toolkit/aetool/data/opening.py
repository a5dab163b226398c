"""``open_source``: one name → the reader for it, found by content where that is cheap, by suffix elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from aetool.data.readers.builtin import open_builtin
from aetool.data.readers.delimited import open_delimited
from aetool.data.readers.images import open_images
from aetool.data.readers.numpy_files import open_npy, open_npz
from aetool.data.readers.parquet import open_parquet
from aetool.data.source import Source
from aetool_runtime.errors import InputError

__all__ = ["open_source"]

_BY_MAGIC: dict[bytes, Callable[[Path], Source]] = {
    b"\x93NUMPY": open_npy,
    b"PK\x03\x04": open_npz,
    b"PAR1": open_parquet,
}
_MAGIC_OF_SUFFIX = {".npy": b"\x93NUMPY", ".npz": b"PK\x03\x04", ".parquet": b"PAR1"}
_TEXT_SUFFIXES = (".csv", ".tsv")
_KNOWN = ".npy, .npz, .csv, .tsv, .parquet, a folder of PNG or JPEG images, or builtin:ecg, builtin:digits"


def open_source(spec: str | Path, *, image_size: tuple[int, int] | None = None) -> Source:
    """Open data by name; nothing but a header is read yet.

    Args:
        spec: a file (``.npy``, ``.npz``, ``FILE.npz:KEY``, ``.csv``, ``.tsv``, ``.parquet``), a folder of images, or
            ``builtin:ecg``, ``builtin:digits``.
        image_size: height and width that images are resized to; ``None`` wants them all of one size.

    Raises:
        InputError: not there, not readable, or of a kind that is not known.
        DependencyError: the kind needs a package that is not installed.
    """
    text = str(spec)
    if text.startswith("builtin:"):
        return open_builtin(text)
    path = Path(text)
    if path.is_dir():
        return open_images(path, image_size)
    if path.is_file():
        return _reader(path)(path)
    archive, colon, key = text.rpartition(":")
    if colon and archive.lower().endswith(".npz") and Path(archive).is_file():
        return open_npz(Path(archive), key)
    raise InputError("there is no such file or folder", where=text, expected=_KNOWN)


def _reader(path: Path) -> Callable[[Path], Source]:
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(path)) from error
    for magic, reader in _BY_MAGIC.items():
        if start.startswith(magic):
            return reader
    suffix = path.suffix.lower()
    if suffix in _TEXT_SUFFIXES:
        return open_delimited
    if suffix in _MAGIC_OF_SUFFIX:
        raise InputError(
            f"is not a {suffix} file: it starts with {start!r}",
            where=str(path),
            expected=f"{_MAGIC_OF_SUFFIX[suffix]!r}",
        )
    raise InputError(f"a file ending in {suffix or 'nothing'!r} is not known data", where=str(path), expected=_KNOWN)
