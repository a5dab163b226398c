"""Keeps samples that are evenly spread over a stream of any length, in bounded memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aetool_runtime.specs import Array

__all__ = ["EvenSpread"]

_BYTES = 256 << 20


class EvenSpread:
    """Keeps every 1st, 2nd, 4th, 8th … sample: the densest of these that stays within a number and 256 MiB.

    Args:
        most: samples to keep at most.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._stride = 1
        self._seen = 0
        self._indices: list[int] = []
        self._kept: list[tuple[Array, ...]] = []

    def add(self, *arrays: Array) -> None:
        """Take the next samples: arrays of one length, as many each time."""
        for place in range(len(arrays[0])):
            if self._seen % self._stride == 0:
                self._indices.append(self._seen)
                self._kept.append(tuple(array[place].copy() for array in arrays))
                if len(self._kept) > self._limit():
                    self._halve()
            self._seen += 1

    def _limit(self) -> int:
        size = sum(array.nbytes for array in self._kept[0])
        return max(2, min(self._most, _BYTES // max(size, 1)))

    def _halve(self) -> None:
        self._stride *= 2
        self._indices, self._kept = self._indices[::2], self._kept[::2]

    @property
    def seen(self) -> int:
        """How many samples went by."""
        return self._seen

    @property
    def indices(self) -> NDArray[np.int64]:
        """Which of them were kept."""
        return np.array(self._indices, np.int64)

    def arrays(self) -> tuple[Array, ...]:
        """What was kept, one array for each that is given to ``add``."""
        return tuple(np.stack(column) for column in zip(*self._kept, strict=True))
