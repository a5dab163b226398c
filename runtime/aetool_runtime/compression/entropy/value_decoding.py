"""The second phase: values from lanes, those that follow from sets and those that follow from their neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aetool_runtime.compression.entropy.assignment import Assignment, Layout, magnitude
from aetool_runtime.compression.entropy.rans import Dealing, Reader
from aetool_runtime.errors import DamagedStreamError

__all__ = ["Escapes", "decode_by_neighbors", "decode_by_sets", "decode_sets"]


class Escapes:
    """Values that no table has, handed out in the order of decoding."""

    def __init__(self, values: NDArray[np.int64]) -> None:
        self._values, self._position = values, 0

    def fill(self, symbols: NDArray[np.int64], where: NDArray[np.bool_]) -> None:
        """Put the next ones where they belong, in C order.

        Raises:
            DamagedStreamError: there are not so many.
        """
        count = int(np.count_nonzero(where))
        if not count:
            return
        if self._position + count > len(self._values):
            raise DamagedStreamError("more values are escapes than the stream brings")
        symbols[where] = self._values[self._position : self._position + count]
        self._position += count

    def finish(self) -> None:
        """Refuse what is left over."""
        if self._position != len(self._values):
            raise DamagedStreamError("escapes are left over", expected=f"{self._position}, not {len(self._values)}")


def decode_sets(reader: Reader, assignment: Assignment, layout: Layout, lanes: int) -> NDArray[np.int64]:
    """The first phase: the set of each group."""
    groups = assignment.groups(layout)
    if not assignment.coded_sets or not groups:
        return np.zeros(groups, np.int64)
    dealing = Dealing.to_lanes(groups, lanes)
    grid = dealing.empty(np.uint8)
    for some, steps in dealing.blocks():
        previous = grid[some, steps.start - 1] if steps.start else np.zeros(some.stop, np.uint8)
        found = reader.read_chain(assignment.selectors, previous.astype(np.int64), steps.stop - steps.start)
        grid[some, steps] = found.T
    return grid.reshape(-1)[:groups].astype(np.int64)


def decode_by_sets(
    reader: Reader, escapes: Escapes, assignment: Assignment, tables: NDArray[np.uint16], dealing: Dealing
) -> NDArray[np.int32]:
    """The symbols of values whose tables are known, in order."""
    grid, symbols = dealing.by_lanes(tables), dealing.empty(np.int32)
    for some, steps in dealing.blocks():
        entries = reader.read(grid[some, steps].T.astype(np.int64))
        symbols[some, steps] = _symbols(entries, escapes, assignment).T
    return symbols.reshape(-1)[: dealing.count]


def decode_by_neighbors(
    reader: Reader, escapes: Escapes, assignment: Assignment, layout: Layout, dealing: Dealing
) -> NDArray[np.int32]:
    """The values of whole samples, each position by those before it, all channels of a position at the same time."""
    symbols = dealing.empty(np.int32)
    channels = np.arange(layout.channels)[:, None]
    for first in range(0, dealing.run, max(layout.sample, 1)):
        lanes = dealing.lanes_at(first)
        beside = np.zeros((layout.positions, layout.channels, lanes), np.int32)
        for position in range(layout.positions):
            tables = assignment.tables_of_activity(_activity(beside, position, layout), channels)
            found = _symbols(reader.read(tables.astype(np.int64)), escapes, assignment)
            beside[position] = magnitude(found)
            start = first + position * layout.channels
            symbols[:lanes, start : start + layout.channels] = found.T
    return symbols.reshape(-1)[: dealing.count]


def _activity(beside: NDArray[np.int32], position: int, layout: Layout) -> NDArray[np.int32]:
    activity: NDArray[np.int32] = np.zeros_like(beside[0])
    if layout.width and position % layout.width:
        activity += 2 * beside[position - 1]
    if layout.height and position // layout.width % layout.height:
        activity += beside[position - layout.width]
    return activity


def _symbols(entries: NDArray[np.int64], escapes: Escapes, assignment: Assignment) -> NDArray[np.int64]:
    tables = assignment.tables
    symbols = tables.value.take(entries)
    escapes.fill(symbols, tables.escape.take(entries))
    return symbols
