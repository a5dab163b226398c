"""Rows → samples: the table of rules, and that a stream gives what the whole array would."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aetool.data import ArraySource, Layout, as_samples, read_samples, resolve_sample_shape, sample_batches
from aetool_runtime.errors import InputError


@pytest.mark.parametrize(
    ("row", "sample", "window"),
    [
        ((28, 28, 1), (28, 28, 1), 1),
        ((28, 28), (28, 28, 1), 1),
        ((28, 28, 1), (28, 28), 1),
        ((784,), (28, 28, 1), 1),
        ((28, 28, 1), (784,), 1),
        ((512,), (256, 2), 1),
        ((2,), (256, 2), 256),
        ((1,), (256, 1), 256),
        ((), (256, 1), 256),
        ((), (256,), 256),
        ((), (1,), 1),
    ],
)
def test_the_rules(row, sample, window):
    layout = Layout.fit(row, sample)
    assert (layout.sample_shape, layout.window) == (sample, window)


@pytest.mark.parametrize(
    ("row", "sample"),
    [((28, 28), (784, 2)), ((14, 56), (28, 28, 1)), ((3,), (256, 2)), ((2, 256), (256, 2)), ((), (4, 2))],
)
def test_no_rule_names_both_shapes(row, sample):
    with pytest.raises(InputError) as caught:
        Layout.fit(row, sample, "rows.npy")
    assert str(list(row)) in str(caught.value)
    assert str(list(sample)) in str(caught.value)


@pytest.mark.parametrize(
    ("wanted", "row", "resolved"),
    [
        ((), (28, 28, 1), (28, 28, 1)),
        ((-1,), (28, 28, 1), (784,)),
        ((256, -1), (2,), (256, 2)),
        ((256, -1), (), (256, 1)),
        ((-1, -1, 1), (28, 30, 1), (28, 30, 1)),
        ((16, 16), (7,), (16, 16)),
    ],
)
def test_what_the_configuration_leaves_to_the_data(wanted, row, resolved):
    assert resolve_sample_shape(wanted, row) == resolved


@pytest.mark.parametrize(("wanted", "row"), [((), ()), ((-1, 2), (2,)), ((-1, 1), ())])
def test_what_the_data_does_not_say(wanted, row):
    with pytest.raises(InputError, match="cannot be filled in"):
        resolve_sample_shape(wanted, row)


@given(rows=st.integers(1, 60), channels=st.integers(1, 3), window=st.integers(2, 9), cuts=st.lists(st.integers(0, 60)))
def test_windows_of_a_stream_are_windows_of_the_whole(rows, channels, window, cuts):
    """However the rows are cut into batches: windows span them, and the remainder is told to the row."""
    recording = np.arange(rows * channels, dtype=np.int16).reshape(rows, channels)
    batches = np.split(recording, sorted(min(cut, rows) for cut in cuts))
    told: list[str] = []
    if rows < window:
        with pytest.raises(InputError, match=f"{rows} rows do not fill one window"):
            list(as_samples(batches, (window, channels), report=told.append))
        return
    samples = np.concatenate(list(as_samples(batches, (window, channels), report=told.append)))
    used = rows // window * window
    assert samples.dtype == np.float32
    np.testing.assert_array_equal(samples, recording[:used].reshape(-1, window, channels))
    assert told == ([f"the last {rows - used} rows fill no window of {window} and are left out"] if used < rows else [])


@given(count=st.integers(1, 40), size=st.integers(1, 12))
def test_batches_have_the_size_that_was_asked_for(count, size):
    source = ArraySource("rows", np.zeros((count * 4 + 3, 2)))
    sizes = [len(batch) for batch in sample_batches(source, (4, 2), size, report=lambda text: None)]
    assert sum(sizes) == count
    assert set(sizes[:-1]) <= {size}


def test_a_remainder_is_never_dropped_silently():
    with pytest.warns(UserWarning, match="the last 2 rows fill no window of 4"):
        assert read_samples(ArraySource("rows", np.zeros((10, 1))), (4, 1)).shape == (2, 4, 1)


@pytest.mark.parametrize(("limit", "count"), [(1, 1), (3, 3), (100, 10), (None, 10)])
def test_reading_some_samples(limit, count, tmp_path):
    np.save(tmp_path / "rows.npy", np.arange(30).reshape(10, 3))
    samples = read_samples(tmp_path / "rows.npy", (3,), limit=limit)
    np.testing.assert_array_equal(samples, np.arange(30).reshape(10, 3)[:count])
    assert samples.dtype == np.float32


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_what_is_not_finite_is_named(bad):
    rows = np.zeros((50, 3))
    rows[41, 2] = bad
    with pytest.raises(InputError, match=r"rows.npy: sample 41 holds \S+ at \[2\]"):
        list(as_samples([rows[:20], rows[20:]], (3,), where="rows.npy"))
    with pytest.raises(InputError, match=r"sample 10 holds \S+ at \[1, 2\]"):
        list(as_samples([rows[:19], rows[19:]], (4, 3)))


def test_a_later_batch_of_another_shape_is_an_error():
    with pytest.raises(InputError):
        list(as_samples([np.zeros((2, 3)), np.zeros((2, 4))], (3,)))
