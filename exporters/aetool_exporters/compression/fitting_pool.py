"""Models that share tables, so that a bundle with many of them stays small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from aetool_exporters.compression.fitting_tables import table_of_counts
from aetool_runtime.compression.description import EntropyModel, EntropyTable

__all__ = ["Fit", "Histogram", "join_fits", "pool_tables"]

POOL_SIZES = (8, 16, 32, 64, 128, 256)  # of which the last, some 40 kB in a bundle, is the budget
_LOSS = 0.002  # of the bits, that sharing may cost
_ROUNDS = 6
_MAX_SPAN = 1 << 13  # values that are told apart; a table has at most half as many


@dataclass(frozen=True, eq=False)
class Histogram:
    """How often values were coded by each cell (set and channel) of a model.

    Args:
        low: the value of the first column.
        counts: float64 [sets · channels, values].
        outside: float64 [sets · channels]: values that have no column.
    """

    low: int
    counts: NDArray[np.float64]
    outside: NDArray[np.float64]

    @classmethod
    def of(cls, symbols: NDArray[np.int32], cells: NDArray[np.int64], count: int) -> Histogram:
        """Values [n], and the cell of each, of ``count``."""
        low, high = _span(symbols)
        inside = (symbols >= low) & (symbols <= high)
        places = cells * (high - low + 1) + (symbols.astype(np.int64) - low)
        size = count * (high - low + 1)
        found = np.bincount(places[inside], minlength=size).reshape(count, -1).astype(np.float64)
        return cls(low, found, np.bincount(cells[~inside], minlength=count).astype(np.float64))

    def tables(self) -> list[EntropyTable]:
        """One for each cell."""
        cells = zip(self.counts, self.outside, strict=True)
        return [table_of_counts(self.low, counts, float(outside)) for counts, outside in cells]


@dataclass(frozen=True, eq=False)
class Fit:
    """A model whose first tables are those of its map, in order, and what they were fitted to."""

    tables: list[EntropyTable]
    model: EntropyModel
    histogram: Histogram


def _span(symbols: NDArray[np.int32]) -> tuple[int, int]:
    """The values that matter: all, or where they are many, those around the median."""
    if not symbols.size:
        return 0, 0
    low, high = int(symbols.min()), int(symbols.max())
    if high - low >= _MAX_SPAN:
        middle = int(np.median(symbols))
        low, high = max(low, middle - _MAX_SPAN // 2), min(high, middle + _MAX_SPAN // 2 - 1)
    return low, high


def join_fits(
    fits: Sequence[tuple[Sequence[EntropyTable], Sequence[EntropyModel]]],
) -> tuple[list[EntropyTable], list[EntropyModel]]:
    """Tables one after the other, and the models with indices into all of them. Equal tables are kept once."""
    tables: list[EntropyTable] = []
    known: dict[tuple[int, bytes], int] = {}
    models = []
    for given, own in fits:
        place = np.zeros(len(given), np.uint16)
        for number, table in enumerate(given):
            key = (table.low, table.frequencies.tobytes())
            if key not in known:
                known[key] = len(tables)
                tables.append(table)
            place[number] = known[key]
        models += [replace(model, map=place[model.map], selectors=place[model.selectors]) for model in own]
    return tables, models


def pool_tables(fits: Sequence[Fit]) -> tuple[list[EntropyTable], list[EntropyModel]]:
    """The smallest pool of tables that costs little; the largest if all cost more."""
    counts, outside, low = _align([fit.histogram for fit in fits])
    alone = _cost(counts, outside, _lengths([t for fit in fits for t in fit.tables[: fit.model.map.size]], low, counts))
    for size in POOL_SIZES:
        pool, owner = _cluster(counts, outside, low, size)
        cells = _cost(counts, outside, _lengths(pool, low, counts)[owner])
        if cells <= alone * (1 + _LOSS):
            break
    shared, first = [], 0
    for fit in fits:
        size = fit.model.map.size
        place = owner[first : first + size].reshape(fit.model.map.shape).astype(np.uint16)
        selectors = (np.arange(fit.model.selectors.size) + len(pool)).astype(np.uint16)
        shared.append(([*pool, *fit.tables[size:]], [replace(fit.model, map=place, selectors=selectors)]))
        first += size
    return join_fits(shared)


def _align(histograms: Sequence[Histogram]) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    low = min(h.low for h in histograms)
    width = max(h.low + h.counts.shape[1] for h in histograms) - low
    counts = [np.pad(h.counts, ((0, 0), (h.low - low, width - h.low + low - h.counts.shape[1]))) for h in histograms]
    return np.concatenate(counts), np.concatenate([h.outside for h in histograms]), low


def _lengths(tables: Sequence[EntropyTable], low: int, counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bits of each value and, last, of one outside, [tables, values + 1]."""
    found = np.empty((len(tables), counts.shape[1] + 1))
    for row, table in zip(found, tables, strict=True):
        bits = 14 - np.log2(table.frequencies)
        row[:] = bits[-1] + 16  # an escape, and two bytes
        first = max(table.low, low)
        last = min(table.low + len(bits) - 1, low + counts.shape[1])
        row[first - low : last - low] = bits[first - table.low : last - table.low]
    return found


def _cost(counts: NDArray[np.float64], outside: NDArray[np.float64], lengths: NDArray[np.float64]) -> float:
    return float((counts * lengths[:, :-1]).sum() + (outside * lengths[:, -1]).sum())


def _cluster(
    counts: NDArray[np.float64], outside: NDArray[np.float64], low: int, size: int
) -> tuple[list[EntropyTable], NDArray[np.int64]]:
    """k-means, with bits as the distance: at most ``size`` tables, and the one of each cell."""
    values = np.arange(low, low + counts.shape[1])
    spread = (counts @ np.abs(values) + 0.5) / (counts.sum(axis=1) + 1)
    rank = np.argsort(np.argsort(spread, kind="stable"), kind="stable")
    owner = rank * size // len(counts)
    every = np.column_stack([counts, outside])
    for _ in range(_ROUNDS):
        used, owner = np.unique(owner, return_inverse=True)
        sums = np.zeros((len(used), every.shape[1]))
        np.add.at(sums, owner, every)
        pool = [table_of_counts(low, row[:-1], float(row[-1])) for row in sums]
        nearest = (every @ _lengths(pool, low, counts).T).argmin(axis=1)
        if (nearest == owner).all():
            break
        owner = nearest
    used, owner = np.unique(owner, return_inverse=True)
    return [pool[number] for number in used], owner
