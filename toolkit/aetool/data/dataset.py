"""Samples for random access, and how they are split into training, validation and test part.

The rule. Independent samples are permuted (seeded) and dealt out; the windows of a recording are dealt out in order of
time, so that no window of one part crosses into, or overlaps with, another. The training part comes first and is
what rounding leaves; the other two have at least one sample each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aetool.data.layout import Layout
from aetool_runtime.errors import InputError
from aetool_runtime.specs import Array

__all__ = ["Dataset", "Split", "split_rows", "split_starts", "with_stride"]


@dataclass(frozen=True)
class Dataset:
    """Samples of an array that may be memory-mapped; each is read when it is taken.

    Args:
        rows: the raw array, [rows, …].
        layout: rows → samples.
        starts: the first row of each sample, int64.
        row_labels: of each row, where the data have labels; of any kind.
    """

    rows: Array = field(repr=False)
    layout: Layout
    starts: NDArray[np.int64] = field(repr=False)
    row_labels: Array | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        return self.layout.sample_shape

    @property
    def labels(self) -> Array | None:
        """One for each sample, [n], in the order of the samples; ``None`` where the data have none."""
        return None if self.row_labels is None else self.row_labels[self.starts]

    def take(self, indices: NDArray[Any]) -> Array:
        """Samples by index, [n, *sample_shape] float32 in raw units (token ids: int32)."""
        starts = self.starts[indices]
        if self.layout.is_recording:
            starts = (starts[:, None] + np.arange(self.layout.window)).reshape(-1)
        return self.layout.samples(self.rows[starts])

    def batches(self, size: int) -> Iterator[Array]:
        """All samples in order, [size, *sample_shape]; only the last batch may be shorter."""
        for start in range(0, len(self), size):
            yield self.take(np.arange(start, min(start + size, len(self))))


@dataclass(frozen=True)
class Split:
    """The three parts; no row is in two of them."""

    training: Dataset
    validation: Dataset
    test: Dataset


def split_rows(
    rows: Array,
    layout: Layout,
    shares: Sequence[float],
    seed: int,
    where: str = "",
    *,
    labels: Array | None = None,
) -> Split:
    """Deal the samples of ``rows`` out; see the rule above.

    Args:
        shares: of training, validation and test, each > 0, together 1.
        seed: of the permutation; a recording needs none.
        labels: of each row.

    Raises:
        InputError: fewer than three samples.
    """
    parts = split_starts(layout.count(len(rows)), layout, shares, seed, where)
    return Split(*(Dataset(rows, layout, part, labels) for part in parts))


def split_starts(
    count: int, layout: Layout, shares: Sequence[float], seed: int, where: str = ""
) -> list[NDArray[np.int64]]:
    """The first rows of the samples of each part, of ``count`` samples; see ``split_rows``."""
    if count < 3:
        raise InputError(
            f"{count} samples cannot be split",
            where=where,
            expected="at least one each for training, validation and test",
        )
    order = np.arange(count) if layout.is_recording else np.random.default_rng(seed).permutation(count)
    starts = order.astype(np.int64) * layout.window
    validation = min(max(1, round(count * shares[1])), count - 2)
    test = min(max(1, round(count * shares[2])), count - validation - 1)
    return np.split(starts, [count - validation - test, count - test])


def with_stride(dataset: Dataset, stride: int) -> Dataset:
    """Windows that start every ``stride`` rows of the part, overlapping where ``stride`` is less than the window.

    Only the training part may be augmented like this; no window leaves the part.
    """
    first, last = int(dataset.starts[0]), int(dataset.starts[-1])
    return Dataset(dataset.rows, dataset.layout, np.arange(first, last + 1, stride, dtype=np.int64))
