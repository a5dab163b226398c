"""``.csv`` and ``.tsv``: numbers separated by commas, semicolons or tabs, with or without one line of names."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NoReturn

import numpy as np

from aetool.data.source import Source
from aetool_runtime.errors import InputError
from aetool_runtime.specs import Array

__all__ = ["open_delimited"]

_SEPARATORS = ",;\t"
_ROWS = 4096


def open_delimited(path: Path) -> Source:
    """Look at the first line: which separator, how many columns, names or numbers.

    Raises:
        InputError: empty, or not text.
    """
    first = next(_lines(path), None)
    if first is None:
        raise InputError("is empty", where=str(path), expected="rows of numbers")
    separator = max(_SEPARATORS, key=first.count)
    cells = next(csv.reader([first], delimiter=separator))
    header = tuple(cells) if not any(_is_number(cell) for cell in cells) else ()
    return _DelimitedSource(path, separator, len(cells), header)


@dataclass(frozen=True)
class _DelimitedSource:
    path: Path
    separator: str
    columns: int
    header: tuple[str, ...]

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def shape(self) -> tuple[int | None, ...]:
        return (None, self.columns)

    def batches(self, rows: int) -> Iterator[Array]:
        lines = islice(_lines(self.path), bool(self.header), None)
        read = 0
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
        try:
            values = np.loadtxt(lines, np.float64, delimiter=self.separator, ndmin=2, comments=None, quotechar='"')
        except ValueError:
            self._complain(lines, read)
        if values.shape != (len(lines), self.columns):
            self._complain(lines, read)
        with np.errstate(over="ignore"):
            return values.astype(np.float32)

    def _complain(self, lines: list[str], read: int) -> NoReturn:
        for row, cells in enumerate(csv.reader(lines, delimiter=self.separator), read + 1):
            if len(cells) != self.columns:
                raise InputError(
                    f"row {row} has {len(cells)} columns", where=self.name, expected=f"{self.columns} as above"
                )
            for column, cell in enumerate(cells):
                if not _is_number(cell):
                    raise InputError(
                        f"row {row}, column {self._column(column)} is {cell!r}", where=self.name, expected="a number"
                    )
        raise InputError(f"a row after row {read} cannot be read as numbers", where=self.name)

    def _column(self, index: int) -> str:
        return f"{index + 1} ({self.header[index]})" if self.header else str(index + 1)


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
