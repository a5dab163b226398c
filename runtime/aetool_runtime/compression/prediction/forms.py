"""How a chunk is best predicted: step, palette, layout, lag and predictors, each by an estimate of the cost.

The encoder's affair: any choice decodes to the same values.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from aetool_runtime.compression.entropy.coding import Coder
from aetool_runtime.compression.prediction.fitting import estimated_bits, fit_predictors
from aetool_runtime.compression.prediction.predictive import MAX_STEP, Form, as_series, encode, lagged
from aetool_runtime.compression.prediction.predictors import LIMIT, residuals

__all__ = ["encode_best", "reconstructed"]

_BLOCK = 12  # exponent; shorter blocks decode faster, longer ones cost less
_MAX_PALETTE = 256
_REPEATS = 0.5  # of the values must come again a lag later for it to be tried
_LAG_GAIN = 0.98
_ALIKE, _PEAKS = 0.8, 16  # peaks of likeness, beside the highest, and how many of them are tried
_LOOKED_AT = 1 << 14  # values, where a choice needs no more
_MAX_PERIODS = 1 << 16  # values of a series in which something has to repeat
Integers = NDArray[np.int64]


def reconstructed(values: Integers, step: int, limits: tuple[int, int]) -> Integers:
    """What a decompressor returns for values coded at a step."""
    return np.asarray(np.clip(_quantized(values, step) * step, *limits))


def _quantized(values: Integers, step: int) -> Integers:
    return values if step == 1 else np.floor_divide(values + step // 2, step)


def encode_best(values: Integers, step: int, coder: Coder, residual: int) -> bytes | None:
    """The payload of the predictive path, or ``None`` where it cannot hold the values.

    Args:
        values: [samples, …shape]: n.
        step: 1 for no loss; a value then differs by half a step at most, before it is clamped.
    """
    if not 1 <= step <= MAX_STEP or not values.size:
        return None
    quantized = _quantized(values, step)
    if np.abs(quantized).max() >= LIMIT:
        return None
    divisor = _divisor(quantized) if step == 1 else 1
    palette, found = _palette(quantized // divisor)
    time = _time(found)
    series = as_series(found, time)
    lag = _lag(series)
    block = min(_BLOCK, max(4, (series.shape[1] - 1).bit_length()))
    predictors = fit_predictors(series, 1 << block)
    if lag:
        others = fit_predictors(lagged(series, lag), 1 << block)
        before = estimated_bits(residuals(series, predictors, 1 << block))
        after = estimated_bits(residuals(lagged(series, lag), others, 1 << block))
        lag, predictors = (lag, others) if after < _LAG_GAIN * before else (0, predictors)
    return encode(found, Form(step * divisor, time, block, tuple(predictors), palette, lag), coder, residual)


def _divisor(values: Integers) -> int:
    """What all values are multiples of."""
    flat = values.reshape(-1)
    if np.gcd.reduce(flat[:64]) == 1:
        return 1
    divisor = int(np.gcd.reduce(flat))
    return divisor if 1 < divisor <= MAX_STEP else 1


def _palette(values: Integers) -> tuple[Integers, Integers]:
    """The palette, if the values are few and far between, and what then stands for them; else none, and themselves."""
    none = np.empty(0, np.int64)
    some = len(np.unique(values.reshape(-1)[:: max(1, values.size // _LOOKED_AT)]))
    if some > _MAX_PALETTE or int(values.max()) - int(values.min()) + 1 < 2 * some:
        return none, values
    palette, places = np.unique(values, return_inverse=True)
    if not 2 <= len(palette) <= _MAX_PALETTE or palette[-1] - palette[0] + 1 < 2 * len(palette):
        return none, values
    return palette, places.reshape(values.shape).astype(np.int64)


def _time(values: Integers) -> int:
    """How many of a sample's dimensions to count as time: where neighbours are most alike."""
    shape = values.shape[1:]
    layouts = [time for time in range(1, len(shape) + 1) if time == 1 or shape[time - 1] > 1]
    if len(layouts) == 1:
        return layouts[0]
    some = values[: max(1, _LOOKED_AT // math.prod(shape))]
    flat = [some.reshape(-1, math.prod(shape[time:])) for time in layouts]
    costs = [estimated_bits(np.diff(rows.T, axis=1, prepend=0)) for rows in flat]
    return layouts[int(np.argmin(costs))]


def _lag(series: Integers) -> int:
    """The shortest lag at which most values come again; 0 for none."""
    series = series[:, :_MAX_PERIODS]
    time = series.shape[1]
    row = series[int(np.argmax(series.std(axis=1)))].astype(np.float64)
    row = row - row.mean()
    if time < 32 or not row.any():
        return 0
    spectrum = np.fft.rfft(row, 1 << (2 * time - 1).bit_length())
    likeness = np.fft.irfft(spectrum * np.conj(spectrum))[: time // 2 + 1] / (time - np.arange(time // 2 + 1))
    first = int(np.argmax(likeness < 0.5 * likeness[0]))  # beyond the peak at no lag at all
    if not first:
        return 0
    peaks = first + 1 + np.flatnonzero((np.diff(likeness[first:-1]) > 0) & (np.diff(likeness[first + 1 :]) <= 0))
    peaks = peaks[likeness[peaks] >= _ALIKE * likeness[peaks].max(initial=0.0)][:_PEAKS]
    repeats = (int(lag) for lag in peaks if np.mean(series[:, lag:] == series[:, :-lag]) >= _REPEATS)
    return next(repeats, 0)
