"""The predictive path: what no codec fits, in integers (BITSTREAM.md, section 7).

n = clamp(r · n′);  n′ is m, or palette[m];  m(t) = d(t) + m(t − lag), or d;  d is predicted, and what is left coded
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aetool_runtime.compression.description import EntropyModel, EntropyTable
from aetool_runtime.compression.entropy.coding import Coder
from aetool_runtime.compression.fields import Cursor
from aetool_runtime.compression.prediction.own_table import format_table, own_bytes, own_table, parse_table
from aetool_runtime.compression.prediction.predictors import LIMIT, MAX_ORDER, Predictor, residuals, restore
from aetool_runtime.compression.varints import format_varint, format_zigzag

__all__ = ["MAX_STEP", "Form", "as_series", "decode", "encode", "lagged"]

MAX_STEP = 2**21 - 1
_PALETTE, _LAG, _TABLE = 1, 2, 4
MAX_PALETTE = 65_536
_MIN_BLOCK, _MAX_BLOCK = 4, 16
_MAX_EACH = 256
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Form:
    """How values are predicted.

    Args:
        step: r.
        time: how many of a sample's dimensions belong to time.
        block: the exponent of the values that are predicted from one another.
        predictors: one for all series, or one for each.
        palette: int64, ascending: what m stands for; empty where n′ is m.
        lag: 0 for none.
    """

    step: int
    time: int
    block: int
    predictors: tuple[Predictor, ...]
    palette: Integers
    lag: int = 0


def as_series(values: Integers, time: int) -> Integers:
    """[samples, …] → [series, time], the sample's first dimensions being time."""
    series = math.prod(values.shape[1 + time :])
    return np.ascontiguousarray(values.reshape(-1, series).T)


def encode(values: Integers, form: Form, coder: Coder, residual: int) -> bytes | None:
    """The payload for m, or ``None`` where a number leaves 32 bits.

    Args:
        values: [samples, …]: m.
    """
    series = as_series(values, form.time)
    if series.size == 0 or np.abs(series).max() >= LIMIT:
        return None
    left = residuals(lagged(series, form.lag), list(form.predictors), 1 << form.block)
    if max(np.abs(left).max(), np.abs(lagged(series, form.lag)).max()) >= LIMIT:
        return None
    found = left.astype(np.int32).reshape(1, -1, 1)
    coded, table = coder.encode(found, residual), own_table(left)
    if table is not None and own_bytes(table, left) < len(coded):
        alone = format_table(table) + _coder_of(table).encode(found, 0)
        if len(alone) < len(coded):
            return _format(form, _TABLE) + alone
    return _format(form, 0) + coded


def lagged(series: Integers, lag: int) -> Integers:
    """m → d."""
    if not lag:
        return series
    found = series.copy()
    found[:, lag:] -= series[:, :-lag]
    return found


def _unlagged(found: Integers, lag: int) -> Integers:
    """d → m: sums over values a lag apart."""
    if not lag:
        return found
    series, time = found.shape
    rows = -(-time // lag)
    grid = np.zeros((series, rows * lag), np.int64)
    grid[:, :time] = found
    return np.cumsum(grid.reshape(series, rows, lag), axis=1).reshape(series, -1)[:, :time]


def _coder_of(table: EntropyTable) -> Coder:
    model = EntropyModel("sets", np.zeros((1, 1), np.uint16), np.zeros(1, np.uint8))
    return Coder([table], [model])


def _format(form: Form, extra: int) -> bytes:
    extra |= _PALETTE * bool(len(form.palette)) | _LAG * bool(form.lag)
    each = len(form.predictors) > 1
    parts = [format_varint(form.step), bytes([extra, form.time, form.block, each])]
    for predictor in form.predictors:
        parts.append(bytes([predictor.order, predictor.shift]))
        parts.append(np.array(predictor.coefficients, "<i2").tobytes())
    if len(form.palette):
        parts += [format_varint(len(form.palette)), format_zigzag(form.palette[:1])]
        parts += map(format_varint, np.diff(form.palette).tolist())
    if form.lag:
        parts.append(format_varint(form.lag))
    return b"".join(parts)


# --- decoding ---


def decode(fields: Cursor, samples: int, shape: Sequence[int], coder: Coder, residual: int) -> Integers:
    """r · n′, int64 [samples, …shape], from the rest of ``fields``.

    Raises:
        DamagedStreamError: no compressor wrote this.
    """
    form, table = _parse(fields, samples, shape)
    series = math.prod(shape[form.time :])
    time = samples * math.prod(shape[: form.time])
    used, model = (coder, residual) if table is None else (_coder_of(table), 0)
    found, fields.at = used.decode(fields.data, fields.at, (1, series * time, 1), model)
    fields.end()
    restored = restore(found.reshape(series, time).astype(np.int64), list(form.predictors), 1 << form.block)
    if restored is None:
        fields.refuse("a predicted value leaves 32 bits")
    values = _unlagged(restored, form.lag)
    if np.abs(values).max(initial=0) >= LIMIT:
        fields.refuse("a repeated value leaves 32 bits")
    if len(form.palette):
        if values.min(initial=0) < 0 or values.max(initial=0) >= len(form.palette):
            fields.refuse("a value is not in the palette", f"0 to {len(form.palette) - 1}")
        values = form.palette[values]
    return np.asarray(form.step * values.T.reshape(samples, *shape))


def _parse(fields: Cursor, samples: int, shape: Sequence[int]) -> tuple[Form, EntropyTable | None]:
    step, extra = fields.varint(1, MAX_STEP), fields.u8()
    if extra >= 2 * _TABLE:
        fields.refuse(f"has the extras {extra:#04x}", "1, 2 and 4")
    time, block = fields.u8(), fields.u8()
    if not 1 <= time <= len(shape):
        fields.refuse(f"counts {time} dimensions as time", f"1 to {len(shape)}")
    if not _MIN_BLOCK <= block <= _MAX_BLOCK:
        fields.refuse(f"has blocks of 2^{block}", f"{_MIN_BLOCK} to {_MAX_BLOCK}")
    predictors = _parse_predictors(fields, math.prod(shape[time:]))
    palette = _parse_palette(fields) if extra & _PALETTE else np.empty(0, np.int64)
    length = samples * math.prod(shape[:time])
    lag = fields.varint(1, max(1, length - 1)) if extra & _LAG else 0
    table = parse_table(fields) if extra & _TABLE else None
    return Form(step, time, block, predictors, palette, lag), table


def _parse_predictors(fields: Cursor, series: int) -> tuple[Predictor, ...]:
    each = fields.u8()
    if each > 1 or (each and series > _MAX_EACH):
        fields.refuse(f"has the predictors {each} for {series} series", f"0, or 1 for at most {_MAX_EACH} series")
    return tuple(_parse_predictor(fields) for _ in range(series if each else 1))


def _parse_predictor(fields: Cursor) -> Predictor:
    order, shift = fields.u8(), fields.u8()
    if order > MAX_ORDER or shift > 15:
        fields.refuse(f"has a predictor of order {order}, shift {shift}", f"at most {MAX_ORDER} and 15")
    return Predictor(tuple(np.frombuffer(fields.take(2 * order), "<i2").tolist()), shift)


def _parse_palette(fields: Cursor) -> Integers:
    count, value = fields.varint(2, MAX_PALETTE), fields.signed()
    found = [value]
    for _ in range(count - 1):
        value += fields.varint(1, 2**32)
        found.append(value)
    if not (found[0] > -LIMIT and value < LIMIT):
        fields.refuse("a palette leaves 32 bits")
    return np.array(found, np.int64)
