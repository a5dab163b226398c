"""Linear codecs, weights as integers, qualities and their comparison."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aetool_exporters.compression.comparison import bd_rate
from aetool_exporters.compression.integer_weights import integer_weights, rescaling
from aetool_exporters.compression.ladder import ladder
from aetool_exporters.compression.linear import block_of
from aetool_exporters.compression.linear_subject import linear_subject
from aetool_exporters.compression.precisions import Precision
from aetool_exporters.compression.scales import Setting
from aetool_exporters.compression.subject import Subject, entropy
from aetool_runtime.compression.decoder import check_steps
from aetool_runtime.compression.decoder.bounds import meeting_sums
from aetool_runtime.compression.description import Quality


def smooth(count: int, *sizes: int, seed: int = 0) -> np.ndarray:
    """Samples whose neighbours are alike: random walks along every dimension, about 100."""
    values = np.random.default_rng(seed).normal(size=(count, *sizes))
    for axis in range(1, len(sizes)):
        values = np.cumsum(values, axis=axis) / np.sqrt(sizes[axis - 1])
    return (100 + 20 * values).astype(np.float32)


def setting(shape: tuple[int | None, ...], sizes: tuple[int, ...], scale: float = 20.0) -> Setting:
    output = Precision(2.0**-6, (-(2**20), 2**20))
    return Setting(shape, smooth(300, *sizes), smooth(60, *sizes, seed=1), np.array([scale]), 0.02, output)


def climbed(shape: tuple[int | None, ...], sizes: tuple[int, ...], block: int = 0) -> tuple[Subject, float, float]:
    made = linear_subject(setting(shape, sizes), block)
    assert made is not None
    return made


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32), largest=st.integers(1, 2**20), dtype=st.sampled_from(["int8", "int16"]))
def test_integer_weights_stay_in_32_bits_and_are_as_fine_as_they_can_be(seed: int, largest: int, dtype: str) -> None:
    rng = np.random.default_rng(seed)
    shape = (4, int(rng.integers(1, 40)), 3)
    stride = (2,) if rng.random() < 0.5 else ()
    weights = rng.normal(size=shape) * 10.0 ** rng.integers(-6, 6, 3) * (rng.random(shape) < 0.9)
    bias = rng.normal(size=3) * 10.0 ** rng.integers(-8, 8)
    made = integer_weights(weights, bias, largest, dtype, stride)
    reached = np.abs(made.bias.astype(np.int64)) + largest * meeting_sums(np.abs(made.weights.astype(np.int64)), stride)
    assert reached.max() < 2**31
    assert np.all(np.abs(made.weights * made.unit - weights) <= made.unit / 2 * (1 + 1e-9))
    full = np.abs(made.weights.astype(np.int64)).max(axis=(0, 1)) == np.iinfo(dtype).max
    assert np.all(full | (reached > 2**31 * 0.9) | (reached < 100 * largest))


@pytest.mark.parametrize("ratio", [1.0, 0.5, 1 / 3, 7.7e-6, 2.0**-39, 1234.5])
def test_ratios_are_exact_to_20_bits(ratio: float) -> None:
    made = rescaling(np.array([ratio]))
    assert made.multiplier[0] * 2.0 ** -int(made.shift[0]) == pytest.approx(ratio, rel=2.0**-20)


@pytest.mark.parametrize(
    ("shape", "samples", "expected"),
    [
        ((256, 2), 1000, ()),
        ((28, 28, 1), 10, ()),
        ((64, 64, 3), 500, (16, 16)),
        ((64, 64, 3), 20, (8, 8)),
        ((None, None, 3), 5000, (16, 16)),
        ((100, 100, 3), 10_000, (4, 4)),
        ((4096, 2), 1000, (256,)),
        ((3001, 1), 1000, ()),
        ((101, 101, 3), 1000, None),
    ],
)
def test_blocks_fit_samples_and_have_enough_to_learn_from(
    shape: tuple[int | None, ...], samples: int, expected: tuple[int, ...] | None
) -> None:
    assert block_of(shape, samples) == expected


@pytest.mark.parametrize(
    ("shape", "sizes", "block"),
    [((32, 2), (32, 2), 0), ((8, 8, 2), (8, 8, 2), 4), ((None, None, 1), (8, 16, 1), 4), ((64, 1), (64, 1), 16)],
)
def test_a_linear_codec_restores_what_its_steps_leave(
    shape: tuple[int | None, ...], sizes: tuple[int, ...], block: int
) -> None:
    subject, start, finest = climbed(shape, sizes, block)
    check_steps(subject.codec, shape, "here")
    assert start == finest
    rmse = np.sqrt(subject.distortion(subject.quality(finest)))
    assert rmse < 1.1 * setting(shape, sizes).finest
    assert len(subject.codec.unit) <= np.prod(sizes if not block else (*[block] * (len(shape) - 1), sizes[-1]))


def test_qualities_cost_more_the_better_they_are() -> None:
    subject, start, finest = climbed((32, 2), (32, 2))
    qualities = ladder(subject, start, finest, 6)
    rates = [subject.rate(quality) for quality in qualities]
    errors = [subject.distortion(quality) for quality in qualities]
    assert len(qualities) == 6
    assert rates == sorted(rates)
    assert errors == sorted(errors, reverse=True)
    assert all(quality.rounding <= 0.5 for quality in qualities)
    assert any(quality.rounding < 0.5 for quality in qualities)


def test_a_dead_zone_is_worth_it_where_it_is_taken() -> None:
    """At coarse steps, fewer bits at the same error than any rounding to the nearest gives."""
    subject, start, finest = climbed((32, 2), (32, 2))
    chosen = ladder(subject, start, finest, 40)[0]
    curve = [subject.quality(finest * 1.1**k) for k in range(60)]
    points = sorted((subject.distortion(q), subject.rate(q)) for q in curve)
    plain = np.interp(subject.distortion(chosen), [d for d, _ in points], [r for _, r in points])
    assert chosen.rounding < 0.5
    assert subject.rate(chosen) < plain


def test_channels_without_spread_cost_nothing() -> None:
    symbols = np.zeros((1000, 3), np.int32)
    symbols[:, 1] = np.arange(1000) % 2
    assert entropy(symbols) == pytest.approx(1000)


@pytest.mark.parametrize(("factor", "expected"), [(1.0, 0.0), (0.8, -0.2), (1.3, 0.3)])
def test_the_mean_difference_of_two_curves(factor: float, expected: float) -> None:
    def curve(bits: float) -> list[Quality]:
        return [Quality(np.ones(1, np.int32), 0.5, 0, error, bits / error) for error in (1.0, 2.0, 4.0, 8.0)]

    assert bd_rate(curve(factor), curve(1.0)) == pytest.approx(expected)
    assert bd_rate(curve(1.0)[:1], curve(1.0)) is None
    assert bd_rate(curve(1.0)[:2], curve(1.0)[2:]) is None
