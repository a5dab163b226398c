"""Models of kind ``neighbors``: what stands beside a value tells which tables code it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from aetool_exporters.compression.fitting_pool import Fit, Histogram
from aetool_runtime.compression.description import EntropyModel
from aetool_runtime.compression.entropy.assignment import activity_of

__all__ = ["fit_neighbors"]

_BINS = 32  # ranges of activity that are joined again where they are alike


def fit_neighbors(symbols: NDArray[np.int32], sets: int) -> Fit:
    """Cut the values beside into many ranges, and join the two that cost least, until as few as ``sets`` are left."""
    channels = symbols.shape[-1]
    activity = activity_of(symbols).reshape(-1)
    thresholds = _quantiles(activity)
    cell = thresholds.searchsorted(activity, "right") * channels + np.tile(
        np.arange(channels), symbols.size // channels
    )
    fine = Histogram.of(symbols.reshape(-1), cell, (len(thresholds) + 1) * channels)
    width = fine.counts.shape[1]
    counts = np.column_stack([fine.counts, fine.outside]).reshape(-1, channels, width + 1)
    thresholds, counts = _join(thresholds, counts, sets)
    flat = counts.reshape(-1, width + 1)
    histogram = Histogram(fine.low, flat[:, :-1], flat[:, -1])
    kept = len(counts)
    model = EntropyModel(
        kind="neighbors",
        map=np.arange(kept * channels).reshape(kept, channels).astype(np.uint16),
        raw_bits=np.zeros(kept, np.uint8),
        thresholds=thresholds.astype(np.uint32),
    )
    return Fit(histogram.tables(), model, histogram)


def _quantiles(activity: NDArray[np.int32]) -> NDArray[np.int64]:
    """Thresholds that cut the values beside into parts of about the same size."""
    ordered = np.sort(activity)
    at = ordered[np.arange(1, _BINS) * len(ordered) // _BINS] if len(ordered) else ordered
    found = np.unique(np.append(at, 1)).astype(np.int64)
    return found[found > 0]


def _join(
    thresholds: NDArray[np.int64], counts: NDArray[np.float64], sets: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Counts [ranges, channels, values]: neighbouring ranges joined, the cheapest pair first."""
    parts, borders = list(counts), thresholds.tolist()
    bits = [_bits(part) for part in parts]
    joined = [_bits(a + b) for a, b in pairwise(parts)]
    while len(parts) > sets:
        loss = [both - first - second for both, first, second in zip(joined, bits, bits[1:], strict=False)]
        place = int(np.argmin(loss))
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
        bits[place : place + 2] = [joined[place]]
        del borders[place], joined[place]
        for beside in (place - 1, place):
            if 0 <= beside < len(joined):
                joined[beside] = _bits(parts[beside] + parts[beside + 1])
    return np.array(borders, np.int64), np.stack(parts)


def _bits(counts: NDArray[np.float64]) -> float:
    """The entropy of all channels' counts [channels, values], times how many they are."""
    totals = counts.sum(axis=1, keepdims=True)
    share = counts / np.maximum(totals, 1)
    return float(-(counts * np.log2(np.where(share > 0, share, 1))).sum())
