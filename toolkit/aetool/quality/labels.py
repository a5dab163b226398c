"""Labels of samples: from a file, or those that come with built-in data."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aetool.data.packages import import_package
from aetool_runtime.errors import InputError
from aetool_runtime.specs import Array

__all__ = ["read_labels"]


def read_labels(data: str, labels: str | None) -> Array | None:
    """The label of each sample of ``data``, [n]; ``None`` where there are none.

    Args:
        labels: a .npy file with one value a sample, or a text file with one a line; ``None`` for those of the data.

    Raises:
        InputError: it cannot be read, or is not one value a sample.
    """
    if labels is not None:
        return _from_file(Path(labels))
    if data == "builtin:digits":
        return np.asarray(import_package("sklearn.datasets", extra="train").load_digits().target)
    return None


def _from_file(path: Path) -> Array:
    try:
        found = _read(path)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"the labels cannot be read ({error})",
            where=str(path),
            expected="a .npy file, or text with one label a line",
        ) from error
    if found.ndim != 1:
        raise InputError(f"holds labels of shape {list(found.shape)}", where=str(path), expected="one label a sample")
    return found


def _read(path: Path) -> Array:
    with path.open("rb") as file:
        if file.read(6) == b"\x93NUMPY":
            return np.asarray(np.load(path, allow_pickle=False)).squeeze()
    return np.array([line.strip() for line in path.read_text("utf-8").splitlines()])
