"""How much of a distribution its integers still tell: the loss that calibration by entropy goes by.

The rule is TensorRT's (S. Migacz, "8-bit inference with TensorRT", 2017). Of two distributions the Kullback-Leibler
divergence is taken: that of the values, those beyond the range counted at its ends, and what can be told of it from the
integers, those beyond the range left out. Three things are otherwise, or a narrow range would win on most data:

- Bins have an eighth of a step, whatever the range; ranges whose steps the histogram cannot resolve are not judged.
- A divergence that mere chance would bring about, with as many values, is taken off (its expectation, (bins − steps) /
  2n): else many bins look worse than few.
- Zeros are left out, which every quantization has exactly (the original overwrites the first bin).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aetool_exporters.quantization.affine import Affine
from aetool_exporters.quantization.histogram import Bins, Histogram

__all__ = ["Divergence"]

_BINS_A_STEP = 8
_LEAST_BINS_A_STEP = 2
_UNSEEN = 0.01  # values that a bin is taken to hold in which there are none: one that is clipped into it counts


class Divergence:
    """Judges quantizations of the values in a histogram."""

    def __init__(self, histogram: Histogram) -> None:
        self._pyramid = [histogram.bins()]  # ever wider bins
        while len(self._pyramid[-1].counts) > 2:  # those on either side of zero never meet
            self._pyramid.append(self._pyramid[-1].halved())

    def __call__(self, affine: Affine) -> float:
        """The divergence, nats; infinite where the histogram is too coarse to tell."""
        bins = self._of_width(affine.scale / _BINS_A_STEP)
        total = bins.counts.sum()
        if affine.scale < _LEAST_BINS_A_STEP * bins.width or not total:
            return np.inf
        steps = np.rint(bins.centers / affine.scale).astype(np.int64) + affine.zero_point - affine.smallest
        kept = (steps >= 0) & (steps <= affine.largest - affine.smallest)
        if not bins.counts[kept].any():
            return np.inf
        first, last = np.flatnonzero(kept)[[0, -1]]
        inside = bins.counts[first : last + 1]
        real = inside.copy()
        real[0] += bins.counts[:first].sum()
        real[-1] += bins.counts[last + 1 :].sum()
        told, chance = _told(inside, steps[first : last + 1])
        held = real > 0
        shares = real[held] / total
        return float(np.sum(shares * np.log(shares / (told[held] / told[held].sum()))) - chance / (2 * total))

    def _of_width(self, wanted: float) -> Bins:
        """The widest bins that are narrow enough, else the narrowest that there are."""
        narrow = [bins for bins in self._pyramid if bins.width <= wanted]
        return narrow[-1] if narrow else self._pyramid[0]


def _told(counts: NDArray[np.float64], steps: NDArray[np.int64]) -> tuple[NDArray[np.float64], int]:
    """Each step's values spread evenly over its bins that hold any; and how many bins more than steps there are."""
    place = steps - steps[0]
    held = counts > 0
    filled = np.bincount(place, weights=held)
    spread = np.bincount(place, weights=counts) / np.maximum(filled, 1)
    told = np.where(held, spread[place], _UNSEEN)
    return told, int(held.sum() - np.count_nonzero(filled))
