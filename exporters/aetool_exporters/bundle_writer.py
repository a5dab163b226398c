"""Writes bundles: the golden file, the manifest and its digest, as a folder in one step."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from aetool_runtime.atomic import replacing_folder
from aetool_runtime.bundle import MANIFEST, MANIFEST_DIGEST, digest_line
from aetool_runtime.manifest import FileEntry, Golden, GoldenCase, GoldenTensor, Manifest, format_manifest
from aetool_runtime.selftest import Case
from aetool_runtime.specs import Array, OutputScale

__all__ = ["GOLDEN_PATH", "bundle_files", "make_golden", "write_folder"]

GOLDEN_PATH = "golden.bin"
_ALIGNMENT = 64


def make_golden(cases: Sequence[Case], scales: Mapping[str, OutputScale]) -> tuple[Golden, bytes]:
    """The golden vectors' place in the manifest, and their file: little-endian, C order, 64-byte aligned."""
    data = bytearray()
    placed = []
    for case in cases:
        tensors = {}
        for name, array in case.tensors.items():
            data.extend(bytes(-len(data) % _ALIGNMENT))
            tensors[name] = GoldenTensor(array.dtype.name, array.shape, len(data))
            data.extend(_little_endian(array))
        placed.append(GoldenCase(case.name, tensors))
    return Golden(GOLDEN_PATH, scales, tuple(placed)), bytes(data)


def bundle_files(manifest: Manifest, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Every file of the bundle, manifest and digest first; the manifest is given the files' sizes and digests."""
    entries = {path: FileEntry(hashlib.sha256(data).hexdigest(), len(data)) for path, data in files.items()}
    text = format_manifest(replace(manifest, files=entries))
    return {MANIFEST: text, MANIFEST_DIGEST: digest_line(text), **{path: files[path] for path in sorted(files)}}


def write_folder(target: Path, files: Mapping[str, bytes]) -> None:
    """Write files below ``target`` in one step: it is the old folder, or the whole new one."""
    with replacing_folder(target) as partial:
        for path, data in files.items():
            place = partial / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)


def _little_endian(array: Array) -> bytes:
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
