"""Which table codes which value of an array, by one model: its groups, their sets, raw bits, and values beside."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from aetool_runtime.compression.description import EntropyModel, EntropyTable
from aetool_runtime.compression.entropy.rans import Dealing
from aetool_runtime.compression.entropy.set_choice import SetChoice
from aetool_runtime.compression.entropy.tables import TableSet

__all__ = ["Assignment", "Layout", "activity_of", "magnitude", "sets_of_positions"]

_LARGEST = 1 << 20  # what a neighbour counts as at most


class Layout:
    """The sizes of an array [samples, positions …, channels].

    Attributes:
        samples, channels: sizes.
        positions: of a sample, those of all dimensions.
        width, height: the sizes of the last and the last but one dimension of positions; 0 where there is none.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.samples, self.channels = shape[0], shape[-1]
        self.positions = math.prod(shape[1:-1])
        self.width = shape[-2] if len(shape) > 2 else 0
        self.height = shape[-3] if len(shape) > 3 else 0

    @property
    def values(self) -> int:
        return self.samples * self.sample

    @property
    def sample(self) -> int:
        """Values of a sample."""
        return self.positions * self.channels


class Assignment:
    """A model and the tables that it uses, numbered anew. Immutable, so threads may share it.

    Attributes:
        model: with numbers of ``tables``.
        coded_sets: whether the sets of groups are in the stream.
        has_raw_bits: whether any set has.
    """

    def __init__(self, tables: Sequence[EntropyTable], model: EntropyModel) -> None:
        used, local = np.unique(np.append(model.map.reshape(-1), model.selectors), return_inverse=True)
        self._given = [tables[table] for table in used]
        self.model = EntropyModel(
            kind=model.kind,
            map=local[: model.map.size].reshape(model.map.shape).astype(np.uint16),
            raw_bits=model.raw_bits,
            selectors=local[model.map.size :].astype(np.uint16),
            positions=model.positions,
            thresholds=model.thresholds,
        )
        self.coded_sets = model.kind == "sets" and model.sets > 1
        self.has_raw_bits = bool(model.raw_bits.any())
        self.selectors = self.model.selectors.astype(np.int64)
        self._thresholds = np.minimum(model.thresholds, 4 * _LARGEST).astype(np.int32)

    @cached_property
    def tables(self) -> TableSet:
        return TableSet(self._given)

    @cached_property
    def _choice(self) -> SetChoice:
        return SetChoice(self._given, self.model)

    def deal(self, layout: Layout, lanes: int) -> Dealing:
        """How values are dealt."""
        if self.model.kind == "neighbors":
            return Dealing.to_lanes(layout.samples, lanes, layout.sample)
        return Dealing.to_lanes(layout.values, lanes)

    # --- sets ---

    def groups(self, layout: Layout) -> int:
        """How many groups there are."""
        return layout.samples * -(-layout.positions // self.model.positions)

    def choose_sets(self, values: NDArray[np.int32], layout: Layout) -> NDArray[np.int64]:
        """The set of each group that takes the fewest bits."""
        if not self.coded_sets or not values.size:
            return np.zeros(self.groups(layout), np.int64)
        return self._choice.choose(values.reshape(layout.samples, layout.positions, layout.channels))

    def tables_by_sets(self, sets: NDArray[np.int64], layout: Layout) -> NDArray[np.uint16]:
        """The table of each value, in order."""
        return self.model.map.take(self._spread(sets, layout), axis=0).reshape(-1)

    def _spread(self, sets: NDArray[np.int64], layout: Layout) -> NDArray[np.int64]:
        return sets_of_positions(sets, layout, self.model.positions)

    def widths(self, sets: NDArray[np.int64], layout: Layout) -> NDArray[np.uint8]:
        """How many raw bits each value has, in order."""
        return self.model.raw_bits.take(self._spread(sets, layout)).repeat(layout.channels)

    def set_entries(self, sets: NDArray[np.int64], dealing: Dealing) -> NDArray[np.int32]:
        """The entries that code sets: each by the set before in its lane, at first 0."""
        grid = dealing.by_lanes(sets)
        previous = np.zeros_like(grid)
        previous[:, 1:] = grid[:, :-1]
        tables = self.selectors.take(previous.reshape(-1)[: len(sets)])
        return (self.tables.first.take(tables) + sets).astype(np.int32)

    # --- neighbors ---

    def tables_by_neighbors(self, values: NDArray[np.int32]) -> NDArray[np.uint16]:
        """The table of each value [samples, positions …, channels], in order."""
        return self.tables_of_activity(activity_of(values), np.arange(values.shape[-1])).reshape(-1)

    def tables_of_activity(self, activity: NDArray[np.int32], channels: NDArray[np.int64]) -> NDArray[np.uint16]:
        """``activity``: a of BITSTREAM.md, section 2; ``channels``: of each, broadcast against it."""
        return self.model.map[self._thresholds.searchsorted(activity, "right"), channels]


def sets_of_positions(sets: NDArray[np.int64], layout: Layout, shared: int) -> NDArray[np.int64]:
    """The sets of groups of ``shared`` positions → those of all positions, [samples · positions]."""
    if not len(sets):
        return sets
    spread = sets.reshape(layout.samples, -1).repeat(min(shared, layout.positions), axis=1)
    return spread[:, : layout.positions].reshape(-1)


def magnitude(values: NDArray[np.int32] | NDArray[np.int64]) -> NDArray[np.int32]:
    """What values count as beside others."""
    return np.minimum(np.abs(values.astype(np.int64)), _LARGEST).astype(np.int32)


def activity_of(values: NDArray[np.int32]) -> NDArray[np.int32]:
    """a of BITSTREAM.md, section 2, for each of the values [samples, positions …, channels]."""
    beside = magnitude(values)
    activity = np.zeros_like(beside)
    if values.ndim > 2:
        activity[..., 1:, :] += 2 * beside[..., :-1, :]
    if values.ndim > 3:
        activity[..., 1:, :, :] += beside[..., :-1, :, :]
    return activity
