"""Splits: the stated rule as properties; and datasets over them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aetool.data import Layout, split_rows, with_stride
from aetool_runtime.errors import InputError

SHARES = (0.8, 0.1, 0.1)


def rows_of(dataset):
    """The set of rows that a dataset touches."""
    return {int(start) + step for start in dataset.starts for step in range(dataset.layout.window)}


@given(count=st.integers(3, 200), seed=st.integers(0, 2**31), shares=st.sampled_from([SHARES, (0.4, 0.3, 0.3)]))
def test_independent_samples_are_dealt_out_once_each(count, seed, shares):
    split = split_rows(np.zeros((count, 2)), Layout((2,)), shares, seed)
    parts = (split.training, split.validation, split.test)
    assert sorted(int(start) for part in parts for start in part.starts) == list(range(count))
    for part, share in zip(parts, shares, strict=True):
        assert len(part) >= 1
        assert abs(len(part) - count * share) <= 2
    again = split_rows(np.zeros((count, 2)), Layout((2,)), shares, seed)
    np.testing.assert_array_equal(again.training.starts, split.training.starts)


@given(rows=st.integers(12, 500), window=st.integers(2, 4), stride=st.integers(1, 6))
def test_windows_are_split_by_time_and_never_cross(rows, window, stride):
    split = split_rows(np.zeros((rows, 1)), Layout((window, 1), window), SHARES, 0)
    training = with_stride(split.training, stride)
    parts = [rows_of(part) for part in (training, split.validation, split.test)]
    for earlier, later in pairwise(parts):
        assert max(earlier) < min(later)
    for part in (split.validation, split.test):
        assert len(rows_of(part)) == len(part) * window  # none overlaps another
    assert max(rows_of(training)) <= max(rows_of(split.training))
    assert set(np.diff(training.starts)) <= {stride}
    assert max(parts[2]) == rows // window * window - 1


def test_the_permutation_depends_on_the_seed():
    one, other = (split_rows(np.zeros((100, 2)), Layout((2,)), SHARES, seed) for seed in (0, 1))
    assert not np.array_equal(one.test.starts, other.test.starts)


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_samples(count):
    with pytest.raises(InputError, match=f"few.npy: {count} samples cannot be split"):
        split_rows(np.zeros((count, 2)), Layout((2,)), SHARES, 0, "few.npy")


def test_taking_samples_of_a_mapped_recording(tmp_path):
    recording = np.arange(80, dtype=np.int16).reshape(40, 2)
    np.save(tmp_path / "rows.npy", recording)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    dataset = with_stride(split_rows(mapped, Layout((4, 2), 4), SHARES, 0).training, 3)
    taken = dataset.take(np.array([2, 0]))
    assert taken.dtype == np.float32
    np.testing.assert_array_equal(taken, np.stack([recording[6:10], recording[0:4]]))
    np.testing.assert_array_equal(np.concatenate(list(dataset.batches(4))), dataset.take(np.arange(len(dataset))))
