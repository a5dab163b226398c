"""Ranges for quantization: whatever the data, whatever the batches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from aetool_exporters.quantization.affine import Affine, Range
from aetool_exporters.quantization.divergence import Divergence
from aetool_exporters.quantization.histogram import MAX_BINS, Histogram
from aetool_exporters.quantization.ranges import make_observer
from aetool_exporters.request import CALIBRATION_METHODS
from aetool_runtime.errors import InputError, UsageError

DTYPES = (np.uint8, np.int8, np.int16, np.uint16)
METHODS = pytest.mark.parametrize("method", CALIBRATION_METHODS)
SYMMETRIC = pytest.mark.parametrize("symmetric", [False, True])

floats = st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**100), max_value=2.0**100)
arrays = hnp.arrays(np.float32, st.integers(1, 60), elements=floats)


def observed(method: str, *batches: NDArray, dtype: type = np.uint8, symmetric: bool = False) -> Range:
    observer = make_observer(method, dtype=dtype, symmetric=symmetric)
    for batch in batches:
        observer.update(batch)
    return observer.range()


def squared_error(values: NDArray, wanted: Range, dtype: type, symmetric: bool) -> float:
    exact = values.astype(np.float64)
    return float(np.sum((Affine.covering(wanted, dtype, symmetric=symmetric).round_trip(exact) - exact) ** 2))


def bulk_with_outlier(outlier: float = 1000.0) -> NDArray:
    values = np.random.default_rng(0).normal(size=40_000).astype(np.float32)
    values[123] = outlier
    return values


# what every method promises


@METHODS
@SYMMETRIC
@settings(max_examples=40, deadline=None)
@given(values=arrays)
def test_a_range_lies_within_the_data(method: str, symmetric: bool, values: NDArray) -> None:
    met = observed(method, values, symmetric=symmetric)
    assert values.min() <= met.minimum <= met.maximum <= values.max()


@METHODS
@settings(max_examples=40, deadline=None)
@given(values=arrays, cuts=st.lists(st.integers(0, 60), max_size=4), seed=st.integers(0, 9))
def test_neither_batches_nor_their_order_matter(method: str, values: NDArray, cuts: list[int], seed: int) -> None:
    shuffled = np.random.default_rng(seed).permutation(values)
    whole, parts = observed(method, values), observed(method, *np.split(shuffled, sorted(cuts)))
    assert (parts.minimum, parts.maximum) == pytest.approx((whole.minimum, whole.maximum), rel=1e-6, abs=0)


@METHODS
@pytest.mark.parametrize("value", [0.0, 3.0, -7.5, 1e-41, -1e-45, 1e30])
def test_a_constant_is_its_own_range(method: str, value: float) -> None:
    values = np.full((3, 4), value, np.float32)
    assert observed(method, values) == Range(float(values[0, 0]), float(values[0, 0]))


@METHODS
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(method: str, bad: float) -> None:
    with pytest.raises(InputError, match="not finite"):
        observed(method, np.array([1.0, bad, 2.0], np.float32))


@METHODS
def test_no_values_give_no_range(method: str) -> None:
    with pytest.raises(InputError, match="no values"):
        observed(method, np.zeros((0, 3), np.float32))


@METHODS
def test_denormals_are_told_apart(method: str) -> None:
    values = np.array([-3e-42, 0.0, 1e-41], np.float32)
    met = observed(method, values)
    assert met.minimum < 0 < met.maximum


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(UsageError, match="percentile"):
        make_observer("maximum")


# what sets the methods apart


def test_minmax_is_the_whole_range() -> None:
    assert observed("minmax", np.array([3.0, -2.0]), np.array([5.0])) == Range(-2.0, 5.0)


@pytest.mark.parametrize(("method", "most"), [("entropy", 12.5), ("percentile", 6.0)])
@SYMMETRIC
@pytest.mark.parametrize("outlier", [50.0, 1000.0])
def test_one_outlier_is_clipped(method: str, most: float, symmetric: bool, outlier: float) -> None:
    """The next largest is 4.7. (40,000 values do not tell by their distribution that 10 would be too wide.)"""
    met = observed(method, bulk_with_outlier(outlier), symmetric=symmetric)
    assert 2.0 < met.maximum < most


@pytest.mark.parametrize("share", [1e-4, 1e-3])
@SYMMETRIC
def test_mse_clips_outliers_that_cost_less_than_a_coarser_step(share: float, symmetric: bool) -> None:
    values = np.random.default_rng(0).laplace(size=200_000).astype(np.float32)
    met, whole = (observed(method, values, symmetric=symmetric) for method in ("mse", "minmax"))
    assert met.maximum < 0.9 * whole.maximum
    assert squared_error(values, met, np.uint8, symmetric) < 0.9 * squared_error(values, whole, np.uint8, symmetric)


@pytest.mark.parametrize("dtype", DTYPES)
@SYMMETRIC
@settings(max_examples=40, deadline=None)
@given(values=arrays)
def test_mse_is_never_worse_than_minmax(dtype: type, symmetric: bool, values: NDArray) -> None:
    mse, minmax = (observed(method, values, dtype=dtype, symmetric=symmetric) for method in ("mse", "minmax"))
    allowed = (
        squared_error(values, minmax, dtype, symmetric) * 1.05
        + len(values) * float(np.ptp(values.astype(np.float64))) ** 2 * 1e-10
    )
    assert squared_error(values, mse, dtype, symmetric) <= allowed


def test_percentile_leaves_a_ten_thousandth_out() -> None:
    values = np.arange(1_000_000, dtype=np.float32)
    met = observed("percentile", values)
    assert (met.minimum, met.maximum) == pytest.approx((50, 999_950), abs=2 * 16)  # bins are 16 wide


def test_entropy_keeps_the_bulk_of_what_a_relu_lets_through() -> None:
    values = np.maximum(np.random.default_rng(0).normal(size=100_000), 0.0)
    met = observed("entropy", values)
    assert met.minimum == 0.0
    assert 2.5 < met.maximum <= values.max()


DISTRIBUTIONS = {
    "uniform": lambda random: random.uniform(-1, 1, size=40_000),
    "one-sided": lambda random: random.uniform(0, 3, size=40_000),
    "normal": lambda random: random.normal(size=40_000),
    "relu": lambda random: np.maximum(random.normal(size=100_000), 0.0),
    "laplace": lambda random: random.laplace(size=200_000),
    "two peaks": lambda random: random.choice([0.1, 1.0], size=30_000) + random.normal(0, 0.01, size=30_000),
    "few": lambda random: random.normal(size=50),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@SYMMETRIC
def test_entropy_costs_little_where_there_is_no_outlier(name: str, symmetric: bool) -> None:
    values = DISTRIBUTIONS[name](np.random.default_rng(0)).astype(np.float32)
    met, whole = (observed(method, values, symmetric=symmetric) for method in ("entropy", "minmax"))
    assert squared_error(values, met, np.uint8, symmetric) < 1.6 * squared_error(values, whole, np.uint8, symmetric)


@pytest.mark.parametrize("ends", [(-1.0, 1.0), (0.0, 3.0), (-7.0, 0.5)])
def test_entropy_clips_nothing_of_even_values(ends: tuple[float, float]) -> None:
    """Every value beyond the range costs as much as every other, and finer steps tell nothing new."""
    met = observed("entropy", np.random.default_rng(0).uniform(*ends, size=50_000))
    assert (met.minimum, met.maximum) == pytest.approx(ends, abs=0.02 * (ends[1] - ends[0]))


def test_entropy_does_not_count_zeros() -> None:
    """However many a ReLU makes: they are exact at every range."""
    values = np.abs(np.random.default_rng(0).normal(size=50_000))
    assert observed("entropy", np.append(values, np.zeros(200_000))).maximum == observed("entropy", values).maximum


def test_divergence_by_hand() -> None:
    """Four steps of eight bins, evenly filled: nothing is lost. Without the last step a quarter stands at the end."""
    histogram = Histogram()
    histogram.add(np.repeat((np.arange(32) + 0.5) / 64, 1000))  # bins of 2⁻⁶ are the widest that fit
    divergence = Divergence(histogram)
    assert divergence(Affine(1 / 8, 0, 0, 4)) == pytest.approx(0.0, abs=1e-3)
    shares, told = np.full(20, 1 / 32), np.full(20, 1 / 20)
    shares[-1] += 12 / 32
    expected = float(np.sum(shares * np.log(shares / told)))
    assert divergence(Affine(1 / 8, 0, 0, 2)) == pytest.approx(expected, rel=1e-3)


# the histogram beneath


@settings(max_examples=60, deadline=None)
@given(batches=st.lists(arrays, min_size=1, max_size=5))
def test_a_histogram_counts_everything_in_bounded_memory(batches: list[NDArray]) -> None:
    histogram = Histogram()
    for batch in batches:
        histogram.add(batch)
    everything = np.concatenate(batches)
    points = histogram.points(MAX_BINS)
    assert histogram.total == len(everything)
    assert points.counts.sum() == np.count_nonzero(everything)
    assert len(histogram.points(7).counts) <= 7
    assert np.all(np.diff(points.values) >= 0)


def test_a_histogram_grows_from_the_narrowest_to_the_widest() -> None:
    histogram = Histogram()
    for power in range(-44, 38):
        histogram.add(np.array([10.0**power, -(10.0**power)], np.float32))
    assert histogram.total == 2 * 82
    assert histogram.points(MAX_BINS).counts.sum() == 2 * 82


# affine quantization


@pytest.mark.parametrize("dtype", DTYPES)
@SYMMETRIC
@settings(max_examples=60, deadline=None)
@given(ends=st.tuples(floats, floats))
def test_affine_covers_its_range_and_has_an_exact_zero(dtype: type, symmetric: bool, ends: tuple) -> None:
    wanted = Range(min(ends), max(ends))
    affine = Affine.covering(wanted, dtype, symmetric=symmetric)
    info = np.iinfo(dtype)
    assert info.min <= affine.smallest <= affine.zero_point <= affine.largest <= info.max
    assert affine.round_trip(np.zeros(1))[0] == 0.0
    off = np.abs(affine.round_trip(np.array(ends)) - np.array(ends))
    assert np.all(off <= affine.scale * 1.01)  # moving zero onto a step may clip half a step


@pytest.mark.parametrize(
    ("wanted", "dtype", "symmetric", "scale", "zero_point"),
    [
        (Range(0.0, 255.0), np.uint8, False, 1.0, 0),
        (Range(-128.0, 127.0), np.int8, False, 1.0, 0),
        (Range(-127.0, 127.0), np.uint8, True, 1.0, 128),
        (Range(-127.0, 50.0), np.int8, True, 1.0, 0),
        (Range(5.0, 510.0), np.uint8, False, 2.0, 0),  # zero is always in
        (Range(0.0, 0.0), np.uint8, False, 1.0, 0),
        (Range(-32767.0, 1.0), np.int16, True, 1.0, 0),
    ],
)
def test_affine_by_hand(wanted: Range, dtype: type, symmetric: bool, scale: float, zero_point: int) -> None:
    affine = Affine.covering(wanted, dtype, symmetric=symmetric)
    assert (affine.scale, affine.zero_point) == (scale, zero_point)
