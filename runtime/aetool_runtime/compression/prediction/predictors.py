"""Linear prediction in integers: values → residuals and back, block by block (BITSTREAM.md, section 7).

Floating point holds every number here exactly: |c| < 2^15, |value| < 2^31 and at most 32 terms stay below 2^52.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["LIMIT", "MAX_ORDER", "Predictor", "residuals", "restore"]

MAX_ORDER = 32
LIMIT = 2**31  # magnitudes stay below

Integers = NDArray[np.int64]
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Predictor:
    """value(t) ≈ shift(Σ coefficients[k − 1] · value(t − k), shift); no coefficients: 0."""

    coefficients: tuple[int, ...] = ()
    shift: int = 0

    @property
    def order(self) -> int:
        return len(self.coefficients)


def residuals(values: Integers, predictors: list[Predictor], block: int) -> Integers:
    """What prediction leaves.

    Args:
        values: [series, time].
        predictors: one for all series, or one for each.
        block: values of a series that are predicted from one another.

    Returns:
        [series, time]; they may have more than 32 bits.
    """
    if len(predictors) == 1:
        return _residuals(values, predictors[0], block)
    parts = [_residuals(row[None], predictor, block) for row, predictor in zip(values, predictors, strict=True)]
    return np.concatenate(parts)


def _residuals(values: Integers, predictor: Predictor, block: int) -> Integers:
    order, time = predictor.order, values.shape[1]
    found = values.copy()
    if order and time > order:
        known = values.astype(np.float64)
        sums = np.zeros((len(values), time - order))
        for k, coefficient in enumerate(predictor.coefficients, 1):
            if coefficient:
                sums += coefficient * known[:, order - k : time - k]
        found[:, order:] -= _rounded(sums, predictor.shift).astype(np.int64)
    starts = np.arange(0, time, block)
    for place in range(1, order):
        at = starts[starts + place < time] + place
        found[:, at] = values[:, at] - values[:, at - 1]
    found[:, starts] = np.diff(values[:, starts], axis=1, prepend=0)
    return found


def _rounded(sums: Numbers, shift: int) -> Numbers:
    """shift(sums, shift), which takes an exact power of two."""
    if not shift:
        return sums
    sums *= 2.0**-shift
    sums += 0.5
    return np.floor(sums, out=sums)


def restore(found: Integers, predictors: list[Predictor], block: int) -> Integers | None:
    """The opposite of ``residuals``; ``None`` where a value leaves 32 bits.

    Args:
        found: [series, time], magnitudes up to 2^31.
    """
    series, time = found.shape
    blocks = -(-time // block)
    length = min(block, time)
    grid = np.zeros((series, blocks * length))
    grid[:, :time] = found
    grid = grid.reshape(series, blocks, length)
    grid[:, :, 0] = np.cumsum(grid[:, :, 0], axis=1)
    # One predictor: the series are only more blocks. Time before blocks: what is read together lies together.
    groups = grid.reshape(1, series * blocks, length) if len(predictors) == 1 else grid
    values = np.empty((len(groups), length, groups.shape[1]))
    _restore(groups, values, predictors)
    whole = values.transpose(0, 2, 1).reshape(series, -1)[:, :time]
    return whole.astype(np.int64) if np.abs(whole).max(initial=0) < LIMIT else None


def _restore(grid: Numbers, values: Numbers, predictors: list[Predictor]) -> None:
    """Runs over time, all blocks of all series together: grid [groups, wide, time] → values [groups, time, wide].

    A sum that leaves 32 bits stays at the limit, which the caller finds.
    """
    longest = max(predictor.order for predictor in predictors)
    coefficients = np.zeros((len(predictors), 1, longest))
    for row, predictor in zip(coefficients, predictors, strict=True):
        if predictor.order:
            row[0, longest - predictor.order :] = np.array(predictor.coefficients[::-1]) * 2.0**-predictor.shift
    half = np.array([[[0.5 if predictor.shift else 0.0]] for predictor in predictors])
    orders = np.array([predictor.order for predictor in predictors])
    values[...] = grid.transpose(0, 2, 1)
    for t in range(1, values.shape[1]):
        now = values[:, t]
        if t < longest:
            _restore_early(values, t, orders, coefficients, half)
        elif longest:
            sums = coefficients @ values[:, t - longest : t]
            sums += half
            now += np.floor(sums, out=sums)[:, 0]
        np.clip(now, -LIMIT, LIMIT, out=now)


def _restore_early(values: Numbers, t: int, orders: NDArray[np.int64], coefficients: Numbers, half: Numbers) -> None:
    """A time at which some predictors have not as many values behind them as they read."""
    longest = coefficients.shape[2]
    for group, order in enumerate(orders):
        if 0 < t < order:
            values[group, t] += values[group, t - 1]
        elif order:
            sums = coefficients[group, 0, longest - order :] @ values[group, t - order : t]
            values[group, t] += np.floor(sums + half[group, 0])
