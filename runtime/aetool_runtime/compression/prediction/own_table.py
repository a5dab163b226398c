"""A table that a chunk brings for itself, where the bundle's residual model does not fit (BITSTREAM.md, section 7)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aetool_runtime.compression.description import PRECISION, EntropyTable
from aetool_runtime.compression.fields import Cursor
from aetool_runtime.compression.varints import format_varint, format_zigzag

__all__ = ["format_table", "own_bytes", "own_table", "parse_table"]

_MAX_ENTRIES = 4096
_LIMIT = 2**31


def own_table(values: NDArray[np.int64]) -> EntropyTable | None:
    """The table of these values' own frequencies; ``None`` where they are spread too wide, or too few to pay for it."""
    low, high = int(values.min()), int(values.max())
    if high - low + 2 > min(_MAX_ENTRIES, values.size):
        return None
    counts = np.append(np.bincount((values - low).reshape(-1), minlength=high - low + 1), 0)
    return EntropyTable(low, _normalized(counts).astype(np.uint16))


def _normalized(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Counts → frequencies, each at least 1, sum 2^14; the largest take what rounding leaves."""
    room = (1 << PRECISION) - len(counts)
    frequencies = 1 + counts * room // counts.sum()
    order = np.argsort(-counts, kind="stable")
    frequencies[order[: (1 << PRECISION) - int(frequencies.sum())]] += 1
    return np.asarray(frequencies)


def own_bytes(table: EntropyTable, values: NDArray[np.int64]) -> float:
    """About what the table and values coded by it take."""
    counts = np.bincount((values - table.low).reshape(-1), minlength=len(table.frequencies))
    return float(counts @ (PRECISION - np.log2(table.frequencies))) / 8 + len(format_table(table))


def format_table(table: EntropyTable) -> bytes:
    """Its lowest value, how many entries, and their frequencies."""
    parts = [format_zigzag(np.array([table.low], np.int64)), format_varint(len(table.frequencies))]
    return b"".join([*parts, *map(format_varint, table.frequencies.tolist())])


def parse_table(fields: Cursor) -> EntropyTable:
    """Read a table.

    Raises:
        DamagedStreamError: it breaks the rules of BITSTREAM.md, section 2.
    """
    low, count = fields.signed(), fields.varint(2, _MAX_ENTRIES)
    frequencies = [fields.varint(1, 1 << PRECISION) for _ in range(count)]
    if sum(frequencies) != 1 << PRECISION:
        fields.refuse(f"a table's frequencies sum to {sum(frequencies)}", f"{1 << PRECISION}")
    if not (low >= -_LIMIT and low + count - 2 < _LIMIT):
        fields.refuse("a table leaves 32 bits")
    return EntropyTable(low, np.array(frequencies, np.uint16))
