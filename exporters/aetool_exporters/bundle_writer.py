"""Writes bundles: the golden file, the manifest and its digest, as a folder in one step."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from aetool_exporters.lazy_files import LazyFiles
from aetool_runtime.atomic import replacing_folder
from aetool_runtime.bundle import MANIFEST, MANIFEST_DIGEST, digest_line
from aetool_runtime.golden import GoldenCase, GoldenTensor
from aetool_runtime.manifest import FileEntry, Manifest, format_manifest
from aetool_runtime.selftest import Case
from aetool_runtime.specs import Array

__all__ = ["GOLDEN_PATH", "GoldenFile", "bundle_files", "write_folder"]

GOLDEN_PATH = "golden.bin"
_ALIGNMENT = 64


class GoldenFile:
    """The numbers of golden vectors, one after the other: little-endian, C order, 64-byte aligned.

    An array that is there already, or begins one that is, takes no room again.
    """

    def __init__(self) -> None:
        self._data = bytearray()
        self._placed: list[int] = []

    @property
    def data(self) -> bytes:
        return bytes(self._data)

    def place(self, case: Case) -> GoldenCase:
        """Add a case's tensors; where the manifest says they lie."""
        return GoldenCase(case.name, {name: self._tensor(array) for name, array in case.tensors.items()})

    def _tensor(self, array: Array) -> GoldenTensor:
        data = _little_endian(array)
        offset = next((offset for offset in self._placed if self._data.startswith(data, offset)), None)
        if offset is None:
            self._data.extend(bytes(-len(self._data) % _ALIGNMENT))
            offset = len(self._data)
            self._placed.append(offset)
            self._data.extend(data)
        return GoldenTensor(array.dtype.name, array.shape, offset)


def bundle_files(manifest: Manifest, files: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """Every file of the bundle, manifest and digest first; the manifest is given the files' sizes and digests.

    Files are read from ``files`` when they are asked for, one at a time.
    """
    entries = {path: FileEntry(hashlib.sha256(data).hexdigest(), len(data)) for path, data in files.items()}
    text = format_manifest(replace(manifest, files=entries))
    made: dict[str, Callable[[], bytes]] = {MANIFEST: lambda: text, MANIFEST_DIGEST: lambda: digest_line(text)}
    return LazyFiles(made | {path: partial(files.__getitem__, path) for path in sorted(files)})


def write_folder(target: Path, files: Mapping[str, bytes]) -> None:
    """Write files below ``target`` in one step: it is the old folder, or the whole new one."""
    with replacing_folder(target) as unfinished:
        for path in files:
            place = unfinished / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(files[path])


def _little_endian(array: Array) -> bytes:
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
