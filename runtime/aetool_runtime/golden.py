"""Golden vectors as the manifest describes them: tensors in one file, with what they stand for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["ELEMENT_BYTES", "GoldenCase", "GoldenTensor"]

ELEMENT_BYTES: Mapping[str, int] = {
    "float32": 4, "float16": 2, "int8": 1, "uint8": 1, "int16": 2, "int32": 4, "int64": 8
}  # fmt: skip


@dataclass(frozen=True)
class GoldenTensor:
    """A tensor in the golden file: little-endian, C order, ``offset`` bytes from its start."""

    dtype: str
    shape: tuple[int, ...]
    offset: int

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * ELEMENT_BYTES[self.dtype]


@dataclass(frozen=True)
class GoldenCase:
    """Tensors that belong together, by name: what went in, and what must come out.

    Of the bundle: what Keras computed, ``latent`` of ``input`` and ``reconstruction`` of ``latent``, one of the outer
    two may lack. Of an artifact of reduced precision: its input, and what it returned itself when it was made.
    """

    name: str
    tensors: Mapping[str, GoldenTensor]
