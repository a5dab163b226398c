"""Which predictor suits a signal: fitted to typical values rather than to rare large ones, an order by its cost.

The encoder's affair alone: floating point, for what is written are integers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aetool_runtime.compression.prediction.predictors import MAX_ORDER, Predictor

__all__ = ["estimated_bits", "fit_predictors"]

# Differences of the signal: exact where a fit would round.
FIXED = (Predictor(), Predictor((1,)), Predictor((2, -1)), Predictor((3, -3, 1)))
_ORDERS = (2, 4, 8, 16, 32)
_ROUNDS = 3  # of weighting by what is left: near to least absolute errors, as code lengths are
_GROUP = 16  # values that share a scale
_MAX_ENTRIES = 4096
_RUN = 64  # consecutive values that are looked at
_ROWS = 8192  # of them in all, at most
_COEFFICIENT_BITS, _MAX_SHIFT = 16, 15
_WARM_UP = 1.5  # bits that a value without a full past costs more
_MAX_EACH, _MIN_TIME = 64, 512

Numbers = NDArray[np.float64]


def estimated_bits(residuals: NDArray[np.int64] | Numbers) -> float:
    """About what residuals cost: by a table of their own, or by the scale of each group, whichever is less."""
    low, high = residuals.min(initial=0), residuals.max(initial=0)
    by_scale = _scaled_bits(residuals)
    if high - low >= _MAX_ENTRIES:
        return by_scale
    counts = np.bincount((residuals.reshape(-1) - low).astype(np.int64)).astype(np.float64)
    counts = counts[counts > 0]
    return min(by_scale, float(counts.sum() * np.log2(counts.sum()) - counts @ np.log2(counts)) + 16 * len(counts))


def _scaled_bits(residuals: NDArray[np.int64] | Numbers) -> float:
    """Each group of 16 as two-sided geometric numbers of its own mean magnitude."""
    magnitudes = np.abs(residuals.reshape(-1)).astype(np.float64)
    whole = len(magnitudes) // _GROUP * _GROUP
    means = magnitudes[:whole].reshape(-1, _GROUP).mean(axis=1)
    rest = magnitudes[whole:]
    bits = float(_GROUP * _geometric_bits(means).sum())
    return bits + (len(rest) * float(_geometric_bits(np.array([rest.mean()]))[0]) if len(rest) else 0.0)


def _geometric_bits(means: Numbers) -> Numbers:
    """The entropy of p(k) = (1 − θ) / (1 + θ) · θ^|k| by its mean magnitude."""
    mean = np.maximum(means, 1e-3)
    theta = mean / (np.sqrt(1 + mean * mean) + 1)
    return np.asarray(np.log2((1 + theta) / (1 - theta)) - mean * np.log2(theta))


def fit_predictors(values: NDArray[np.int64], block: int) -> list[Predictor]:
    """The predictors that leave the least, by an estimate: one for each series, or one for all.

    Args:
        values: [series, time].
        block: how many values are predicted from one another.
    """
    series, time = values.shape
    if 1 < series <= _MAX_EACH and time >= _MIN_TIME:
        return [_fit(row[None], block) for row in values]
    return [_fit(values, block)]


def _fit(values: NDArray[np.int64], block: int) -> Predictor:
    series, time = values.shape
    most = min(MAX_ORDER, block // 4, time // 4)
    rows = _rows(values, most)
    candidates = [predictor for predictor in FIXED if predictor.order <= most]
    if most >= _ORDERS[0] and len(rows):
        candidates += _fitted(rows, most)
    weights = np.zeros((most + 1, len(candidates)))
    for column, predictor in zip(weights.T, candidates, strict=True):
        column[1 : predictor.order + 1] = np.array(predictor.coefficients) * 2.0**-predictor.shift
    left = rows[:, 0, None] - np.floor(rows @ weights + 0.5)
    scale = series * time / max(1, len(rows))
    blocks = series * -(-time // block)
    costs = [
        scale * estimated_bits(left[:, i]) + predictor.order * (_COEFFICIENT_BITS + _WARM_UP * blocks)
        for i, predictor in enumerate(candidates)
    ]
    return candidates[int(np.argmin(costs))]


def _rows(values: NDArray[np.int64], most: int) -> Numbers:
    """[rows, most + 1]: a value and those before it, in runs evenly spread over all series."""
    series, time = values.shape
    run = min(_RUN, time - most)
    starts = np.arange(most, time - run + 1, run)
    places = (np.arange(series)[:, None] * time + starts).reshape(-1)
    places = places[:: max(1, len(places) * run // _ROWS)]
    at = (places[:, None] + np.arange(run)).reshape(-1)
    found: Numbers = values.reshape(-1)[at[:, None] - np.arange(most + 1)].astype(np.float64)
    return found


def _fitted(rows: Numbers, most: int) -> list[Predictor]:
    weights, order = np.ones(len(rows)), min(16, most)
    for _ in range(_ROUNDS):
        solved = _solve(rows.T @ (rows * weights[:, None]), order)
        if solved is None:
            return []
        weights = 1 / (np.abs(rows[:, 0] - rows[:, 1 : order + 1] @ solved) + 0.5)
    moments = rows.T @ (rows * weights[:, None])
    solutions = (_solve(moments, order) for order in _ORDERS if order <= most)
    found = (_integers(solved) for solved in solutions if solved is not None)
    return [predictor for predictor in found if predictor is not None]


def _solve(moments: Numbers, order: int) -> Numbers | None:
    system = moments[1 : order + 1, 1 : order + 1] + (1e-12 * moments[0, 0] + 1e-30) * np.eye(order)
    try:
        solved: Numbers = np.linalg.solve(system, moments[0, 1 : order + 1])
    except np.linalg.LinAlgError:
        return None
    return solved if np.all(np.isfinite(solved)) else None


def _integers(solved: Numbers) -> Predictor | None:
    """Coefficients as i16 with a shift; what rounding takes from one is given to the next, so that their sum stays."""
    largest = float(np.abs(solved).max())
    if not largest < 2**15 - 1:
        return None
    shift = _MAX_SHIFT
    while largest * 2**shift > 2**15 - 2:
        shift -= 1
    rest, found = 0.0, []
    for value in solved * 2.0**shift:
        rounded = float(np.clip(np.rint(value + rest), -(2**15), 2**15 - 1))
        rest += value - rounded
        found.append(int(rounded))
    return Predictor(tuple(found), shift)
