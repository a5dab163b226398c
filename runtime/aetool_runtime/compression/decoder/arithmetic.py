"""Integers in floating point: which type holds which numbers exactly, and rescaling.

A float32 holds every integer up to 2²⁴, a float64 up to 2⁵³, and sums and products of integers below are exact in
whatever order a BLAS library forms them. Matrix products of integers would run without BLAS, tens of times slower.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from aetool_runtime.compression.decoder.bounds import magnitude
from aetool_runtime.compression.description import Range, Rescaling

__all__ = ["Numbers", "Rescaler", "clamp", "exact_type", "number_type"]

Numbers: TypeAlias = NDArray[Any]  # integers held in float32 or float64
_EXACT_SINGLE = 1 << 24
_BLOCK = 1 << 15  # values that are rescaled at once: few enough to stay in the cache


def exact_type(bound: int) -> DTypeLike:
    """The smallest floating-point type that holds all integers up to ``bound``, which is below 2⁵³."""
    return np.float32 if bound <= _EXACT_SINGLE else np.float64


def number_type(values: Range) -> DTypeLike:
    """What holds the integers of a range."""
    return exact_type(magnitude(values))


def clamp(numbers: Numbers, values: Range) -> Numbers:
    """In place, into a range."""
    np.maximum(numbers, values[0], out=numbers)
    return np.asarray(np.minimum(numbers, values[1], out=numbers))


class Rescaler:
    """acc → clamp(shift((acc + bias) · multiplier, shift)), per channel.

    Args:
        rescaling: multipliers and shifts [C].
        bias: int32 [C], added before.
        after: int32 [C], added behind, or ``None``.
        into: the range that results are clamped into.
    """

    def __init__(
        self, rescaling: Rescaling, bias: NDArray[np.int32], into: Range, after: NDArray[np.int32] | None = None
    ) -> None:
        shift = rescaling.shift.astype(np.int64)
        half = np.where(shift > 0, np.ldexp(1.0, shift - 1), 0.0)
        self._multiplier = rescaling.multiplier.astype(np.float64)
        self._offset = bias * self._multiplier + half
        self._scale = np.ldexp(1.0, -shift)
        self._after = None if after is None else after.astype(np.float64)
        self._range = into
        self._type = number_type(into)

    def __call__(self, accumulated: Numbers) -> Numbers:
        """[…, C] → the same shape; no intermediate number reaches 2⁵³."""
        rows = accumulated.reshape(-1, accumulated.shape[-1])
        results = np.empty(rows.shape, self._type)
        count = max(1, _BLOCK // rows.shape[1])
        room = np.empty((min(count, len(rows)), rows.shape[1]))
        for start in range(0, len(rows), count):
            block = rows[start : start + count]
            results[start : start + count] = self._rescale(block, room[: len(block)])
        return results.reshape(accumulated.shape)

    def _rescale(self, block: Numbers, room: NDArray[np.float64]) -> NDArray[np.float64]:
        np.multiply(block, self._multiplier, out=room)
        room += self._offset
        room *= self._scale
        np.floor(room, out=room)
        if self._after is not None:
            room += self._after
        return clamp(room, self._range)
