"""Turns a bundle's folder into one file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from aetool_runtime.atomic import replacing_file
from aetool_runtime.bundle import MANIFEST, MANIFEST_DIGEST, Bundle, digest_line
from aetool_runtime.zip_layout import zip_chunks

__all__ = ["pack", "write_zip"]


def pack(bundle: Bundle, target: Path) -> None:
    """Write an opened bundle as one zip, in one step; the same bundle gives the same bytes.

    Raises:
        InputError: it would be 4 GiB or more.
        DigestError, TruncatedError: a file changed since the bundle was opened.
    """
    files = {path: bundle.read(path) for path in sorted(bundle.manifest.files)}
    write_zip(target, {MANIFEST: bundle.text, MANIFEST_DIGEST: digest_line(bundle.text), **files})


def write_zip(target: Path, files: Mapping[str, bytes]) -> None:
    """Write a bundle's files, in this order, into one zip, in one step."""
    with replacing_file(target) as partial, partial.open("wb") as stream:
        for chunk in zip_chunks(files):
            stream.write(chunk)
