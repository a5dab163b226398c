"""Normalization: learned in one streamed pass, the same as from the whole array in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from aetool.data import learn_normalization, measure
from aetool.data.statistics import resolution_notices

WINDOWS = np.random.default_rng(0).normal([1000, -5], [30, 0.1], (50, 16, 2)).astype(np.float32)


@given(
    values=arrays.arrays(np.float32, (23, 4, 2), elements=st.floats(-1e6, 1e6, width=32)),
    size=st.integers(1, 23),
)
def test_streaming_equals_the_whole(values, size):
    streamed = measure(values[start : start + size] for start in range(0, len(values), size))
    whole = values.astype(np.float64)
    assert streamed.count == 23
    np.testing.assert_array_equal(streamed.minimum, whole.min(axis=0))
    np.testing.assert_array_equal(streamed.maximum, whole.max(axis=0))
    np.testing.assert_allclose(streamed.mean, whole.mean(axis=0), rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(streamed.variance, whole.var(axis=0), rtol=1e-9, atol=1e-3)
    channels, everything = streamed.pooled("channel"), streamed.pooled("global")
    np.testing.assert_allclose(channels.variance, whole.var(axis=(0, 1)), rtol=1e-9, atol=1e-3)
    np.testing.assert_allclose(everything.mean, [whole.mean()], rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(everything.variance, [whole.var()], rtol=1e-9, atol=1e-3)


def test_a_large_offset_does_not_hide_a_small_spread():
    values = 1e7 + np.arange(1000, dtype=np.float32).reshape(500, 2) % 8
    statistics = measure(np.split(values, 10)).pooled("channel")
    np.testing.assert_allclose(statistics.variance, values.astype(np.float64).var(axis=0), rtol=1e-9)


@pytest.mark.parametrize(
    ("kind", "scope", "values"),
    [
        ("none", "auto", 1),
        ("minmax", "auto", 1),
        ("minmax", "channel", 2),
        ("standard", "auto", 2),
        ("standard", "global", 1),
    ],
)
def test_what_normalized_values_are(kind, scope, values):
    normalization, notices = learn_normalization(measure([WINDOWS]), kind, scope)
    assert (len(normalization.offset), len(normalization.scale), notices) == (values, values, [])
    normalized = normalization.apply(WINDOWS)
    columns = normalized.reshape(-1, values)
    if kind == "minmax":
        np.testing.assert_allclose(columns.min(axis=0), 0, atol=1e-6)
        np.testing.assert_allclose(columns.max(axis=0), 1, atol=1e-6)
    elif kind == "standard":
        np.testing.assert_allclose(columns.mean(axis=0), 0, atol=1e-4)
        np.testing.assert_allclose(columns.std(axis=0), 1, atol=1e-4)
    else:
        assert normalization.is_identity
    np.testing.assert_allclose(normalization.invert(normalized), WINDOWS, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("shape", [(20, 8), (20, 4, 4, 3)])
def test_vectors_and_images_have_one_scale_unless_asked(shape):
    statistics = measure([np.random.default_rng(0).random(shape)])
    assert len(learn_normalization(statistics, "standard")[0].scale) == 1
    assert len(learn_normalization(statistics, "standard", "channel")[0].scale) == shape[-1]


@pytest.mark.parametrize("kind", ["minmax", "standard"])
def test_a_channel_that_never_changes_is_told_and_left_alone(kind):
    values = np.stack([np.full(30, 7.5), np.arange(30)], axis=1)
    normalization, notices = learn_normalization(measure([values]), kind, "channel")
    assert normalization.scale[0] == 1
    assert normalization.scale[1] > 1
    assert notices == ["1 of 2 channels never change in training: scaled by 1"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            1e9 + 10 * np.arange(30.0),
            "1 of 1 channels take few different values as 32-bit floats, which near 1e+09 are",
        ),
        (1e9 + 1e6 * np.arange(30.0), ""),
        (np.full(30, 1e9), ""),
        (30_000 + np.arange(30.0) % 2, ""),
        (np.arange(30.0) * 1e-30, ""),
    ],
    ids=["far from 0", "far apart", "constant", "whole numbers", "tiny"],
)
def test_values_that_32_bit_floats_hardly_tell_apart_are_told(values, message):
    statistics = measure([values.astype(np.float32)[:, None]])
    assert "".join(resolution_notices(statistics)).startswith(message)
    assert bool(resolution_notices(statistics)) == bool(message)


def test_what_is_written_down_is_what_is_computed_with():
    normalization, _ = learn_normalization(measure([WINDOWS]), "standard")
    for value in (*normalization.offset, *normalization.scale):
        assert value == float(np.float32(value))
