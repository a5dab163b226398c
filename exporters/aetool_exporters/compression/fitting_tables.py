"""Frequencies from probabilities and from counts: integers that sum to 2^14, for values never seen too."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aetool_runtime.compression.description import PRECISION, EntropyTable

__all__ = ["MAX_VALUES", "smooth", "table_of", "table_of_counts"]

MAX_VALUES = 4095  # of a table, beside the escape
_TOTAL = 1 << PRECISION
_PRIOR = 8.0  # how many values what is expected counts for, and again for each value that was seen
_WIDEST = 64  # values, on each side, that are averaged
_LEAST = 0.4 / _TOTAL  # below this probability a value is left to the escape
_LIMIT = 1 << 31
_TAIL = 12  # values beyond the seen ones that are looked at


def table_of(low: int, probabilities: NDArray[np.float64], escape: float) -> EntropyTable:
    """The table of the values from ``low`` on and of all others; the frequencies that cost least, each at least 1."""
    weights = np.append(probabilities, escape)
    weights = weights / weights.sum()
    frequencies = np.maximum(1, np.rint(weights * _TOTAL)).astype(np.int64)
    while (missing := _TOTAL - int(frequencies.sum())) > 0:
        frequencies[np.argsort(-weights / frequencies, kind="stable")[:missing]] += 1
    while (surplus := int(frequencies.sum()) - _TOTAL) > 0:
        cost = np.where(frequencies > 1, weights / np.maximum(frequencies - 1, 1), np.inf)
        cheapest = np.argsort(cost, kind="stable")[: int(np.count_nonzero(frequencies > 1))]
        # Each gives a sixteenth of what it has at most, and of all no more than must be given.
        given = np.maximum(1, frequencies[cheapest] // 16)
        given = np.minimum(given, np.maximum(0, surplus - np.cumsum(given) + given))
        frequencies[cheapest] -= given
    return EntropyTable(low, frequencies.astype(np.uint16))


def table_of_counts(low: int, counts: NDArray[np.float64], outside: float = 0.0) -> EntropyTable:
    """The table of values that were seen ``counts[i]`` times each, from ``low`` on, and ``outside`` times beyond."""
    low, probabilities = smooth(low, counts)
    values = np.arange(low, low + len(probabilities))
    (kept,) = ((probabilities >= _LEAST) & (values >= -_LIMIT) & (values < _LIMIT)).nonzero()
    first, last = int(kept[0]), int(kept[-1]) + 1
    while last - first > MAX_VALUES:
        first, last = (first + 1, last) if probabilities[first] < probabilities[last - 1] else (first, last - 1)
    escape = 1 - probabilities[first:last].sum() + (outside + 0.5) / (counts.sum() + outside + _PRIOR)
    return table_of(low + first, probabilities[first:last], float(escape))


def smooth(low: int, counts: NDArray[np.float64]) -> tuple[int, NDArray[np.float64]]:
    """Counts as probabilities, those of values never seen included.

    The counts are mixed with their averages over values near by, over the wider a range the farther they are from the
    median, and these with a geometric distribution on each side of it. The fewer the counts, the less they count.

    Returns:
        The smallest value, some below the smallest seen, and the probability of each value from there on.
    """
    (seen,) = counts.nonzero()
    if not len(seen):
        counts, low, seen = np.zeros(1), 0, np.zeros(1, np.int64)
    tail = _TAIL + (int(seen[-1]) - int(seen[0])) // 2
    counts = np.pad(counts[seen[0] : seen[-1] + 1], tail)
    low += int(seen[0]) - tail
    total = counts.sum()
    centre = int(np.searchsorted(np.cumsum(counts), total / 2)) if total else tail
    prior = np.zeros_like(counts)
    prior[centre] = (counts[centre] + 1) / (total + 2)
    for side in (slice(centre + 1, None), slice(centre - 1, None, -1) if centre else slice(0)):
        prior[side] = _geometric(counts[side], total)
    near = _averages(counts, centre)
    near = (near * total / max(near.sum(), 1.0) + _PRIOR * prior / prior.sum()) / (total + _PRIOR)
    weight = _PRIOR * (1 + len(seen))
    return low, (counts + weight * near / near.sum()) / (total + weight)


def _averages(counts: NDArray[np.float64], centre: int) -> NDArray[np.float64]:
    """Each count averaged with those at most a third of its distance from the centre away."""
    place = np.arange(len(counts))
    reach = np.minimum(np.abs(place - centre) // 3, _WIDEST)
    sums = np.append(0, np.cumsum(counts))
    first, last = np.maximum(place - reach, 0), np.minimum(place + reach + 1, len(counts))
    found: NDArray[np.float64] = (sums[last] - sums[first]) / (last - first)
    return found


def _geometric(counts: NDArray[np.float64], total: float) -> NDArray[np.float64]:
    """Probabilities of the distances 1, 2, … that were seen so often, the rest being elsewhere."""
    distance = np.arange(1, len(counts) + 1)
    seen = counts.sum() + 0.5
    ratio = 1 - seen / ((counts * distance).sum() + 1.0)  # of each to the one before, by the mean distance
    ratio = min(max(float(ratio), 0.1), 1 - 1e-6)
    found: NDArray[np.float64] = seen / (total + 2) * (1 - ratio) * ratio ** (distance - 1)
    return found
