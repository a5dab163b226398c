"""Functions of one int8 value as tables of 256 bytes: activations, and from one scale to another."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from aetool_exporters.c.fixed_point import fixed_factor, logistic, multiply, rounding_shift, tanh
from aetool_exporters.c.graph import Operation, Tensor, refusal
from aetool_runtime.specs import Array

__all__ = ["TABLED", "activation_range", "table"]

_LOWEST, _HIGHEST = -128, 127
_INPUT_BITS = 4
_NONE, _RELU, _RELU_N1_TO_1, _RELU6 = range(4)  # fused activations, as the schema counts them
_RANGES = {_RELU: (0.0, None), _RELU_N1_TO_1: (-1.0, 1.0), _RELU6: (0.0, 6.0)}


def activation_range(operation: Operation) -> tuple[int, int]:
    """Smallest and largest integer of an operation's output with its fused activation.

    Raises:
        UnsupportedOperatorError: another activation than a ReLU.
    """
    kind = int(operation.options.get("fusedActivationFunction", _NONE))
    if kind == _NONE:
        return _LOWEST, _HIGHEST
    if kind not in _RANGES:
        raise refusal(operation, f"fused activation {kind}", "use ReLU")
    low, high = _RANGES[kind]
    return (
        max(_LOWEST, _quantized(low, operation.output)),
        _HIGHEST if high is None else min(_HIGHEST, _quantized(high, operation.output)),
    )


def table(operation: Operation) -> Array:
    """int8 [256]: what the operation makes of −128 … 127."""
    return np.array([_FUNCTIONS[operation.name](operation, value) for value in range(-128, 128)], np.int8)


def _quantized(real: float, tensor: Tensor) -> int:
    ratio = float(np.float32(real) / tensor.scale)
    return tensor.zero_point + int(math.copysign(math.floor(abs(ratio) + 0.5), ratio))


def _clamped(value: int) -> int:
    return max(_LOWEST, min(_HIGHEST, value))


def _sigmoidal(function: Callable[[int], int], output_bits: int, zero_point: int) -> Callable[[Operation, int], int]:
    def of(operation: Operation, value: int) -> int:
        given = operation.given(0)
        fraction, shift = math.frexp(float(given.scale) * 2 ** (31 - _INPUT_BITS))
        radius = math.floor(((1 << _INPUT_BITS) - 1) * 2.0 ** (31 - _INPUT_BITS) / 2.0**shift)
        steps = value - given.zero_point
        if abs(steps) >= radius:
            return _LOWEST if steps <= -radius else _HIGHEST
        raw = multiply(steps, math.floor(fraction * 2**31 + 0.5), shift)
        return _clamped(rounding_shift(function(raw), output_bits) + zero_point)

    return of


def _rescaled(operation: Operation, value: int) -> int:
    given, made = operation.given(0), operation.output
    factor = fixed_factor(float(given.scale) / float(made.scale))
    return _clamped(multiply(value - given.zero_point, *factor) + made.zero_point)


def _relu(operation: Operation, value: int) -> int:
    given, made = operation.given(0), operation.output
    factor = fixed_factor(float(given.scale / made.scale))
    return max(made.zero_point, _clamped(multiply(value - given.zero_point, *factor) + made.zero_point))


def _relu6(operation: Operation, value: int) -> int:
    given = operation.given(0)
    return max(given.zero_point, min(_clamped(_quantized(6.0, given)), value))


def _leaky_relu(operation: Operation, value: int) -> int:
    given, made = operation.given(0), operation.output
    steps = value - given.zero_point
    slope = np.float32(1 if steps >= 0 else operation.options["alpha"])
    factor = fixed_factor(float(given.scale * slope / made.scale))
    return _clamped(multiply(steps, *factor) + made.zero_point)


_FUNCTIONS: dict[str, Callable[[Operation, int], int]] = {
    "LOGISTIC": _sigmoidal(logistic, 23, -128),
    "TANH": _sigmoidal(tanh, 24, 0),
    "QUANTIZE": _rescaled,
    "RELU": _relu,
    "RELU6": _relu6,
    "LEAKY_RELU": _leaky_relu,
}
TABLED = frozenset(_FUNCTIONS)
