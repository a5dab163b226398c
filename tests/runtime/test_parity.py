"""The formula of FORMAT.md, section 5, by hand and by its properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aetool_runtime.parity import DEFAULT_TOLERANCES, ParityReport, compare, output_scale, worst
from aetool_runtime.specs import Array, OutputScale, Tolerance

EIGHTH = Tolerance(atol=0.125, rtol=0.03125)
UNIT = OutputScale((0.0,), (1.0,))
FAR = OutputScale((1024.0,), (2.0,))
CHANNELS = OutputScale((0.0, 100.0), (1.0, 10.0))


def report(expected: object, met: object, scale: OutputScale = UNIT, tolerance: Tolerance = EIGHTH) -> ParityReport:
    return compare(np.array(expected), np.array(met), scale, tolerance, case="c", tensor="t")


# expected, met, centre and scale, whether it passes: worked out with pencil and paper
BY_HAND = {
    "equal": ([[0.0]], [[0.0]], UNIT, True),
    "at the centre: atol · s = 0.125": ([[0.0]], [[0.125]], UNIT, True),
    "… and no more": ([[0.0]], [[0.1251]], UNIT, False),
    "below as above": ([[0.0]], [[-0.1251]], UNIT, False),
    "u = 1: 0.125 + 0.03125": ([[1.0]], [[1.15625]], UNIT, True),
    "u = 1, and no more": ([[1.0]], [[1.1564]], UNIT, False),
    "u = 4, so r = 4: 0.5 + 0.125": ([[4.0]], [[4.625]], UNIT, True),
    "u = 4, and no more": ([[4.0]], [[4.6252]], UNIT, False),
    "u = (4, 0), so r = √8: 0.3535 at the 0": ([[4.0, 0.0]], [[4.0, 0.3535]], UNIT, True),
    "u = (4, 0), and no more": ([[4.0, 0.0]], [[4.0, 0.3537]], UNIT, False),
    "r belongs to a sample: the other one has 1": ([[4.0], [0.0]], [[4.0], [0.1251]], UNIT, False),
    "r is the mean over all axes of a sample": ([[[4.0], [0.0]]], [[[4.0], [0.3535]]], UNIT, True),
    "s = 2 at 1024: 0.25": ([[1024.0]], [[1024.25]], FAR, True),
    "s = 2 at 1024: and 4 · 2⁻²³ · 1024 = 0.00048 on top": ([[1024.0]], [[1024.2504]], FAR, True),
    "s = 2 at 1024: and no more": ([[1024.0]], [[1024.251]], FAR, False),
    "a channel has its own unit": ([[0.0, 100.0]], [[0.125, 101.25]], CHANNELS, True),
    "the narrow channel does not get the wide one's": ([[0.0, 100.0]], [[0.2, 100.0]], CHANNELS, False),
    "the wide channel, and no more": ([[0.0, 100.0]], [[0.0, 101.26]], CHANNELS, False),
    "one of many": ([[0.0] * 100] * 9, [[0.0] * 100] * 8 + [[0.0] * 99 + [0.2]], UNIT, False),
}


@pytest.mark.parametrize(("expected", "met", "scale", "passes"), BY_HAND.values(), ids=BY_HAND)
def test_by_hand(expected: object, met: object, scale: OutputScale, passes: bool) -> None:
    assert report(expected, met, scale).passed is passes


def test_nothing_is_asked_to_be_finer_than_float32_writes_it() -> None:
    narrow = OutputScale((1e6,), (1e-6,))
    tight = DEFAULT_TOLERANCES["float32"]
    neighbour = float(np.nextafter(np.float32(1e6), np.float32(2e6)))
    assert report([[1e6]], [[neighbour]], narrow, tight).passed
    assert not report([[1e6]], [[1e6 + 0.5]], narrow, tight).passed


NEVER = {
    "NaN": ([[1.0, 2.0]], [[1.0, math.nan]]),
    "infinity": ([[1.0, 2.0]], [[1.0, math.inf]]),
    "minus infinity": ([[1.0, 2.0]], [[1.0, -math.inf]]),
    "NaN where NaN was expected": ([[1.0, math.nan]], [[1.0, math.nan]]),
    "infinity where infinity was expected": ([[1.0, math.inf]], [[1.0, math.inf]]),
    "a number where NaN was expected": ([[1.0, math.nan]], [[1.0, 2.0]]),
    "fewer values": ([[1.0, 2.0]], [[1.0]]),
    "more samples": ([[1.0, 2.0]], [[1.0, 2.0]] * 2),
    "other axes": ([[1.0, 2.0]], [[[1.0, 2.0]]]),
    "transposed": ([[1.0, 2.0], [3.0, 4.0]], [[1.0, 3.0], [2.0, 4.0]]),
}


@pytest.mark.parametrize(("expected", "met"), NEVER.values(), ids=NEVER)
def test_never(expected: object, met: object) -> None:
    failed = report(expected, met)
    assert not failed.passed
    assert "FAILED" in str(failed)
    assert worst([report([[1.0]], [[1.0]]), failed, report([[1.0]], [[1.0]])]) is failed
    assert not math.isnan(failed.smallest.atol)


def test_a_huge_tolerance_does_not_excuse_infinity() -> None:
    assert not report([[1.0]], [[math.nan]], tolerance=Tolerance(1e300, 1e300)).passed


# --- what the report says ---


def test_the_worst_error_and_where_it_is() -> None:
    expected = np.zeros((3, 2, 4))
    met = expected.copy()
    met[1, 0, 2], met[2, 1, 3] = 0.01, -0.03
    found = report(expected, met, OutputScale((0.0,), (2.0,)))
    assert found.samples == 3
    assert found.worst_index == (2, 1, 3)
    assert found.worst_error == pytest.approx(0.03)
    assert found.relative_error == pytest.approx(0.015)
    assert "0.03 at [2, 1, 3]" in str(found)


def test_the_worst_of_several_is_the_nearest_to_failing() -> None:
    reports = [report([[0.0]], [[error]]) for error in (0.01, 0.2, 0.1)]
    assert worst(reports) is reports[1]


PSNR = {
    "a tenth in one of two": ([[0.0, 1.0]], [[0.0, 1.1]], 10 * math.log10(1 / 0.005)),
    "in other units": ([[0.0, 255.0]], [[0.0, 280.5]], 10 * math.log10(1 / 0.005)),
    "with an offset": ([[100.0, 101.0]], [[100.0, 101.1]], 10 * math.log10(1 / 0.005)),
    "equal": ([[0.0, 1.0]], [[0.0, 1.0]], math.inf),
    "hopeless": ([[0.0, 1.0]], [[0.0, math.nan]], -math.inf),
    "a constant has a peak of 1": ([[5.0, 5.0]], [[5.0, 5.1]], 10 * math.log10(1 / 0.005)),
}


@pytest.mark.parametrize(("expected", "met", "decibel"), PSNR.values(), ids=PSNR)
def test_psnr(expected: object, met: object, decibel: float) -> None:
    assert report(expected, met).psnr == pytest.approx(decibel)


# --- properties ---

VALUES = st.lists(st.floats(-8, 8), min_size=4, max_size=4)
ERRORS = st.lists(st.floats(0.01, 4) | st.floats(-4, -0.01), min_size=4, max_size=4)


def arrays(values: list[float], errors: list[float]) -> tuple[Array, Array]:
    expected = np.array(values).reshape(2, 2)
    return expected, expected + np.array(errors).reshape(2, 2)


@given(VALUES, ERRORS, st.floats(-10, 10), st.floats(1e-3, 1e3), st.sampled_from([1, -1]))
@settings(deadline=None)
def test_other_units_do_not_change_the_verdict(
    values: list[float], errors: list[float], offset: float, factor: float, sign: int
) -> None:
    """Kelvin for Celsius, millivolts for volts: the same share of the tolerance is used, but for float32's rounding."""
    expected, met = arrays(values, errors)
    moved = OutputScale((sign * factor * offset,), (factor,))
    one = report(expected, met)
    other = report(sign * factor * (expected + offset), sign * factor * (met + offset), moved)
    assert other.smallest.atol == pytest.approx(one.smallest.atol, rel=2e-3)
    assert other.relative_error == pytest.approx(one.relative_error, rel=1e-6)
    if np.ptp(expected) > 1e-3:  # a constant has no peak of its own
        assert other.psnr == pytest.approx(one.psnr, abs=1e-6)


@given(VALUES, ERRORS, st.floats(1e-6, 1), st.floats(0, 1))
@settings(deadline=None)
def test_the_smallest_tolerance_is_the_smallest(
    values: list[float], errors: list[float], atol: float, rtol: float
) -> None:
    expected, met = arrays(values, errors)
    smallest = report(expected, met, tolerance=Tolerance(atol, rtol)).smallest
    assert smallest.rtol == pytest.approx(smallest.atol * rtol / atol)

    def passes(share: float) -> bool:
        return report(expected, met, tolerance=Tolerance(smallest.atol * share, smallest.rtol * share)).passed

    assert passes(1 + 1e-12)
    assert not passes(0.99)


@given(VALUES, ERRORS, st.integers(0, 3))
@settings(deadline=None)
def test_a_larger_error_never_helps(values: list[float], errors: list[float], at: int) -> None:
    expected, met = arrays(values, errors)
    worse = met.copy()
    worse.flat[at] += np.sign(worse.flat[at] - expected.flat[at])
    assert report(expected, worse).smallest.atol >= report(expected, met).smallest.atol


@given(VALUES)
@settings(deadline=None)
def test_what_is_equal_passes_at_once(values: list[float]) -> None:
    expected, _ = arrays(values, [1.0] * 4)
    equal = report(expected, expected.copy())
    assert (equal.passed, equal.worst_error, equal.smallest.atol) == (True, 0.0, 0.0)


@given(st.data())
@settings(deadline=None)
def test_dtypes_are_compared_as_numbers(data: st.DataObject) -> None:
    numbers = data.draw(st.lists(st.integers(0, 127), min_size=4, max_size=4))
    one, other = (np.array(numbers, data.draw(st.sampled_from(["u1", "i1", "i4", "f2", "f4"]))) for _ in range(2))
    assume(one.dtype != other.dtype)
    assert compare(one[None], other[None], UNIT, EIGHTH, case="c", tensor="t").passed


def test_unsigned_integers_do_not_wrap() -> None:
    apart = compare(np.array([[0]], "u1"), np.array([[255]], "u1"), UNIT, EIGHTH, case="c", tensor="t")
    assert apart.worst_error == 255


# --- the unit of an output ---

DATA = np.array([[0.0, 10.0], [2.0, 30.0]])


def test_a_scale_is_the_distance_from_the_networks_own_zero() -> None:
    apart = output_scale(DATA, zero=(1.0, 20.0), unit=(1.0, 5.0))
    assert apart == OutputScale((1.0, 20.0), (1.0, 10.0))
    together = output_scale(DATA)
    assert together.center == (0.0,)
    assert together.scale == pytest.approx((np.sqrt((100 + 4 + 900) / 4),))


def test_a_scale_follows_the_unit() -> None:
    normalized = output_scale((DATA - 7) / 3)
    raw = output_scale(DATA, zero=(7.0,), unit=(3.0,))
    assert raw.scale[0] == pytest.approx(3 * normalized.scale[0])


@pytest.mark.parametrize(
    ("value", "zero", "unit", "scale"), [(0, 0, 1, 1e-3), (5, 5, 40, 4e-2), (-5, 0, 1, 5), (0, 0, -2, 2e-3)]
)
def test_an_output_that_does_not_vary_has_a_scale_nonetheless(
    value: float, zero: float, unit: float, scale: float
) -> None:
    assert output_scale(np.full((4, 3), value), zero=(zero,), unit=(unit,)).scale == pytest.approx((scale,))
