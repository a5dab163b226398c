"""A histogram of a stream whose range is not known beforehand, in bounded memory.

Zeros are counted apart: every affine quantization has them exactly, and after a ReLU they are half of all values.

Bins are [i·w, (i + 1)·w) with w a power of two. When the range outgrows the bins, w doubles and neighbours merge, which
is exact: the counts depend on the values alone, not on the batches that they came in nor on their order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aetool_runtime.errors import InputError
from aetool_runtime.specs import Array

__all__ = ["MAX_BINS", "Bins", "Histogram", "Points"]

MAX_BINS = 1 << 16
"""At most; at least half as many lie between the smallest value and the largest, unless they are (nearly) one."""

_CHUNK = 1 << 20
_NARROWEST = 2.0**-40
"""Of the largest magnitude: float32 values are coarser, and bin numbers stay small integers."""


@dataclass(frozen=True)
class Points:
    """A distribution as weighted points.

    Args:
        values: [points], ascending.
        counts: [points], how many values each stands for, > 0.
    """

    values: NDArray[np.float64]
    counts: NDArray[np.float64]


@dataclass(frozen=True)
class Bins:
    """Counts of what lies in [(first + i)·width, (first + i + 1)·width)."""

    first: int
    width: float
    counts: NDArray[np.float64]

    @property
    def centers(self) -> NDArray[np.float64]:
        """[bins], in the values' unit."""
        numbers: NDArray[np.float64] = self.first + 0.5 + np.arange(len(self.counts), dtype=np.float64)
        return numbers * self.width

    def halved(self) -> Bins:
        """Half as many, each twice as wide."""
        return Bins(self.first // 2, self.width * 2, _halved(self.counts, self.first))


class Histogram:
    """Counts, and mean values, of everything that was added."""

    def __init__(self) -> None:
        self.minimum = np.inf
        self.maximum = -np.inf
        self._width = 0.0
        self._zeros = 0
        self._first = 0  # the number of the bin that stands at index 0
        self._counts = np.zeros(0)
        self._sums = np.zeros(0)

    @property
    def total(self) -> int:
        """How many values there were."""
        return int(self._counts.sum()) + self._zeros

    @property
    def width(self) -> float:
        """The width of a bin, in the values' unit."""
        return self._width

    def add(self, values: Array) -> None:
        """Count an array of any shape.

        Raises:
            InputError: it holds a NaN or an infinity.
        """
        flat = np.asarray(values).reshape(-1)
        for start in range(0, len(flat), _CHUNK):
            self._add(flat[start : start + _CHUNK].astype(np.float64))

    def without_outermost(self, count: int) -> tuple[float, float]:
        """The narrowest range of whole bins outside which at most ``count`` values lie at either end."""
        counts = self._counts.copy()
        if self._zeros:
            counts[-self._first] += self._zeros
        below = np.cumsum(counts)
        first = int(np.searchsorted(below, count, side="right"))
        last = int(np.searchsorted(below, self.total - count, side="left"))
        borders = (self._first + np.array([first, last + 1])) * self._width
        lower, upper = np.clip(borders, self.minimum, self.maximum)
        return float(lower), float(upper)

    def bins(self) -> Bins:
        """All bins, without the zeros."""
        return Bins(self._first, self._width, self._counts)

    def points(self, most: int) -> Points:
        """The bins that hold anything besides zeros, merged until there are at most ``most``, each at its mean."""
        first, counts, sums = self._first, self._counts, self._sums
        while np.count_nonzero(counts) > most:
            counts, sums = _halved(counts, first), _halved(sums, first)
            first //= 2
        held = counts > 0
        means = np.clip(sums[held] / counts[held], self.minimum, self.maximum)
        return Points(np.maximum.accumulate(means), counts[held])

    def _add(self, values: NDArray[np.float64]) -> None:
        count, smallest, largest = len(values), float(values.min()), float(values.max())
        if not (np.isfinite(smallest) and np.isfinite(largest)):
            raise InputError("a value that is not finite (NaN or infinity)", where="the data for calibration")
        self.minimum, self.maximum = min(self.minimum, smallest), max(self.maximum, largest)
        self._make_room()
        values = values[values != 0.0]
        self._zeros += count - len(values)
        bins = np.floor(values / self._width).astype(np.int64) - self._first
        self._counts += np.bincount(bins, minlength=len(self._counts))
        self._sums += np.bincount(bins, weights=values, minlength=len(self._sums))

    def _make_room(self) -> None:
        """Bins for the whole range: the narrowest that are few enough."""
        width = max(self._width, _narrowest(self.minimum, self.maximum))
        while np.floor(self.maximum / width) - np.floor(self.minimum / width) >= MAX_BINS:
            width *= 2.0
        while len(self._counts) and self._width < width:
            self._counts, self._sums = _halved(self._counts, self._first), _halved(self._sums, self._first)
            self._first //= 2
            self._width *= 2.0
        self._width = width
        first, last = int(np.floor(self.minimum / width)), int(np.floor(self.maximum / width))
        lead = self._first - first if len(self._counts) else 0
        trail = last - first + 1 - lead - len(self._counts)
        self._counts, self._sums = np.pad(self._counts, (lead, trail)), np.pad(self._sums, (lead, trail))
        self._first = first


def _narrowest(minimum: float, maximum: float) -> float:
    """A power of two that bin widths start from; it grows with the range, and with nothing else."""
    reach = max(abs(minimum), abs(maximum))
    width = max(reach * _NARROWEST, (maximum / 2 - minimum / 2) / MAX_BINS, float(np.finfo(np.float64).tiny))
    return float(2.0 ** np.floor(np.log2(width)))


def _halved(bins: NDArray[np.float64], first: int) -> NDArray[np.float64]:
    """Neighbours merged in pairs that begin at even bin numbers."""
    padded = np.pad(bins, (first % 2, (first + len(bins)) % 2))
    merged: NDArray[np.float64] = padded.reshape(-1, 2).sum(axis=1)
    return merged
