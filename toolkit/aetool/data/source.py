"""What every source of raw data offers, and the simplest one: an array."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Protocol

from aetool_runtime.errors import InputError
from aetool_runtime.specs import Array

__all__ = ["ArraySource", "Source", "check_numeric", "column_name", "find_column"]


class Source(Protocol):
    """Rows of numbers: samples, or the time steps of one recording. Raw units, nothing normalized."""

    @property
    def name(self) -> str:
        """What the user called it: a path, or ``builtin:…``."""
        ...

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Rows first; ``None`` where their number is not known before everything is read."""
        ...

    def batches(self, rows: int, start: int = 0) -> Iterator[Array]:
        """Stream [rows, …] in bounded memory, without the first ``start`` rows; only the last batch may be shorter.

        Raises:
            InputError: what is read is not what the source promised; names the row or file.
        """
        ...

    def array(self) -> Array:
        """All rows for random access: memory-mapped where the format allows it, read into memory where not."""
        ...


@dataclass(frozen=True)
class ArraySource:
    """An array in memory or memory-mapped.

    Args:
        name: for messages.
        values: numbers, at least one row.

    Raises:
        InputError: not numbers, no rows, or a single value without an axis.
    """

    name: str
    values: Array = field(repr=False)

    def __post_init__(self) -> None:
        check_numeric(self.values, self.name)

    @property
    def shape(self) -> tuple[int | None, ...]:
        return self.values.shape

    def batches(self, rows: int, start: int = 0) -> Iterator[Array]:
        for at in range(start, len(self.values), rows):
            yield self.values[at : at + rows]

    def array(self) -> Array:
        return self.values


def check_numeric(values: Array, name: str) -> None:
    """Refuse what cannot be rows of numbers.

    Raises:
        InputError: the dtype is not real numbers, or there are no rows.
    """
    if values.dtype.kind not in "biuf":
        raise InputError(
            f"holds {values.dtype}", where=name, expected="integers or floating-point numbers (real, not complex)"
        )
    if values.ndim == 0 or values.size == 0:
        raise InputError(f"holds no rows (shape {list(values.shape)})", where=name)


def column_name(label: str) -> str:
    """The column of the data itself that ``[data] label`` names; "" where it names a file or nothing."""
    return "" if label.lower().endswith(".npy") else label


def find_column(label: str, names: Sequence[str], columns: int, where: str) -> int:
    """The index of a column, named, or numbered from 1 where there are no names.

    Raises:
        InputError: there is none; suggests the nearest.
    """
    if label in names:
        return names.index(label)
    if not names and label.isdecimal() and 1 <= int(label) <= columns:
        return int(label) - 1
    near = get_close_matches(label, names, 1)
    raise InputError(
        f"has no column {label!r}",
        where=where,
        expected=", ".join(names) or f"a number from 1 to {columns}: its columns have no names",
        hint=f"did you mean {near[0]!r}?" if near else "",
    )
