"""Affine quantization: real = scale · (q − zero point), with an exact zero."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike, NDArray

from aetool_runtime.specs import Array

__all__ = ["Affine", "Range"]

_SMALLEST_SCALE = float(np.finfo(np.float32).tiny)  # denormal scales are zero where denormals are flushed


@dataclass(frozen=True)
class Range:
    """Real values from ``minimum`` to ``maximum``, both included."""

    minimum: float
    maximum: float

    @property
    def with_zero(self) -> Range:
        """The range widened so that it has the zero that padding and ReLU need."""
        return Range(min(self.minimum, 0.0), max(self.maximum, 0.0))

    @property
    def reach(self) -> float:
        """The largest magnitude."""
        return max(abs(self.minimum), abs(self.maximum))


@dataclass(frozen=True)
class Affine:
    """How one tensor, or one slice of it, is quantized.

    Args:
        scale: > 0, exact as a float32.
        zero_point: the integer that stands for 0.0.
        smallest, largest: the integers that are used.
    """

    scale: float
    zero_point: int
    smallest: int
    largest: int

    @classmethod
    def covering(cls, wanted: Range, dtype: DTypeLike, *, symmetric: bool = False) -> Affine:
        """The finest quantization to an integer type that covers a range and zero.

        Args:
            wanted: any finite range.
            dtype: int8, uint8, int16 or uint16.
            symmetric: zero stands in the middle, and as many integers are used on either side of it.
        """
        info = np.iinfo(np.dtype(dtype))
        whole = wanted.with_zero
        if symmetric:
            half = (int(info.max) - int(info.min)) // 2
            middle = 0 if info.min < 0 else half + 1
            return cls(_scale(whole.reach / half), middle, middle - half, middle + half)
        smallest, largest = int(info.min), int(info.max)
        scale = _scale((whole.maximum - whole.minimum) / (largest - smallest))
        zero_point = int(np.clip(np.rint(smallest - whole.minimum / scale), smallest, largest))
        return cls(scale, zero_point, smallest, largest)

    def quantize(self, values: Array) -> NDArray[np.int64]:
        """Real values → integers, halves to even, as ONNX and TFLite do."""
        integers = np.rint(np.asarray(values, np.float64) / self.scale) + self.zero_point
        clipped: NDArray[np.int64] = np.clip(integers, self.smallest, self.largest).astype(np.int64)
        return clipped

    def restore(self, integers: Array) -> NDArray[np.float64]:
        """Integers → the real values that they stand for."""
        return (np.asarray(integers, np.float64) - self.zero_point) * self.scale

    def round_trip(self, values: Array) -> NDArray[np.float64]:
        """What is left of real values after quantization."""
        return self.restore(self.quantize(values))


def _scale(exact: float) -> float:
    if exact == 0.0:
        return 1.0
    return float(np.float32(max(exact, _SMALLEST_SCALE)))
