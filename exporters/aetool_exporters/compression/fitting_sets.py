"""Models of kind ``sets``: groups that are coded alike share a set of tables."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aetool_exporters.compression.fitting_pool import Fit, Histogram
from aetool_exporters.compression.fitting_tables import table_of
from aetool_runtime.compression.description import EntropyModel, EntropyTable
from aetool_runtime.compression.entropy.assignment import Assignment, Layout, sets_of_positions

__all__ = ["fit_sets"]

_ROUNDS = 8
_MAX_CELLS = 60_000  # tables of a model, which has 16 bits for their numbers
_GROUP_VALUES = 16  # at least, that share the cost of a set's index


def fit_sets(symbols: NDArray[np.int32], sets: int) -> Fit:
    """Assign each group to the set that codes it in the fewest bits, fit the sets anew, and again.

    It begins with groups sorted by how large their values are, so that nothing depends on chance.
    """
    layout = Layout(symbols.shape)
    positions = max(1, min(_GROUP_VALUES // layout.channels, layout.positions))
    most = min(layout.samples * -(-layout.positions // positions), _MAX_CELLS // layout.channels)
    sets = max(1, min(sets, most))
    owner = _by_activity(symbols, layout, positions, sets)
    fit = _fitted(symbols, layout, owner, sets, positions)
    for _ in range(_ROUNDS if sets > 1 else 0):
        chosen = Assignment(fit.tables, fit.model).choose_sets(symbols, layout)
        if (chosen == owner).all():
            break
        owner = chosen
        fit = _fitted(symbols, layout, owner, sets, positions)
    return fit


def _by_activity(symbols: NDArray[np.int32], layout: Layout, positions: int, sets: int) -> NDArray[np.int64]:
    magnitude = np.abs(symbols.reshape(-1, layout.channels).astype(np.float64))
    relative = (magnitude / (magnitude.sum(axis=0) + 1e-9)).sum(axis=1).reshape(layout.samples, layout.positions)
    starts = np.arange(0, layout.positions, positions)
    activity = np.add.reduceat(relative, starts, axis=1) if layout.positions else relative
    rank = np.argsort(np.argsort(activity.reshape(-1), kind="stable"), kind="stable")
    return rank * sets // max(len(rank), 1)


def _fitted(symbols: NDArray[np.int32], layout: Layout, owner: NDArray[np.int64], sets: int, positions: int) -> Fit:
    cells = np.arange(sets * layout.channels).reshape(sets, layout.channels)
    bare = EntropyModel("sets", cells.astype(np.uint16), np.zeros(sets, np.uint8), positions=positions)
    of_values = cells[sets_of_positions(owner, layout, positions)].reshape(-1)
    histogram = Histogram.of(symbols.reshape(-1), of_values, cells.size)
    tables = histogram.tables()
    if sets == 1:
        return Fit(tables, bare, histogram)
    selectors = (cells.size + np.arange(sets)).astype(np.uint16)
    model = EntropyModel("sets", bare.map, bare.raw_bits, selectors, positions)
    return Fit(tables + _selectors(owner, sets), model, histogram)


def _selectors(owner: NDArray[np.int64], sets: int) -> list[EntropyTable]:
    """By how often a set followed each."""
    counts = np.zeros((sets, sets))
    np.add.at(counts, (owner[:-1], owner[1:]), 1)
    overall = np.bincount(owner, minlength=sets) + 1.0
    counts += 4 * overall / overall.sum()
    return [table_of(0, row / row.sum(), 0.0) for row in counts]
