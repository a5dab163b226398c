"""``open_source``: one name → the reader for it, found by content where that is cheap, by suffix elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from aetool.data.readers.builtin import open_builtin
from aetool.data.readers.delimited import open_delimited
from aetool.data.readers.images import open_images
from aetool.data.readers.numpy_files import open_npy, open_npz
from aetool.data.readers.parquet import open_parquet
from aetool.data.readers.text_files import Texts, open_texts
from aetool.data.source import ArraySource, Source, column_name
from aetool_runtime.errors import InputError
from aetool_runtime.text import Tokenizer

__all__ = ["open_source"]

_NUMPY, _ARCHIVE, _PARQUET = b"\x93NUMPY", b"PK\x03\x04", b"PAR1"
_MAGIC_OF_SUFFIX = {".npy": _NUMPY, ".npz": _ARCHIVE, ".parquet": _PARQUET}
_TABLES = (".csv", ".tsv", ".txt")
_KNOWN = (
    ".npy, .npz, .csv, .tsv, .parquet, .txt (texts, or a table), a folder of PNG or JPEG images, "
    "or builtin:ecg, builtin:digits, builtin:digits32, builtin:photos, builtin:text"
)


def open_source(
    spec: str | Path,
    *,
    image_size: tuple[int, int] | None = None,
    tokenizer: Tokenizer | None = None,
    label: str = "",
) -> Source:
    """Open data by name; nothing but a header is read yet (of text: all of it).

    Args:
        spec: a file (``.npy``, ``.npz``, ``FILE.npz:KEY``, ``.csv``, ``.tsv``, ``.parquet``, ``.txt``), a folder of
            images, or ``builtin:…``.
        image_size: height and width that images are resized to; ``None`` wants them all of one size.
        tokenizer: makes int32 rows of texts.
        label: a table's column that is left out (see ``open_labels``).

    Raises:
        InputError: not there, not readable, or of a kind that is not known.
        DependencyError: the kind needs a package that is not installed.
    """
    text = str(spec)
    texts = open_texts(spec)
    if texts is not None:
        return _token_source(texts, tokenizer)
    if text.startswith("builtin:"):
        return open_builtin(text)
    path = Path(text)
    if path.is_dir():
        return open_images(path, image_size)
    if path.is_file():
        return _reader(path, column_name(label))(path)
    archive, colon, key = text.rpartition(":")
    if colon and archive.lower().endswith(".npz") and Path(archive).is_file():
        return open_npz(Path(archive), key)
    raise InputError("there is no such file or folder", where=text, expected=_KNOWN)


def _token_source(texts: Texts, tokenizer: Tokenizer | None) -> Source:
    if tokenizer is None:
        raise InputError(
            "is text",
            where=texts.name,
            expected="numbers, for this model takes no tokens",
            hint='text is for models with [model] family = "text"',
        )
    return ArraySource(texts.name, tokenizer.encode(texts.lines))


def _reader(path: Path, label: str) -> Callable[[Path], Source]:
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(path)) from error
    readers: dict[bytes, Callable[[Path], Source]] = {
        _NUMPY: open_npy,
        _ARCHIVE: open_npz,
        _PARQUET: partial(open_parquet, label=label),
    }
    for magic, reader in readers.items():
        if start.startswith(magic):
            return reader
    suffix = path.suffix.lower()
    if suffix in _TABLES:
        return partial(open_delimited, label=label)
    if suffix in _MAGIC_OF_SUFFIX:
        raise InputError(
            f"is not a {suffix} file: it starts with {start!r}",
            where=str(path),
            expected=f"{_MAGIC_OF_SUFFIX[suffix]!r}",
        )
    raise InputError(f"a file ending in {suffix or 'nothing'!r} is not known data", where=str(path), expected=_KNOWN)
