"""``.csv``, ``.tsv`` and ``.txt``: numbers separated by commas, semicolons, tabs or spaces, perhaps below names."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, NoReturn

import numpy as np

from aetool.data.source import find_column
from aetool_runtime.errors import InputError
from aetool_runtime.specs import Array

__all__ = ["DelimitedSource", "open_delimited"]

_SEPARATORS = ",;\t"
_ROWS = 4096


def open_delimited(path: Path, label: str = "") -> DelimitedSource:
    """Look at the first line: which separator, how many columns, names or numbers.

    Args:
        label: a column that is left out of the rows.

    Raises:
        InputError: empty, not text, or without that column.
    """
    first = next(_lines(path), None)
    if first is None:
        raise InputError("is empty", where=str(path), expected="rows of numbers")
    separator = max(_SEPARATORS, key=first.count)
    if separator not in first and path.suffix.lower() == ".txt":
        separator = ""
    cells = next(_cells([first], separator))
    header = tuple(cells) if _is_header(cells) else ()
    left_out = find_column(label, header, len(cells), str(path)) if label else None
    return DelimitedSource(path, separator, len(cells), header, left_out)


@dataclass(frozen=True)
class DelimitedSource:
    """A table in a text file.

    Args:
        separator: "" for any number of spaces.
        columns: all of them.
        header: their names, or nothing.
        label: the index of the column that is no number of a row but its label.
        dtype: of the rows.
    """

    path: Path
    separator: str
    columns: int
    header: tuple[str, ...]
    label: int | None = None
    dtype: Literal["float32", "float64"] = "float32"

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def shape(self) -> tuple[int | None, ...]:
        return (None, len(self._numeric))

    @property
    def _numeric(self) -> list[int]:
        return [column for column in range(self.columns) if column != self.label]

    def labels(self) -> Array:
        """The column ``label``, one for each row: numbers where all of them are, else texts."""
        assert self.label is not None
        rows = islice(_cells(_lines(self.path), self.separator), bool(self.header), None)
        texts = [cells[self.label].strip() if len(cells) == self.columns else "" for cells in rows]
        return np.array([float(text) for text in texts] if all(map(_is_number, texts)) else texts)

    def batches(self, rows: int, start: int = 0) -> Iterator[Array]:
        lines = islice(_lines(self.path), bool(self.header) + start, None)
        read = start
        while chunk := list(islice(lines, rows)):
            yield self._parse(chunk, read)
            read += len(chunk)

    def array(self) -> Array:
        """All rows in memory, float32: text cannot be mapped."""
        blocks = list(self.batches(_ROWS))
        if not blocks:
            raise InputError("holds no rows below the names", where=self.name)
        return np.concatenate(blocks)

    def _parse(self, lines: list[str], read: int) -> Array:
        """The fast way for what is right, the slow way to name what is wrong."""
        if self.label is not None and any(len(cells) != self.columns for cells in _cells(lines, self.separator)):
            self._complain(lines, read)  # reading some columns only, NumPy would not notice
        try:
            values = np.loadtxt(
                lines,
                np.float64,
                delimiter=self.separator or None,
                ndmin=2,
                comments=None,
                quotechar='"',
                usecols=None if self.label is None else self._numeric,
            )
        except ValueError:
            self._complain(lines, read)
        if values.shape != (len(lines), len(self._numeric)):
            self._complain(lines, read)
        with np.errstate(over="ignore"):
            return values.astype(self.dtype)

    def _complain(self, lines: list[str], read: int) -> NoReturn:
        for row, cells in enumerate(_cells(lines, self.separator), read + 1):
            if len(cells) != self.columns:
                raise InputError(
                    f"row {row} has {len(cells)} columns", where=self.name, expected=f"{self.columns} as above"
                )
            for column, cell in enumerate(cells):
                if column != self.label and not _is_number(cell):
                    raise InputError(
                        f"row {row}, column {self._column(column)} is {cell!r}", where=self.name, expected="a number"
                    )
        raise InputError(f"a row after row {read} cannot be read as numbers", where=self.name)

    def _column(self, index: int) -> str:
        return f"{index + 1} ({self.header[index]})" if self.header else str(index + 1)


def _is_header(cells: list[str]) -> bool:
    """Names; or the columns numbered from 0, which is what pandas writes for a table without names."""
    numbered = len(cells) > 1 and [cell.strip() for cell in cells] == [str(column) for column in range(len(cells))]
    return numbered or not any(_is_number(cell) for cell in cells)


def _cells(lines: Iterable[str], separator: str) -> Iterator[list[str]]:
    return csv.reader(lines, delimiter=separator) if separator else (line.split() for line in lines)


def _lines(path: Path) -> Iterator[str]:
    """Lines that are not blank."""
    try:
        with path.open(encoding="utf-8-sig", newline=None) as file:
            for line in file:
                if line.strip():
                    yield line
    except UnicodeDecodeError as error:
        raise InputError(f"is not UTF-8 text (byte {error.start})", where=str(path)) from error


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace("_", "x"))  # float() takes 1_000, which no data file means
    except ValueError:
        return False
    return True
