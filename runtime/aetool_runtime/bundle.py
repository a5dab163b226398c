"""Opens a bundle, a folder or one zip of it, and hands out its files only after their digest was checked."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from aetool_runtime.atomic import is_empty_folder, is_plain_file
from aetool_runtime.errors import (
    AetoolError,
    DigestError,
    InputError,
    IntegrityError,
    ManifestError,
    TruncatedError,
    UnsafeError,
)
from aetool_runtime.manifest import MANIFEST, MANIFEST_DIGEST, FileEntry, Manifest, check_path
from aetool_runtime.manifest_reader import parse_manifest
from aetool_runtime.strict_json import MAX_JSON_BYTES
from aetool_runtime.zip_layout import looks_like_archive, read_layout

__all__ = ["MANIFEST", "MANIFEST_DIGEST", "Bundle", "digest_line", "open_bundle"]

_CHUNK = 1 << 20
_COPY_AGAIN = "copy or download the bundle again, or export the model again"

# what opening answers for a folder, a link that came meanwhile, and a socket
_NO_PLAIN_FILE = (errno.EISDIR, errno.ELOOP, errno.ENXIO)

Opener = Callable[[str], tuple[BinaryIO, int]]


@dataclass(frozen=True)
class Bundle:
    """An opened bundle. Every listed file was checked when it was opened, and is checked again when it is read.

    Args:
        path: the folder or the zip, as it was given.
        manifest: what it holds.
        digest: the manifest's sha256 in hexadecimal; it stands for the whole bundle, whose digests the manifest lists.
        text: the manifest's bytes, with whatever members this version does not know.
    """

    path: Path
    manifest: Manifest
    digest: str
    text: bytes = field(repr=False)
    _open: Opener = field(repr=False, compare=False)
    _place: Path = field(repr=False, compare=False)  # absolute: the working directory may change

    def read(self, path: str) -> bytes:
        """The bytes of a listed file.

        Raises:
            DigestError, TruncatedError, UnsafeError: see ``open_bundle``.
            InputError: the bundle was replaced or removed since it was opened, and has not that file any more.
        """
        entry = self.manifest.files.get(path)
        if entry is None:
            raise UnsafeError(f"the manifest does not list {path!r}", where=str(self.path))
        try:
            return self._read(path, entry)
        except (IntegrityError, InputError) as error:
            if self._is_still_there():
                raise
            raise InputError(
                "the bundle was replaced or removed since it was opened", where=str(self.path), hint="open it again"
            ) from error

    def _is_still_there(self) -> bool:
        """Whether the manifest's digest is the one that was opened; what is wrong with a file then is damage."""
        line = digest_line(self.text)
        try:
            return _read_small(_opener(self._place), MANIFEST_DIGEST, len(line)) == line
        except AetoolError:
            return False

    def _read(self, path: str, entry: FileEntry) -> bytes:
        file, size = self._open(path)
        with file:
            _check_size(self._where(path), size, entry.bytes)
            data = file.read(size)
        _check_digest(self._where(path), hashlib.sha256(data).hexdigest(), entry.sha256)
        return data

    def check(self) -> None:
        """Hash every listed file, in bounded memory."""
        for path, entry in self.manifest.files.items():
            file, size = self._open(path)
            with file:
                _check_size(self._where(path), size, entry.bytes)
                digest = hashlib.sha256()
                left = size
                while left:
                    piece = file.read(min(left, _CHUNK))
                    if not piece:
                        raise TruncatedError("ends too early", where=self._where(path), hint=_COPY_AGAIN)
                    digest.update(piece)
                    left -= len(piece)
            _check_digest(self._where(path), digest.hexdigest(), entry.sha256)

    def _where(self, path: str) -> str:
        return f"{self.path}/{path}"


def digest_line(manifest: bytes) -> bytes:
    """The content of ``manifest.sha256``: what ``sha256sum manifest.json`` prints."""
    return f"{hashlib.sha256(manifest).hexdigest()}  {MANIFEST}\n".encode()


def looks_like_bundle(path: Path) -> bool:
    """Whether something stands there that a new bundle may replace: a bundle, sound or damaged, or an empty folder."""
    if path.is_symlink():
        return False
    if path.is_dir():
        return (path / MANIFEST).is_file() or is_empty_folder(path)
    if not is_plain_file(path):
        return False
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def open_bundle(path: str | os.PathLike[str]) -> Bundle:
    """Open a bundle and check every byte of it.

    Raises:
        InputError: there is no bundle at ``path``.
        TruncatedError: a file is missing or too short.
        DigestError: a file's bytes are not those that were written.
        UnsafeError: a path that leaves the bundle, a link, a strange archive.
        ManifestError, VersionError: see ``parse_manifest``.
    """
    root = Path(path)
    place = _absolute(root)
    opener = _opener(place)
    text = _read_small(opener, MANIFEST, MAX_JSON_BYTES)
    if len(text) > MAX_JSON_BYTES:
        raise ManifestError(f"{MANIFEST} is too large", where=str(root), expected=f"at most {MAX_JSON_BYTES} bytes")
    line = _read_small(opener, MANIFEST_DIGEST, len(digest_line(b"")))
    if line != digest_line(text):
        raise DigestError(f"{MANIFEST} does not match {MANIFEST_DIGEST}", where=str(root), hint=_COPY_AGAIN)
    manifest = parse_manifest(text, f"{root}/{MANIFEST}")
    if isinstance(opener, _ZipFiles):
        opener.refuse_unlisted({MANIFEST, MANIFEST_DIGEST, *manifest.files})
    bundle = Bundle(root, manifest, hashlib.sha256(text).hexdigest(), text, opener, place)
    bundle.check()
    return bundle


def _absolute(path: Path) -> Path:
    try:
        return path.absolute()
    except OSError as error:
        raise InputError(f"the working directory is gone ({error.strerror})", where=str(path)) from error


def _opener(root: Path) -> Opener:
    try:
        mode = root.stat().st_mode
    except (OSError, ValueError) as error:
        raise InputError(
            f"no such bundle ({_reason(error)})", where=str(root), hint="make one with `aetool export MODEL`"
        ) from error
    if stat.S_ISDIR(mode):
        return _FolderFiles(root)
    if not stat.S_ISREG(mode):
        raise _no_bundle(root)
    with _open_zip(root) as file:
        if not looks_like_archive(file):
            raise _no_bundle(root)
        entries = read_layout(file, str(root))
    return _ZipFiles(root, {name: (entry.offset, entry.size) for name, entry in entries.items()})


def _no_bundle(root: Path) -> InputError:
    return InputError(
        "is not a bundle",
        where=str(root),
        expected=f"a folder with {MANIFEST}, or one zip of it",
        hint="make one with `aetool export MODEL`",
    )


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _read_small(opener: Opener, name: str, limit: int) -> bytes:
    """At most ``limit`` + 1 bytes of a file: whoever gets more than ``limit`` refuses them."""
    file, size = opener(name)
    with file:
        return file.read(min(size, limit + 1))


@dataclass(frozen=True)
class _FolderFiles:
    root: Path

    def __call__(self, name: str) -> tuple[BinaryIO, int]:
        path = self.root
        for part in check_path(name, str(self.root)).split("/"):
            path = path / part
            if path.is_symlink():
                raise UnsafeError("is a link", where=str(path), expected="a plain file")
        try:
            file = open(path, "rb", opener=_without_following)  # noqa: SIM115 (Path.open has no opener)
        except (FileNotFoundError, NotADirectoryError) as error:
            hint = "make a bundle with `aetool export MODEL`" if name == MANIFEST else _COPY_AGAIN
            raise TruncatedError("the file is missing", where=str(path), hint=hint) from error
        except OSError as error:
            if error.errno in _NO_PLAIN_FILE:
                raise UnsafeError("is not a plain file", where=str(path)) from error
            raise InputError(f"cannot be read ({error.strerror})", where=str(path)) from error
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            file.close()
            raise UnsafeError("is not a plain file", where=str(path))
        return file, status.st_size


def _without_following(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))


def _open_zip(root: Path) -> BinaryIO:
    try:
        return root.open("rb")
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(root)) from error


@dataclass(frozen=True)
class _ZipFiles:
    root: Path
    entries: Mapping[str, tuple[int, int]]

    def __call__(self, name: str) -> tuple[BinaryIO, int]:
        if name not in self.entries:
            raise TruncatedError(f"holds no {name}", where=str(self.root), hint=_COPY_AGAIN)
        offset, size = self.entries[name]
        file = _open_zip(self.root)
        file.seek(offset)
        return file, size

    def refuse_unlisted(self, listed: Set[str]) -> None:
        for name in sorted(self.entries.keys() - listed):
            raise UnsafeError(f"holds {name}, which the manifest does not list", where=str(self.root), hint=_COPY_AGAIN)


def _check_size(where: str, size: int, expected: int) -> None:
    if size != expected:
        kind = TruncatedError if size < expected else DigestError
        raise kind(f"has {size} bytes", where=where, expected=f"{expected}", hint=_COPY_AGAIN)


def _check_digest(where: str, met: str, expected: str) -> None:
    if met != expected:
        raise DigestError(f"the sha256 is {met[:16]}…", where=where, expected=f"{expected[:16]}…", hint=_COPY_AGAIN)
