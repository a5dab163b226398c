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

__all__ = ["Dataset", "Split", "split_rows", "with_stride"]


@dataclass(frozen=True)
class Dataset:
    """Samples of an array that may be memory-mapped; each is read when it is taken.

    Args:
        rows: the raw array, [rows, …].
        layout: rows → samples.
        starts: the first row of each sample, int64.
    """

    rows: Array = field(repr=False)
    layout: Layout
    starts: NDArray[np.int64] = field(repr=False)

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        return self.layout.sample_shape

    def take(self, indices: NDArray[Any]) -> NDArray[np.float32]:
        """Samples by index, [n, *sample_shape] float32, raw units."""
        starts = self.starts[indices]
        if self.layout.is_recording:
            starts = (starts[:, None] + np.arange(self.layout.window)).reshape(-1)
        return self.layout.samples(self.rows[starts])

    def batches(self, size: int) -> Iterator[NDArray[np.float32]]:
        """All samples in order, [size, *sample_shape]; only the last batch may be shorter."""
        for start in range(0, len(self), size):
            yield self.take(np.arange(start, min(start + size, len(self))))


@dataclass(frozen=True)
class Split:
    """The three parts; no row is in two of them."""

    training: Dataset
    validation: Dataset
    test: Dataset


def split_rows(rows: Array, layout: Layout, shares: Sequence[float], seed: int, where: str = "") -> Split:
    """Deal the samples of ``rows`` out; see the rule above.

    Args:
        shares: of training, validation and test, each > 0, together 1.
        seed: of the permutation; a recording needs none.

    Raises:
        InputError: fewer than three samples.
    """
    count = layout.count(len(rows))
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
    parts = np.split(starts, [count - validation - test, count - test])
    return Split(*(Dataset(rows, layout, part) for part in parts))


def with_stride(dataset: Dataset, stride: int) -> Dataset:
    """Windows that start every ``stride`` rows of the part, overlapping where ``stride`` is less than the window.

    Only the training part may be augmented like this; no window leaves the part.
    """
    first, last = int(dataset.starts[0]), int(dataset.starts[-1])
    return Dataset(dataset.rows, dataset.layout, np.arange(first, last + 1, stride, dtype=np.int64))
