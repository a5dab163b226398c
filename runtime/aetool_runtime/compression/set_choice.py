"""Which set of tables codes each group in the fewest bits, the cost of telling it included."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from aetool_runtime.compression.description import EntropyModel, EntropyTable

__all__ = ["SetChoice", "code_lengths"]

_EXACT_BITS, _COARSE_BITS = 11, 5  # significant bits by which values are told apart
_MAX_COSTS = 1 << 18  # a table of costs that stays in the processor's cache
_BLOCK = 1 << 19  # costs that are held at the same time
_SEGMENT = 64  # groups that are chosen one after the other


class SetChoice:
    """The sets that an encoder uses; any others would decode as well. Immutable.

    A group's cost is a sum over its values of rows of a table [values of each channel, sets]. Where exact rows
    would be many, values are told apart by their leading bits.
    """

    def __init__(self, tables: list[EntropyTable], model: EntropyModel) -> None:
        """``tables``: all that ``model`` refers to."""
        self._positions, self._channels = model.positions, model.channels
        for self._bits in (_EXACT_BITS, _COARSE_BITS):
            self._low, self._high = self._ranges(tables, model)
            sizes = self._high - self._low + 1
            if int(sizes.sum()) * model.sets <= _MAX_COSTS:
                break
        self._first = np.cumsum(sizes) - sizes
        self._costs = np.zeros((int(sizes.sum()) + 1, model.sets), np.float32)  # the last: no value at all
        for channel, (first, low, high) in enumerate(zip(self._first, self._low, self._high, strict=True)):
            values = _unfold(np.arange(low, high + 1), self._bits)
            for number, table in enumerate(model.map[:, channel]):
                raw = int(model.raw_bits[number])
                self._costs[first : first + high - low + 1, number] = code_lengths(tables[table], values, raw)
        chosen = [tables[table] for table in model.selectors]
        self._selecting = np.array([code_lengths(table, np.arange(model.sets)) for table in chosen], np.float32)

    def _ranges(self, tables: list[EntropyTable], model: EntropyModel) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """For each channel, the folded values that its tables tell apart, and one on each side for all others."""
        low = np.array([table.low for table in tables], np.int64)[model.map]
        high = low + np.array([len(table.frequencies) - 2 for table in tables], np.int64)[model.map]
        raw = model.raw_bits.astype(np.int64)[:, None]
        lows, highs = (low << raw).min(axis=0), ((high + 1 << raw) - 1).max(axis=0)
        return _fold(lows, self._bits) - 1, _fold(highs, self._bits) + 1

    def choose(self, values: NDArray[np.int32]) -> NDArray[np.int64]:
        """Values [samples, positions, channels] → the set of each group, [samples · groups of a sample]."""
        found = [self._cheapest_path(costs) for costs in self._group_costs(values)]
        return np.concatenate(found) if found else np.empty(0, np.int64)

    def _group_costs(self, values: NDArray[np.int32]) -> Iterator[NDArray[np.float32]]:
        """[groups, sets], some groups at a time."""
        samples, positions, channels = values.shape
        size = self._positions * channels
        groups = -(-positions // self._positions)
        rows_at_once = max(1, _BLOCK // (min(size, positions * channels) * self._costs.shape[1]))
        for first in range(0, samples * groups, rows_at_once):
            numbers = np.arange(first, min(first + rows_at_once, samples * groups))
            sample, group = np.divmod(numbers, groups)
            place = group[:, None] * self._positions + np.arange(min(self._positions, positions))
            rows = self._rows(values[sample[:, None], np.minimum(place, positions - 1)])
            rows[place >= positions] = len(self._costs) - 1
            yield self._costs.take(rows.reshape(len(numbers), -1), axis=0).sum(axis=1)

    def _rows(self, values: NDArray[np.int32]) -> NDArray[np.int64]:
        folded = _fold(values.astype(np.int64), self._bits)
        rows: NDArray[np.int64] = np.clip(folded, self._low, self._high) - self._low + self._first
        return rows

    def _cheapest_path(self, costs: NDArray[np.float32]) -> NDArray[np.int64]:
        """Viterbi (1967) over segments of consecutive groups, all segments at the same time."""
        groups, sets = costs.shape
        length = min(_SEGMENT, groups)
        segments = -(-groups // length)
        padded = np.zeros((segments * length, sets), np.float32)
        padded[:groups] = costs
        steps = padded.reshape(segments, length, sets).swapaxes(0, 1)
        best, before = steps[0].copy(), np.empty((length, segments, sets), np.uint8)
        best[0] += self._selecting[0]
        for step in range(1, length):
            best, before[step] = self._advance(best)
            best += steps[step]
        path = np.empty((length, segments), np.int64)
        path[-1] = best.argmin(axis=1)
        for step in range(length - 1, 0, -1):
            path[step - 1] = np.take_along_axis(before[step], path[step][:, None], 1)[:, 0]
        return path.T.reshape(-1)[:groups]

    def _advance(self, best: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """The cheapest way to each set, [segments, sets], and the set before on it."""
        least = best[:, :1] + self._selecting[0]
        before = np.zeros(best.shape, np.uint8)
        for number in range(1, best.shape[1]):
            costs = best[:, number, None] + self._selecting[number]
            np.copyto(before, number, where=costs < least)
            np.minimum(least, costs, out=least)
        return least, before


def code_lengths(table: EntropyTable, values: NDArray[np.int64], raw_bits: int = 0) -> NDArray[np.float64]:
    """The bits that values [n] take by one table: entry, escape, raw bits."""
    symbols = values >> raw_bits
    lengths = 14.0 - np.log2(table.frequencies)
    place = symbols - table.low
    coded = (place >= 0) & (place < len(lengths) - 1)
    bits = lengths[np.where(coded, place, -1)] + raw_bits
    magnitude = np.maximum(np.abs(2.0 * symbols + 0.5), 1)
    escaped = 8 * np.floor(np.log2(magnitude) / 7 + 1)
    return bits + np.where(coded, 0, escaped)


def _fold(values: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """Ascending; the value itself below 2^bits in magnitude, then with so many significant bits."""
    magnitude = np.abs(values).astype(np.float32)
    leading = (magnitude.view(np.int32) >> (24 - bits)).astype(np.int64)
    exact = 1 << bits
    folded = np.where(magnitude < exact, magnitude.astype(np.int64), leading - _leading(bits) + exact)
    return np.where(values < 0, -folded, folded)


def _unfold(folded: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """The smallest magnitude that is folded so."""
    exact = 1 << bits
    magnitude = np.abs(folded)
    leading = (np.maximum(magnitude - exact, 0) + _leading(bits)).astype(np.int32) << (24 - bits)
    values = np.where(magnitude < exact, magnitude, leading.view(np.float32).astype(np.int64))
    return np.where(folded < 0, -values, values)


def _leading(bits: int) -> int:
    """The leading bits of 2^bits as a 32-bit float: exponent and bits − 1 of the fraction."""
    return (127 + bits) << (bits - 1)
