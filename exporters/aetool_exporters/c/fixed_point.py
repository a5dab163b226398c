"""Integer arithmetic of the TensorFlow Lite quantization specification, in Python's integers.

A real factor is written as multiplier · 2^(shift − 31). Tables of activations are made with the same fixed-point
functions (gemmlowp's) as TensorFlow Lite Micro's reference kernels compute, so they hold the same integers.
"""

from __future__ import annotations

import math
from collections.abc import Callable

__all__ = ["fixed_factor", "logistic", "multiply", "rounding_shift", "tanh"]

_MAX = 2**31 - 1
_MIN = -(2**31)
_ONE_EIGHTH = 1 << 28
_EXP_MINUS_ONE_EIGHTH = 1895147668
_ONE_THIRD = 715827883
# exp(-2^exponent), for the bits of the integer part
_POWERS = ((-2, 1672461947), (-1, 1302514674), (0, 790015084), (1, 290630308), (2, 39332535), (3, 720401), (4, 242))
_48_OVER_17 = 1515870810
_MINUS_32_OVER_17 = -1010580540
_HALF = 1 << 30
_NEWTON_ONE = 1 << 29  # 1.0 with two integer bits


def fixed_factor(real: float) -> tuple[int, int]:
    """Multiplier in [2^30, 2^31) and shift of a real factor ≥ 0; (0, 0) for one below 2^−32."""
    if real == 0:
        return 0, 0
    fraction, shift = math.frexp(real)
    multiplier = math.floor(fraction * 2**31 + 0.5)
    if multiplier == 2**31:
        multiplier, shift = 2**30, shift + 1
    return (multiplier, shift) if shift >= -31 else (0, 0)


def multiply(value: int, multiplier: int, shift: int) -> int:
    """``value`` times a factor, rounded as the reference kernels round: once for the product, once for the shift."""
    return rounding_shift(_product(_saturated(value << max(shift, 0)), multiplier), max(-shift, 0))


def rounding_shift(value: int, bits: int) -> int:
    """value / 2^bits, rounded to the nearest, halves away from zero."""
    mask = (1 << bits) - 1
    return (value >> bits) + int((value & mask) > (mask >> 1) + int(value < 0))


def logistic(raw: int) -> int:
    """The logistic function of a number with 4 integer bits, as one with none (31 bits behind the point)."""
    if raw == 0:
        return _HALF
    positive = _reciprocal(_exp(-abs(raw), 4), lambda x: _saturated(x << 1))
    return positive if raw > 0 else _MAX - positive


def tanh(raw: int) -> int:
    """The hyperbolic tangent of a number with 4 integer bits, as one with none (31 bits behind the point)."""
    if raw == 0:
        return 0
    positive = _reciprocal(_exp(-abs(raw), 5), lambda x: _saturated((x - _NEWTON_ONE) << 2))
    return positive if raw > 0 else -positive


def _saturated(value: int) -> int:
    return max(_MIN, min(_MAX, value))


def _product(a: int, b: int) -> int:
    """The high half of 2·a·b, rounded, halves away from zero but for the odd case below zero."""
    if a == b == _MIN:
        return _MAX
    whole = a * b
    nudged = whole + (_HALF if whole >= 0 else 1 - _HALF)
    return nudged >> 31 if nudged >= 0 else -(-nudged >> 31)


def _exp(raw: int, integer_bits: int) -> int:
    """exp of a number ≤ 0."""
    if raw == 0:
        return _MAX
    fraction_bits = 31 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    rest = (raw & (quarter - 1)) - quarter
    result = _exp_near_zero(_saturated(rest << integer_bits))
    for exponent, power in _POWERS:
        if exponent < integer_bits and (rest - raw) >> (fraction_bits + exponent) & 1:
            result = _product(result, power)
    return result


def _exp_near_zero(raw: int) -> int:
    """exp on [−1/4, 0), by its series around −1/8."""
    x = raw + _ONE_EIGHTH
    square = _product(x, x)
    cube, fourth = _product(square, x), _product(square, square)
    series = rounding_shift(_product(rounding_shift(fourth, 2) + cube, _ONE_THIRD) + square, 1)
    return _EXP_MINUS_ONE_EIGHTH + _product(_EXP_MINUS_ONE_EIGHTH, x + series)


def _reciprocal(raw: int, finish: Callable[[int], int]) -> int:
    """2 / (1 + x) for x in [0, 1] by three steps of Newton's, with two integer bits, then ``finish``."""
    total = raw + _MAX
    half = (total + 1) // 2 if total >= 0 else -((1 - total) // 2)
    x = _48_OVER_17 + _product(half, _MINUS_32_OVER_17)
    for _ in range(3):
        x += _saturated(_product(x, _NEWTON_ONE - _product(half, x)) << 2)
    return finish(x)
