"""Parquet: numeric columns, or one column of fixed-size lists, streamed by pyarrow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aetool.data.packages import import_package
from aetool.data.source import find_column
from aetool_runtime.errors import InputError
from aetool_runtime.specs import Array

__all__ = ["ParquetSource", "open_parquet"]

_ROWS = 65536


def open_parquet(path: Path, label: str = "") -> ParquetSource:
    """Read the file's schema.

    Args:
        label: a column that is left out of the rows.

    Raises:
        InputError: broken, no rows, a column that is not numbers, or no such column.
        DependencyError: pyarrow is not installed.
    """
    with _File(path) as file:
        schema, rows = file.schema_arrow, file.metadata.num_rows
    if label:
        find_column(label, schema.names, 0, str(path))
    columns = [column for column in schema if column.name != label]
    if not rows or not columns:
        raise InputError("holds no rows", where=str(path))
    names = tuple(column.name for column in columns)
    if len(columns) == 1 and (size := getattr(columns[0].type, "list_size", 0)):
        _check_type(path, columns[0].name, columns[0].type.value_type)
        return ParquetSource(path, (rows, size), names, label, lists=True)
    for column in columns:
        _check_type(path, column.name, column.type)
    return ParquetSource(path, (rows, len(columns)), names, label, lists=False)


def _check_type(path: Path, column: str, kind: Any) -> None:
    types = import_package("pyarrow.types", extra="data")
    if not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)):
        raise InputError(
            f"column {column!r} holds {kind}",
            where=str(path),
            expected="only columns of numbers, or one column of fixed-size lists of numbers",
            hint=f"write the file without {column!r}",
        )


@dataclass(frozen=True)
class ParquetSource:
    """A Parquet file.

    Args:
        shape: rows and values of each.
        columns: names of those that make a row.
        label: name of the one that is its label, or nothing.
        lists: there is one column, of lists.
    """

    path: Path
    shape: tuple[int, ...]
    columns: tuple[str, ...]
    label: str
    lists: bool

    @property
    def name(self) -> str:
        return str(self.path)

    def batches(self, rows: int, start: int = 0) -> Iterator[Array]:
        with _File(self.path) as file:
            first, groups = _row_groups(file.metadata, start)
            past = start - first  # rows of the first group that are passed over
            kept = []
            for batch in file.iter_batches(batch_size=rows, row_groups=groups, columns=list(self.columns)):
                kept.append(self._rows(batch, first)[past:])
                first, past = first + batch.num_rows, max(0, past - batch.num_rows)
                while sum(map(len, kept)) >= rows:
                    whole = np.concatenate(kept)
                    yield whole[:rows]
                    kept = [whole[rows:]]
            rest = np.concatenate(kept) if kept else ()
            if len(rest):
                yield np.asarray(rest)

    def labels(self) -> Array:
        """The column ``label``, one for each row; "" where it is empty."""
        with _File(self.path) as file:
            found = file.read(columns=[self.label]).column(0).to_pylist()
        return np.array([str(value) if value is not None else "" for value in found])

    def array(self) -> Array:
        """All rows in memory: columns are stored one after the other, which no mapping turns into rows."""
        return np.concatenate(list(self.batches(_ROWS)))

    def _rows(self, batch: Any, read: int) -> Array:
        for column, name in zip(batch.columns, batch.schema.names, strict=True):
            values = column.flatten() if self.lists else column
            if column.null_count or values.null_count:
                row = column.is_null().to_pylist().index(True) if column.null_count else None
                place = f"row {read + row + 1}" if row is not None else f"a list after row {read}"
                raise InputError(f"{place}, column {name!r} is empty (null)", where=self.name, expected="a number")
        arrays = [_numbers(column.flatten() if self.lists else column) for column in batch.columns]
        return arrays[0].reshape(-1, self.shape[1]) if self.lists else np.stack(arrays, axis=1)


def _row_groups(metadata: Any, start: int) -> tuple[int, list[int]]:
    """The groups that hold row ``start`` and all behind it, and the first one's first row."""
    first, at = 0, 0
    while at < metadata.num_row_groups and first + metadata.row_group(at).num_rows <= start:
        first += metadata.row_group(at).num_rows
        at += 1
    return first, list(range(at, metadata.num_row_groups))


def _numbers(column: Any) -> Array:
    return np.asarray(column.to_numpy(zero_copy_only=False))


class _File:
    """An open Parquet file whose failures are ours."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._arrow = import_package("pyarrow", extra="data")

    def __enter__(self) -> Any:
        try:
            # Buffering ahead keeps all that was read until the file is closed.
            library = import_package("pyarrow.parquet", extra="data")
            self._file = library.ParquetFile(self._path, pre_buffer=False)
        except (self._arrow.ArrowException, OSError) as error:
            raise InputError(f"cannot be read as Parquet ({error})", where=str(self._path)) from error
        return self._file

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._file.close()
        if isinstance(error, self._arrow.ArrowException | OSError):
            raise InputError(f"cannot be read as Parquet ({error})", where=str(self._path)) from error
