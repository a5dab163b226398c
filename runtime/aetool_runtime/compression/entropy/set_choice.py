"""Which set of tables codes each group in the fewest bits, the cost of telling it included."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aetool_runtime.compression.description import EntropyModel, EntropyTable
from aetool_runtime.compression.entropy.cheapest_path import cheapest_path

__all__ = ["SetChoice", "code_lengths"]

_EXACT_BITS, _COARSE_BITS = 11, 5  # significant bits by which values are told apart
_MAX_COSTS = 1 << 18  # a table of costs that stays in the processor's cache
_SMALL = 1 << 15
_GROUPS, _VALUES = 1 << 15, 1 << 20  # that are chosen together, at most
_STRIPE = 1024  # groups whose costs stay in the processor's cache


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
        self._folds = _fold(np.arange(-_SMALL, _SMALL), self._bits).astype(np.int16)
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
        samples, positions, channels = values.shape
        together = min(self._positions, positions)
        groups = -(-positions // together)
        missing = groups * together - positions
        if missing:
            values = np.append(values, np.zeros((samples, missing, channels), np.int32), axis=1)
        grouped = values.reshape(samples * groups, together, channels)
        at_once = max(1, min(_GROUPS, _VALUES // (together * channels)))
        found = []
        for first in range(0, len(grouped), at_once):
            rows = self._rows(grouped[first : first + at_once])
            if missing:
                rows[groups - 1 - first % groups :: groups, -missing:] = len(self._costs) - 1
            costs = _sums(self._costs, rows.reshape(len(rows), -1))
            found.append(cheapest_path(costs, self._selecting, self._selecting[0]))
        return np.concatenate(found)

    def _rows(self, values: NDArray[np.int32]) -> NDArray[np.int64]:
        small = values.min() >= -_SMALL and values.max() < _SMALL
        folded = self._folds.take(values + _SMALL) if small else _fold(values.astype(np.int64), self._bits)
        rows: NDArray[np.int64] = np.clip(folded, self._low, self._high) + (self._first - self._low)
        return rows


def _sums(costs: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """The sums [groups, sets] of the rows of ``costs`` [values, sets] that [groups, values of a group] name.

    Added up value by value, over many groups at the same time; where groups are few and long, over parts of them.
    """
    groups, size = rows.shape
    parts = max(1, min(_STRIPE // groups, size // 16))
    length = -(-size // parts)
    padded = np.full((groups, parts * length), len(costs) - 1)
    padded[:, :size] = rows
    sums = np.zeros((groups * parts, costs.shape[1]), np.float32)
    for first in range(0, groups * parts, _STRIPE):
        stripe = sums[first : first + _STRIPE]
        buffer = np.empty_like(stripe)
        for column in np.ascontiguousarray(padded.reshape(-1, length)[first : first + _STRIPE].T):
            stripe += costs.take(column, axis=0, out=buffer, mode="clip")
    total: NDArray[np.float32] = sums.reshape(groups, parts, -1).sum(axis=1)
    return total


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
