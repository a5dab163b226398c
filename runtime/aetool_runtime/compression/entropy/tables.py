"""Entropy tables as flat arrays: value → entry, slot → entry, entry → frequency and start."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from aetool_runtime.compression.description import PRECISION, EntropyTable

__all__ = ["TableSet"]

_SLOTS = 1 << PRECISION
_MAX_DIRECT = 512  # tables: 64 MiB of slots; more are searched


class TableSet:
    """Some tables side by side. An *entry* is numbered among all entries of all tables; a table's last is its escape.

    The tables must have been checked (``reading.py`` does). Immutable, so threads may share it.

    Attributes:
        low, size, first: int64 [tables]: smallest value, number of entries, number of the first one.
        frequency, start: int64 [entries]: f and c of BITSTREAM.md, section 2.
        value: int64 [entries]: what an entry stands for, without meaning for escapes.
        escape: bool [entries].
        bits: float64 [entries]: the code length.
    """

    def __init__(self, tables: Sequence[EntropyTable]) -> None:
        self.low = np.array([table.low for table in tables], np.int64)
        self.size = np.array([len(table.frequencies) for table in tables], np.int64)
        self.first = np.cumsum(self.size) - self.size
        self.frequency = np.concatenate([table.frequencies for table in tables]).astype(np.int64)
        self.table = np.repeat(np.arange(len(tables)), self.size)
        self.start = np.cumsum(self.frequency) - self.frequency - self.table * _SLOTS
        self.value = np.arange(len(self.frequency)) + (self.low - self.first)[self.table]
        self.escape = np.zeros(len(self.frequency), bool)
        self.escape[self.first + self.size - 1] = True
        self.bits = PRECISION - np.log2(self.frequency)

    @cached_property
    def origin(self) -> NDArray[np.int64]:
        """int64 [entries]: the first slot, numbered among the 2^14 of each table."""
        return self.start + self.table * _SLOTS

    @cached_property
    def _slots(self) -> NDArray[np.int64] | None:
        return np.repeat(np.arange(len(self.frequency)), self.frequency) if len(self.low) <= _MAX_DIRECT else None

    def entries_of(self, tables: NDArray[np.int64], values: NDArray[np.int64]) -> NDArray[np.int64]:
        """The entries that code values, each by its table: the escape where it has no other."""
        last = self.size.take(tables) - 1
        place = values - self.low.take(tables)
        np.copyto(place, last, where=(place < 0) | (place > last))
        place += self.first.take(tables)
        return place

    def find(self, slots: NDArray[np.int64], out: NDArray[np.int64]) -> None:
        """The entries that own slots, which are numbered as in ``origin``."""
        if self._slots is not None:
            self._slots.take(slots, out=out, mode="clip")
        else:
            np.subtract(self.origin.searchsorted(slots, "right"), 1, out=out)

    @cached_property
    def lists(self) -> list[tuple[int, list[int], list[int]]]:
        """Each table as the number of its first entry, its starts, its frequencies: for loops over few lanes."""
        cuts = self.first[1:]
        starts, frequencies = np.split(self.start, cuts), np.split(self.frequency, cuts)
        return [(int(f), s.tolist(), n.tolist()) for f, s, n in zip(self.first, starts, frequencies, strict=True)]
