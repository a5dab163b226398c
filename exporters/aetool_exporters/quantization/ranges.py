"""Which range of real values a tensor's integers should cover, from a stream of its values.

- ``minmax``: all that was met.
- ``percentile``: all but the outermost 0.01 % of the values, half of these at either end.
- ``mse``: the range of least squared error after quantization, clipping included.
- ``entropy``: the range from whose integers most of the real distribution can be told; see ``divergence``.

A result lies within the range met, and depends on the values alone, not on the batches that they came in.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import DTypeLike, NDArray

from aetool_exporters.quantization.affine import Affine, Range
from aetool_exporters.quantization.divergence import Divergence
from aetool_exporters.quantization.histogram import Histogram, Points
from aetool_runtime.errors import InputError, UsageError
from aetool_runtime.specs import Array

__all__ = ["RangeObserver", "make_observer"]

_OUTERMOST = 1e-4
_SQUARED_ERROR_POINTS = 8192
_COARSE = 2.0 ** (-np.arange(49) / 4)  # down to 1/4096 of a side
_ROUNDS = 2

_Loss = Callable[[Affine], float]
_Chooser = Callable[[Histogram, np.dtype, bool], Range]


class RangeObserver:
    """Watches the values of one tensor.

    Args:
        choose: histogram, integer type, symmetric → the range.
        dtype: the integers that the range is for: int8, uint8, int16 or uint16.
        symmetric: whether zero will stand in the middle.
    """

    def __init__(self, choose: _Chooser, dtype: DTypeLike, symmetric: bool) -> None:
        self._choose = choose
        self._dtype = np.dtype(dtype)
        self._symmetric = symmetric
        self._histogram = Histogram()

    def update(self, values: Array) -> None:
        """Take in an array of any shape; an empty one changes nothing.

        Raises:
            InputError: it holds a NaN or an infinity.
        """
        self._histogram.add(values)

    def range(self) -> Range:
        """The range to cover, within that of the values.

        Raises:
            InputError: there were no values.
        """
        if not self._histogram.total:
            raise InputError("no values to take a range from", hint="pass at least one sample to calibrate with")
        return self._choose(self._histogram, self._dtype, self._symmetric)


def make_observer(method: str, *, dtype: DTypeLike = np.uint8, symmetric: bool = False) -> RangeObserver:
    """A fresh observer.

    Args:
        method: one of ``aetool_exporters.request.CALIBRATION_METHODS``.
        dtype, symmetric: see ``RangeObserver``.

    Raises:
        UsageError: an unknown method.
    """
    if method not in _CHOOSERS:
        raise UsageError(f"no calibration method {method!r}", expected="one of " + ", ".join(_CHOOSERS))
    return RangeObserver(_CHOOSERS[method], dtype, symmetric)


def _minmax(histogram: Histogram, dtype: np.dtype, symmetric: bool) -> Range:
    return Range(histogram.minimum, histogram.maximum)


def _percentile(histogram: Histogram, dtype: np.dtype, symmetric: bool) -> Range:
    return Range(*histogram.without_outermost(int(histogram.total * _OUTERMOST / 2)))


def _least_squared_error(histogram: Histogram, dtype: np.dtype, symmetric: bool) -> Range:
    return _search(histogram, partial(_squared_error, histogram.points(_SQUARED_ERROR_POINTS)), dtype, symmetric)


def _least_divergence(histogram: Histogram, dtype: np.dtype, symmetric: bool) -> Range:
    return _search(histogram, Divergence(histogram), dtype, symmetric)


_CHOOSERS: dict[str, _Chooser] = {
    "minmax": _minmax,
    "entropy": _least_divergence,
    "percentile": _percentile,
    "mse": _least_squared_error,
}


def _search(histogram: Histogram, loss: _Loss, dtype: np.dtype, symmetric: bool) -> Range:
    """Shrink the range met, one side after the other, as long as the loss falls; never worse than the whole."""
    whole = _minmax(histogram, dtype, symmetric)

    def judge(candidate: Range) -> float:
        return loss(Affine.covering(candidate, dtype, symmetric=symmetric))

    if symmetric:
        return _shrunk(whole, partial(_within, whole), judge)
    best = whole
    for _ in range(_ROUNDS):
        low, high = best.minimum, best.maximum
        if high > 0:
            best = _shrunk(best, partial(_with_maximum, low, whole.maximum), judge)
            high = best.maximum
        if low < 0:
            best = _shrunk(best, partial(_with_minimum, high, whole.minimum), judge)
    return best


def _shrunk(start: Range, at: Callable[[float], Range], judge: Callable[[Range], float]) -> Range:
    """The best of ``start`` and a line of candidates: first coarsely, then between the best one's neighbours."""
    shares: NDArray[np.float64] = _COARSE
    best, least, around = start, judge(start), 1.0
    for fine in (False, True):
        if fine:
            shares = around * np.linspace(2**-0.25, 2**0.25, 17)
        for share in shares[shares <= 1.0]:
            candidate = at(float(share))
            loss = judge(candidate)
            if loss < least:
                best, least, around = candidate, loss, float(share)
    return best


def _with_maximum(minimum: float, whole: float, share: float) -> Range:
    return Range(minimum, max(minimum, whole * share))


def _with_minimum(maximum: float, whole: float, share: float) -> Range:
    return Range(min(maximum, whole * share), maximum)


def _within(whole: Range, share: float) -> Range:
    reach = whole.reach * share
    return Range(min(max(whole.minimum, -reach), whole.maximum), max(min(whole.maximum, reach), whole.minimum))


def _squared_error(points: Points, affine: Affine) -> float:
    with np.errstate(over="ignore"):
        return float(np.sum(points.counts * (affine.round_trip(points.values) - points.values) ** 2))
