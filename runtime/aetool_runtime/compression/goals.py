"""What a compressor was asked for, and what follows for grids and steps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from aetool_runtime.compression.description import Compression
from aetool_runtime.compression.framing.header import Grid
from aetool_runtime.errors import UsageError
from aetool_runtime.specs import Array

__all__ = ["Bounded", "Goal", "Traded", "grid_for", "read_goal"]

_LOOKED_AT, _NEARLY_ALL = 1 << 16, 0.999  # values, share of them
_DECIMALS = 6  # that numbers written by people or tables have at most
_FINEST = 24  # a power of two: no float32 grid below 2^-24 is looked for


@dataclass(frozen=True)
class Bounded:
    """No value may be off by more than ``error``, raw units; 0 for no loss."""

    error: float


@dataclass(frozen=True)
class Traded:
    """Bytes against squared error, as at a quality.

    Args:
        quality: an index of the first codec's.
        multiplier: bits that are worth one squared raw unit; ``None`` where the bundle does not tell.
    """

    quality: int
    multiplier: float | None


Goal: TypeAlias = Bounded | Traded


def read_goal(compression: Compression, quality: int | None, max_error: float | None, lossless: bool) -> Goal:
    """The one thing that was asked for.

    Raises:
        UsageError: nothing, or two things, or a quality that the bundle has not.
    """
    if (quality is not None) + (max_error is not None) + lossless != 1:
        raise UsageError("what to keep is not clear", expected="one of quality=, max_error= and lossless=True")
    if lossless:
        return Bounded(0.0)
    if max_error is not None:
        if not (math.isfinite(max_error) and max_error >= 0):
            raise UsageError(f"max_error is {max_error}", expected="a finite number, 0 or more, in the data's units")
        return Bounded(float(max_error))
    assert quality is not None
    count = len(compression.codecs[0].qualities) if compression.codecs else 0
    if not 0 <= quality < count:
        known = f"0 (coarsest) to {count - 1}" if count else "max_error= or lossless=True: the bundle has no codec"
        raise UsageError(f"quality is {quality}", expected=known)
    return Traded(quality, _multiplier(compression, quality))


def _multiplier(compression: Compression, quality: int) -> float | None:
    """−dR/dD of the first codec's curve at a quality: from its neighbours, or as where a bit halves the error."""
    curve = compression.codecs[0].qualities[max(0, quality - 1) : quality + 2]
    told = [(q.rmse**2, q.bits) for q in curve if q.rmse is not None and q.bits is not None]
    if len(told) >= 2 and told[0][0] > told[-1][0] and told[0][1] < told[-1][1]:
        return (told[-1][1] - told[0][1]) / (told[0][0] - told[-1][0])
    rmse = compression.codecs[0].qualities[quality].rmse
    return high_rate(rmse**2) if rmse else None


def high_rate(distortion: float) -> float:
    """−dR/dD where R = −½ · log2 D + constant."""
    return 1 / (2 * math.log(2) * distortion)


def grid_for(goal: Goal, compression: Compression, first: Array) -> Grid | None:
    """The grid of a float32 stream, judged by its first samples; ``None`` for the bundle's own."""
    if isinstance(goal, Traded):
        return None
    finite = first[np.isfinite(first)].astype(np.float64)
    step = _bounded_grid(finite, goal.error) or _binary_grid(finite) or _decimal_grid(finite)
    return None if step is None else _scaled(step, compression.output_unit)


def _binary_grid(values: NDArray[np.float64]) -> float | None:
    """The coarsest power of two, 1 at most, that all values are multiples of."""
    for exponent in range(_FINEST + 1):
        scaled = values * 2.0**exponent
        if np.array_equal(scaled, np.rint(scaled)):
            return 2.0**-exponent
    return None


def _decimal_grid(values: NDArray[np.float64]) -> float | None:
    """The coarsest power of ten, 1/10 at most, whose multiples come back as the very same 32-bit floats."""
    for exponent in range(1, _DECIMALS + 1):
        step = 10.0**-exponent
        if np.array_equal((np.rint(values / step) * step).astype(np.float32), values.astype(np.float32)):
            return step
    return None


def _bounded_grid(values: NDArray[np.float64], error: float) -> float | None:
    """Twice the error, less what rounding to float32 takes of values twice as large as nearly all so far.

    Few larger ones shall not make the grid finer for all: where it does not hold them, they are stored.
    """
    some = np.abs(values[:: max(1, len(values) // _LOOKED_AT)])
    large = float(np.quantile(some, _NEARLY_ALL)) if len(some) else 0.0
    step = 2 * (error - 2.0**-23 * large) * (1 - 2.0**-40)
    return step if step > error else None


def _scaled(step: float, output_unit: float) -> Grid | None:
    """The grid, with output_unit / step as multiplier · 2^−shift."""
    ratio = output_unit / step
    if not (0 < step < math.inf and 0 < ratio < math.inf):
        return None
    shift = min(40, max(0, 20 - math.floor(math.log2(ratio))))
    return Grid(step, int(min(2**21 - 1, max(1, round(ratio * 2.0**shift)))), shift)
