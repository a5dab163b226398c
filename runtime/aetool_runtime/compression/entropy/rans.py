"""Interleaved rANS: entries ↔ words, over lanes that go side by side (BITSTREAM.md, section 2).

Duda 2013 (arXiv:1311.2540), interleaved as Giesen 2014 (arXiv:1402.3392): states in [2^16, 2^32), words of 16 bits,
frequencies that sum to 2^14. Two implementations of one contract: NumPy over the lanes, and loops over Python's
integers, which are faster where lanes are few.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from aetool_runtime.compression.description import PRECISION
from aetool_runtime.compression.entropy.tables import TableSet
from aetool_runtime.errors import DamagedStreamError

__all__ = ["FINAL_STATE", "Dealing", "Reader", "encode_lanes", "open_lanes"]

FINAL_STATE = 1 << 16
_MASK = (1 << PRECISION) - 1
_VECTOR_LANES = 32  # from here on NumPy is faster
_BLOCK = 1 << 15  # entries: what is looked at together stays in the processor's cache
_T = TypeVar("_T", bound=np.integer[Any])


@dataclass(frozen=True)
class Dealing:
    """How the elements of a phase are dealt to lanes: runs of ``run``, the last one shorter; some lanes have none.

    Args:
        count: elements.
        run: elements of a lane; 0 when there are none at all.
    """

    count: int
    run: int

    @classmethod
    def to_lanes(cls, units: int, lanes: int, size: int = 1) -> Dealing:
        """Deal ``units`` of ``size`` elements each, whole ones."""
        return cls(units * size, -(-units // lanes) * size)

    def blocks(self) -> Iterator[tuple[slice, slice]]:
        """Lanes and steps that go together, in the order of decoding."""
        full, rest = divmod(self.count, self.run) if self.count else (0, 0)
        for first, last, lanes in ((0, rest, full + 1), (rest, self.run, full)):
            steps = max(1, _BLOCK // max(1, lanes))
            for step in range(first, last, steps):
                yield slice(0, lanes), slice(step, min(step + steps, last))

    def lanes_at(self, step: int) -> int:
        """How many lanes, the first ones, have an element of this number."""
        full, rest = divmod(self.count, self.run)
        return full + (step < rest)

    def empty(self, dtype: type[_T]) -> NDArray[_T]:
        """Room for all elements and what the last lane misses, [lanes that have any, run]."""
        return np.zeros((-(-self.count // max(self.run, 1)), self.run), dtype)

    def by_lanes(self, flat: NDArray[_T]) -> NDArray[_T]:
        """[count] → [lanes that have any, run], what is missing at the end as zeros."""
        grid = self.empty(flat.dtype.type)
        grid.reshape(-1)[: self.count] = flat
        return grid

    def order(self, elements: NDArray[np.int64]) -> NDArray[np.int64]:
        """Numbers of elements, ascending, in the order of decoding."""
        if not len(elements):
            return elements
        lanes, steps = np.divmod(elements, self.run)
        return elements[np.lexsort((lanes, steps))]


class Reader(Protocol):
    """Lanes being decoded."""

    def read(self, tables: NDArray[np.int64]) -> NDArray[np.int64]:
        """The next entries of the first lanes, [steps, lanes], each by its table."""
        ...

    def read_chain(self, selectors: NDArray[np.int64], previous: NDArray[np.int64], steps: int) -> NDArray[np.int64]:
        """The next indices [steps, lanes], each by the table that the index before selects, at first ``previous``."""
        ...

    def finish(self) -> None:
        """Refuse states other than 2^16, or words left over."""
        ...


def open_lanes(tables: TableSet, states: NDArray[np.int64], words: NDArray[np.int64]) -> Reader:
    """Begin to decode.

    Raises:
        DamagedStreamError: a state below 2^16; the reader's methods, when words run out.
    """
    if len(states) and states.min() < FINAL_STATE:
        raise DamagedStreamError("a state of the entropy coder is out of range", expected="2^16 to 2^32 - 1")
    kind = _VectorReader if len(states) >= _VECTOR_LANES else _ScalarReader
    return kind(tables, states, words)


def _out_of_words() -> DamagedStreamError:
    return DamagedStreamError("the coded values need more words than there are")


def _bad_index() -> DamagedStreamError:
    return DamagedStreamError("the index of a set is an escape")


def _check_end(final: bool, words_left: int) -> None:
    if not final or words_left:
        raise DamagedStreamError("the coded values do not end as they should", expected="states of 2^16, no word left")


class _VectorReader:
    def __init__(self, tables: TableSet, states: NDArray[np.int64], words: NDArray[np.int64]) -> None:
        self._tables, self._words = tables, words
        self._states, self._position = states.copy(), 0
        self._slots, self._factors = np.empty_like(states), np.empty_like(states)

    def read(self, tables: NDArray[np.int64]) -> NDArray[np.int64]:
        bases = tables << PRECISION
        entries = np.empty(tables.shape, np.int64)
        for base, found in zip(bases, entries, strict=True):
            self._step(base, found)
        return entries

    def read_chain(self, selectors: NDArray[np.int64], previous: NDArray[np.int64], steps: int) -> NDArray[np.int64]:
        indices = np.empty((steps, len(previous)), np.int64)
        for found in indices:
            chosen = selectors.take(previous)
            self._step(chosen << PRECISION, found)
            found -= self._tables.first.take(chosen)
            if found.max() >= len(selectors):
                raise _bad_index()
            previous = found
        return indices

    def _step(self, base: NDArray[np.int64], found: NDArray[np.int64]) -> None:
        """Decode one entry of each of the first lanes."""
        lanes = len(base)
        x, slots, factors = self._states[:lanes], self._slots[:lanes], self._factors[:lanes]
        np.bitwise_and(x, _MASK, out=slots)
        slots += base
        self._tables.find(slots, found)
        x >>= PRECISION
        self._tables.frequency.take(found, out=factors, mode="clip")
        x *= factors
        self._tables.origin.take(found, out=factors, mode="clip")
        slots -= factors
        x += slots
        (small,) = (x < FINAL_STATE).nonzero()
        count = len(small)
        if count:
            words = self._words[self._position : self._position + count]
            if len(words) < count:
                raise _out_of_words()
            x[small] = (x[small] << 16) | words
            self._position += count

    def finish(self) -> None:
        _check_end(bool((self._states == FINAL_STATE).all()), len(self._words) - self._position)


class _ScalarReader:
    def __init__(self, tables: TableSet, states: NDArray[np.int64], words: NDArray[np.int64]) -> None:
        self._tables = tables
        self._states: list[int] = states.tolist()
        self._words: Iterator[int] = iter(words.tolist())

    def read(self, tables: NDArray[np.int64]) -> NDArray[np.int64]:
        lanes = tables.shape[1]
        try:
            entries = self._read_one(tables) if lanes == 1 else self._read_some(tables)
        except StopIteration:
            raise _out_of_words() from None
        return np.array(entries, np.int64).reshape(tables.shape)

    def _read_one(self, tables: NDArray[np.int64]) -> list[int]:
        lists, words, x, entries = self._tables.lists, self._words, self._states[0], []
        for table in tables[:, 0].tolist():
            first, starts, frequencies = lists[table]
            r = x & _MASK
            i = bisect_right(starts, r) - 1
            x = frequencies[i] * (x >> PRECISION) + r - starts[i]
            if x < FINAL_STATE:
                x = x << 16 | next(words)
            entries.append(first + i)
        self._states[0] = x
        return entries

    def _read_some(self, tables: NDArray[np.int64]) -> list[int]:
        lists, words, states, entries = self._tables.lists, self._words, self._states, []
        for row in tables.tolist():
            for lane, table in enumerate(row):
                first, starts, frequencies = lists[table]
                x = states[lane]
                r = x & _MASK
                i = bisect_right(starts, r) - 1
                x = frequencies[i] * (x >> PRECISION) + r - starts[i]
                if x < FINAL_STATE:
                    x = x << 16 | next(words)
                states[lane] = x
                entries.append(first + i)
        return entries

    def read_chain(self, selectors: NDArray[np.int64], previous: NDArray[np.int64], steps: int) -> NDArray[np.int64]:
        lists, words, states = self._tables.lists, self._words, self._states
        last, chosen, indices = previous.tolist(), [lists[table] for table in selectors.tolist()], []
        try:
            for _ in range(steps):
                for lane, index in enumerate(last):
                    _, starts, frequencies = chosen[index]
                    x = states[lane]
                    r = x & _MASK
                    i = bisect_right(starts, r) - 1
                    x = frequencies[i] * (x >> PRECISION) + r - starts[i]
                    if x < FINAL_STATE:
                        x = x << 16 | next(words)
                    states[lane] = x
                    last[lane] = i
                indices.append(last.copy())
        except StopIteration:
            raise _out_of_words() from None
        except IndexError:  # chosen[i]: the escape stands for no set
            raise _bad_index() from None
        if len(chosen) in last:
            raise _bad_index()
        return np.array(indices, np.int64).reshape(steps, len(last))

    def finish(self) -> None:
        _check_end(all(x == FINAL_STATE for x in self._states), len(list(self._words)))


def encode_lanes(
    tables: TableSet, phases: list[tuple[Dealing, NDArray[np.int32]]], lanes: int
) -> tuple[NDArray[np.uint32], NDArray[np.uint16]]:
    """Code entries, phase by phase.

    Args:
        phases: how each is dealt, and its entries in their order.

    Returns:
        The states [lanes] and the words with which decoding begins.
    """
    write = _write_vector if lanes >= _VECTOR_LANES else _write_scalar
    states: NDArray[np.float64] = np.full(lanes, float(FINAL_STATE))
    written: list[NDArray[np.uint16]] = []
    for dealing, entries in reversed(phases):
        grid = dealing.by_lanes(entries)
        for some, steps in reversed(list(dealing.blocks())):
            written.append(write(tables, np.ascontiguousarray(grid[some, steps].T), states))
    words = np.concatenate(written[::-1]) if written else np.empty(0, np.uint16)
    return states.astype(np.uint32), words


def _write_vector(tables: TableSet, entries: NDArray[np.int32], states: NDArray[np.float64]) -> NDArray[np.uint16]:
    """Put [steps, lanes] entries before what the states hold; the words that leave them.

    With f and c, x becomes ⌊x / f⌋ · 2^14 + x mod f + c = x + ⌊x / f⌋ · (2^14 − f) + c. All of it is below 2^53, hence
    exact in 64-bit floating point, whose division is several times as fast as that of integers; its quotient is never
    rounded up to the next integer, since x / f is at least 2^−14 away from it.
    """
    x = states[: entries.shape[1]]
    frequency = tables.frequency.astype(np.float64)
    f = frequency.take(entries)
    gap, start, limit = (1 << PRECISION) - f, tables.start.astype(np.float64).take(entries), f * (1 << 18)
    words = np.empty(entries.size, np.uint16)
    position = entries.size
    quotient = np.empty_like(x)
    for step in range(len(entries) - 1, -1, -1):
        (large,) = (x >= limit[step]).nonzero()
        if len(large):
            leaving = x[large].astype(np.int64)
            words[position - len(large) : position] = leaving & 0xFFFF
            x[large] = leaving >> 16
            position -= len(large)
        np.divide(x, f[step], out=quotient)
        np.floor(quotient, out=quotient)
        quotient *= gap[step]
        x += quotient
        x += start[step]
    return words[position:]


def _write_scalar(tables: TableSet, entries: NDArray[np.int32], states: NDArray[np.float64]) -> NDArray[np.uint16]:
    lanes = entries.shape[1]
    x: list[int] = states[:lanes].astype(np.int64).tolist()
    frequencies, starts = tables.frequency[entries[::-1]].tolist(), tables.start[entries[::-1]].tolist()
    words: list[int] = []
    for fs, cs in zip(frequencies, starts, strict=True):
        for lane in range(lanes - 1, -1, -1):
            f, state = fs[lane], x[lane]
            if state >= f << 18:
                words.append(state & 0xFFFF)
                state >>= 16
            x[lane] = (state // f << PRECISION) + state % f + cs[lane]
    states[:lanes] = x
    return np.array(words[::-1], np.uint16)
