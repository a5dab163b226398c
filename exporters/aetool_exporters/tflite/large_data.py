"""The data of large constants: read in pieces, and some made only then, so that nobody holds all of them twice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from aetool_runtime.specs import Array

__all__ = ["LARGE", "Transposed", "chunks", "digest", "size"]

LARGE = 1 << 20
"""Bytes from which on data are large."""

_CHUNK = 4 << 20


@dataclass(frozen=True)
class Transposed:
    """What stands in a buffer for a matrix that is stored the other way round.

    Args:
        matrix: [columns, rows] of the constant, float32; referred to, not copied.
    """

    matrix: Array


def size(data: Any) -> int:
    """The bytes that a buffer's data take; ``None`` takes none."""
    if data is None:
        return 0
    return int(data.matrix.nbytes) if isinstance(data, Transposed) else len(data)


def chunks(data: Any) -> Iterator[memoryview]:
    """A buffer's data, little-endian, one piece after the other."""
    if not isinstance(data, Transposed):
        yield np.ascontiguousarray(data, np.uint8).data
        return
    rows = max(1, _CHUNK // max(1, data.matrix[:, :1].nbytes))
    for start in range(0, data.matrix.shape[1], rows):
        yield np.ascontiguousarray(data.matrix[:, start : start + rows].T, "<f4").data.cast("B")


def digest(data: Any) -> bytes:
    """The same for equal data, and in practice only for those."""
    sha = hashlib.sha256()
    for chunk in chunks(data):
        sha.update(chunk)
    return sha.digest()
