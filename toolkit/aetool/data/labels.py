"""Which kind each sample is, where the data say it: for balance, and for judging clusters. Labels train nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aetool.data.opening import open_source
from aetool.data.readers.builtin import builtin_labels
from aetool.data.readers.delimited import DelimitedSource
from aetool.data.readers.parquet import ParquetSource
from aetool.data.source import column_name
from aetool_runtime.errors import InputError
from aetool_runtime.specs import Array

__all__ = ["open_labels"]


def open_labels(spec: str | Path, label: str = "") -> Array | None:
    """The labels of the rows of ``spec``, [rows]: numbers, or texts; ``None`` where the data have none.

    Args:
        label: the name of a column of a table (its number, from 1, where the table names none), or a ``.npy`` file
            with one value for each row; "" for the built-in data's own.

    Raises:
        InputError: there is no such column or file, or it does not hold one value for each row.
    """
    if not label:
        return builtin_labels(str(spec))
    if not column_name(label):
        return _from_file(Path(label))
    source = open_source(spec, label=label)
    if not isinstance(source, DelimitedSource | ParquetSource):
        raise InputError(
            f"has no columns, and so none called {label!r}",
            where=str(spec),
            expected="a table (.csv, .tsv, .txt, .parquet)",
            hint="give the labels as a .npy file with one value for each sample",
        )
    return source.labels()


def _from_file(path: Path) -> Array:
    try:
        labels = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"cannot be read as labels ({error})", where=str(path), expected="a .npy file") from error
    if getattr(labels, "ndim", 0) != 1 or labels.dtype.kind not in "biufSU":
        raise InputError(
            f"holds {labels.dtype} {list(labels.shape)}", where=str(path), expected="one number or text for each sample"
        )
    return np.asarray(labels)
