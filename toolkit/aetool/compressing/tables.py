"""CSV and Parquet: numeric columns, or a column of vectors, both ways."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from aetool.compressing.arrays import batch_rows
from aetool.compressing.content import Content
from aetool.compressing.form import Form
from aetool.compressing.numbers import Wanted, back_to, loss_of, narrowed
from aetool.compressing.placing import place
from aetool.data.packages import import_package
from aetool.data.readers.delimited import open_delimited
from aetool.data.readers.parquet import ParquetSource, open_parquet
from aetool.data.source import Source
from aetool_runtime.compression.description import Compression
from aetool_runtime.errors import InputError
from aetool_runtime.specs import Array

__all__ = ["csv_content", "parquet_content", "write_csv", "write_parquet"]

_INTEGERS = ("int16", "uint16", "int32")


@dataclass(frozen=True)
class _Seen:
    """What a first pass over a table found.

    Args:
        rows: how many.
        integers: the narrowest type that holds every value; "" where some are no integers.
        largest: magnitude.
        short: 32-bit floats, written in as few digits as tell them apart, are the same numbers.
    """

    rows: int
    integers: str
    largest: float
    short: bool


def csv_content(path: Path, compression: Compression, wanted: Wanted) -> Content:
    """A table of numbers in a text file; names and separator travel along.

    Raises:
        InputError: not numbers, other columns than the bundle takes, or more digits than can be kept.
    """
    source = replace(open_delimited(path), dtype="float64")
    columns = source.shape[1] or 0
    rows_at_once = batch_rows(columns)
    seen = _look(source.batches(rows_at_once))
    if not seen.rows:
        raise InputError("holds no rows below the names", where=str(path))
    if wanted.exact and not (seen.integers or seen.short):
        raise InputError(
            "holds numbers of more digits than 32-bit floats keep",
            where=str(path),
            hint="--max-error E, or fewer digits",
        )
    loss = 0.0 if seen.integers else 2 * loss_of(np.dtype(np.float64), seen.largest + (wanted.max_error or 0), wanted)
    kept = wanted.less(loss, str(path))
    placement = place((columns,) if columns > 1 else (), compression.sample_shape, str(path))
    dtype = seen.integers or "float32"

    def batches() -> Iterator[Array]:
        for batch in source.batches(rows_at_once):
            yield batch.astype(dtype).reshape(-1, *placement.item_shape)

    members = {"columns": columns, "separator": source.separator, "names": list(source.header)}
    return Content(str(path), batches, Form("csv", members), kept, placement.recording, None, seen.rows)


def _look(batches: Iterable[Array]) -> _Seen:
    rows, low, high, largest, whole, short = 0, 0.0, 0.0, 0.0, True, True
    for batch in batches:
        rows += len(batch)
        finite = batch[np.isfinite(batch)]
        whole = whole and finite.size == batch.size and bool(np.all(finite == np.rint(finite)))
        low, high = min(low, finite.min(initial=0.0)), max(high, finite.max(initial=0.0))
        largest = max(-low, high)
        short = short and largest < 3e38 and np.array_equal(finite.astype(np.float32).astype(str).astype(float), finite)
    fits = (name for name in _INTEGERS if np.iinfo(name).min <= low and high <= np.iinfo(name).max)
    return _Seen(rows, next(fits, "") if whole else "", float(largest), short)


def write_csv(parts: Iterable[Array], form: Form, file: BinaryIO) -> tuple[int, ...]:
    """Write rows as they come, numbers in as few digits as tell them apart; the table's shape."""
    columns, separator = int(form.members["columns"]), str(form.members["separator"]) or " "
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    table = csv.writer(text, delimiter=separator, lineterminator="\n")
    if form.members["names"]:
        table.writerow(form.members["names"])
    rows = 0
    for part in parts:
        values = part.reshape(-1, columns)
        cells = values.astype(str)
        if values.dtype.kind == "f":
            cells = np.strings.removesuffix(cells, ".0") if hasattr(np.strings, "removesuffix") else _bare(cells)
        table.writerows(cells.tolist())
        rows += len(values)
    text.detach()
    return (rows, columns)


def _bare(cells: Array) -> Array:
    """Without the .0 of whole numbers."""
    return np.array([[cell.removesuffix(".0") for cell in row] for row in cells.tolist()])


# --- Parquet ---


def parquet_content(path: Path, compression: Compression, wanted: Wanted) -> Content:
    """Numeric columns, or one column of vectors; names and types travel along.

    Raises:
        InputError: other columns, or values that neither 32-bit integers nor floats hold.
    """
    source = open_parquet(path)
    members = _schema(source)
    row = source.shape[1:] if source.lists or len(source.columns) > 1 else ()
    placement = place(row, compression.sample_shape, str(path))
    dtype = next(source.batches(1)).dtype
    kept = _bounded(source, dtype, members["types"], wanted)
    rows_at_once = batch_rows(source.shape[1])

    def batches() -> Iterator[Array]:
        for batch in narrowed(source.batches(rows_at_once), kept, str(path)):
            yield batch.reshape(-1, *placement.item_shape)

    form = Form("parquet", members)
    return Content(str(path), batches, form, kept, placement.recording, None, source.shape[0], float(dtype.itemsize))


def _bounded(source: Source, dtype: np.dtype[np.generic], types: list[str], wanted: Wanted) -> Wanted:
    """What the stream must keep, when integer columns among floats are rounded again."""
    if wanted.max_error is None or wanted.exact:
        return wanted
    if "bool" in types:
        return Wanted(lossless=True)
    largest = _look(source.batches(batch_rows(source.shape[1] or 1))).largest if dtype.kind == "f" else 0.0
    narrowest = np.dtype(np.float16) if "halffloat" in types else dtype
    loss = loss_of(dtype, largest, wanted) + (loss_of(narrowest, largest, wanted) if narrowest != dtype else 0.0)
    mixed = dtype.kind == "f" and any("int" in kind for kind in types)
    return wanted.less(loss + (0.5 if mixed and wanted.max_error >= 0.5 else 0.0), source.name)


def _schema(source: ParquetSource) -> dict[str, Any]:
    parquet = import_package("pyarrow.parquet", extra="data")
    with parquet.ParquetFile(source.path) as file:
        fields = [file.schema_arrow.field(name) for name in source.columns]
    types = [str(field.type.value_type if source.lists else field.type) for field in fields]
    return {"names": list(source.columns), "types": types, "lists": source.shape[1] if source.lists else 0}


def write_parquet(parts: Iterable[Array], form: Form, file: BinaryIO) -> tuple[int, ...]:
    """Write a row group for each part; the table's shape."""
    arrow = import_package("pyarrow", extra="data")
    parquet = import_package("pyarrow.parquet", extra="data")
    names, lists = form.members["names"], int(form.members["lists"])
    types = [getattr(arrow, _FACTORIES.get(kind, kind))() for kind in form.members["types"]]
    columns = lists or len(names)
    stored = [arrow.list_(types[0], lists)] if lists else types
    schema = arrow.schema(list(zip(names, stored, strict=True)))
    rows = 0
    with parquet.ParquetWriter(file, schema) as writer:
        for part in parts:
            values = part.reshape(-1, columns)
            rows += len(values)
            writer.write_table(arrow.table(_arrays(arrow, values, types, lists), schema=schema))
    return (rows, columns)


_FACTORIES = {"float": "float32", "double": "float64", "halffloat": "float16", "bool": "bool_"}


def _arrays(arrow: Any, values: Array, types: list[Any], lists: int) -> list[Any]:
    if lists:
        flat = arrow.array(back_to(values, np.dtype(types[0].to_pandas_dtype())).reshape(-1), types[0])
        return [arrow.FixedSizeListArray.from_arrays(flat, lists)]
    dtypes = [np.dtype(kind.to_pandas_dtype()) for kind in types]
    return [
        arrow.array(np.ascontiguousarray(back_to(values[:, place], dtype)), kind)
        for place, (dtype, kind) in enumerate(zip(dtypes, types, strict=True))
    ]
