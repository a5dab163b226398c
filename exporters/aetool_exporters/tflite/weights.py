"""Kernels and biases as integers: int8 weights without zero point, biases in units of input scale × weight scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aetool_exporters.tflite.rounding import round_together
from aetool_runtime.specs import Array

__all__ = [
    "QuantizedKernel",
    "energy_of_inputs",
    "mean_error",
    "quantize_bias",
    "quantize_kernel",
    "takes_channels",
    "wants_channels",
]

_LARGEST = 127
_LARGEST_BIAS = 2.0**30  # leaves room for the sum of products in an int32 accumulator
_LEAST_DENSE, _LEAST_CONVOLUTION = 25.0, 33.0  # dB
_ON_GRID = 1e-4  # of a step
_SHARES = 2.0 ** (-np.arange(49) / 16)  # down to an eighth


@dataclass(frozen=True)
class QuantizedKernel:
    """An int8 kernel.

    Args:
        values: int8, of the kernel's shape.
        scales: one, or one for each index of ``axis``.
        axis: of output channels.
    """

    values: NDArray[np.int8]
    scales: NDArray[np.float32]
    axis: int


def quantize_kernel(
    kernel: Array,
    axis: int,
    *,
    per_channel: bool,
    bias: Array | None = None,
    input_scale: float = 0.0,
    rows: Array | None = None,
) -> QuantizedKernel:
    """Round a kernel to int8, symmetrically.

    Args:
        rows: [rows, inputs of one output], what the kernel is multiplied with, where it is known: weights are then
            rounded together.
        bias: with ``input_scale``: scales are kept large enough for it to fit into its integers.
        input_scale: of the integers that the kernel is multiplied with.
    """
    axes = tuple(place for place in range(kernel.ndim) if place != axis)
    reach = np.abs(kernel).max(axis=axes).astype(np.float64)
    if not per_channel:
        reach = np.array([_best_reach(kernel, None if rows is None else rows.var(axis=0, dtype=np.float64))])
    smallest = reach[reach > 0].min(initial=np.inf)
    scales = np.where(reach > 0, reach, smallest if np.isfinite(smallest) else 1.0) / _LARGEST
    if bias is not None and input_scale:
        needed = np.abs(bias.astype(np.float64)) / (input_scale * _LARGEST_BIAS)
        scales = np.maximum(scales, needed if per_channel else needed.max())
    rounded = scales.astype(np.float32)
    if rows is not None and axis == 0:
        flat = kernel.reshape(len(kernel), -1)
        each = np.broadcast_to(rounded, len(kernel))
        whole = round_together(flat, each, _LARGEST, rows, input_scale**2 / 12)
        return QuantizedKernel(whole.reshape(kernel.shape).astype(np.int8), rounded, axis)
    shape = [1] * kernel.ndim
    shape[axis] = len(rounded)
    steps = np.rint(kernel / rounded.reshape(shape).astype(np.float64))
    return QuantizedKernel(np.clip(steps, -_LARGEST, _LARGEST).astype(np.int8), rounded, axis)


def _best_reach(kernel: Array, importance: Array | None) -> float:
    """The largest magnitude that one scale should cover, for the least squared error: a few large weights are cut.

    Args:
        importance: of each input of an output, where it is known.
    """
    values = kernel.reshape(len(kernel), -1).astype(np.float64)
    weight = np.ones(values.shape[1]) if importance is None else importance
    largest = float(np.abs(kernel).max())
    best, least = largest, np.inf
    for share in _SHARES:
        scale = largest * share / _LARGEST or 1.0
        rounded = np.clip(np.rint(values / scale), -_LARGEST, _LARGEST) * scale
        error = float(np.sum(weight * (rounded - values) ** 2))
        if error < least:
            best, least = largest * share, error
    return best


def quantize_bias(bias: Array, scales: NDArray[np.float32], input_scale: float, dtype: str) -> tuple[Array, Array]:
    """A bias as ``int32`` or ``int64``, and its scales."""
    units = scales * np.float32(input_scale)
    steps = np.rint(bias.astype(np.float64) / units)
    return np.clip(steps, -_LARGEST_BIAS, _LARGEST_BIAS).astype(dtype), units


def wants_channels(kernel: Array, axis: int, least: float) -> bool:
    """Whether one scale for the whole kernel would leave half of its output channels less than ``least`` dB.

    A scale for each channel takes more bytes than it is mostly worth (twelve for each, where a channel of 64 inputs has
    64), and for Dense layers not every engine has it.
    """
    axes = tuple(place for place in range(kernel.ndim) if place != axis)
    power = np.mean(kernel.astype(np.float64) ** 2, axis=axes)
    noise = (float(np.abs(kernel).max()) / _LARGEST) ** 2 / 12
    used = power[power > 0]
    return bool(len(used) and np.median(used) < 10 ** (least / 10) * noise)


def takes_channels(name: str, kernel: Array, axis: int) -> bool:
    """Whether a kernel that is rounded on calibration data is worth a scale for each output channel.

    One for the whole is mostly enough then. Where weights lie on a grid of steps for each channel already, as
    fine-tuning leaves them, they stay on it.
    """
    if name == "DEPTHWISE_CONV_2D":
        return True
    least = _LEAST_DENSE if name == "FULLY_CONNECTED" else _LEAST_CONVOLUTION
    return wants_channels(kernel, axis, least) or _is_on_grid(kernel, axis)


def _is_on_grid(kernel: Array, axis: int) -> bool:
    axes = tuple(place for place in range(kernel.ndim) if place != axis)
    step = np.abs(kernel).max(axis=axes, keepdims=True).astype(np.float64) / _LARGEST
    steps = kernel / np.where(step > 0, step, 1.0)
    return bool(np.abs(steps - np.rint(steps)).max() < _ON_GRID)


def energy_of_inputs(kernel: Array) -> Array:
    """The sum of squared weights that each input channel meets: [input channels]."""
    squares = kernel.astype(np.float64) ** 2
    energy: Array = squares.sum(axis=tuple(range(kernel.ndim - 1)))
    return energy


def mean_error(kernel: Array, made: QuantizedKernel, rows: Array) -> Array:
    """What rounding the kernel takes from each output on average: [outputs].

    Added to the bias, it costs nothing (M. Nagel et al., "Data-Free Quantization Through Weight Equalization and
    Bias Correction", ICCV 2019).

    Args:
        kernel: [outputs, …, inputs] of a dense layer or convolution.
        rows: [rows, inputs of one output], what the kernel is multiplied with.
    """
    scales = made.scales.astype(np.float64).reshape(-1, *[1] * (kernel.ndim - 1))
    lost = kernel - made.values * scales
    error: Array = lost.reshape(len(kernel), -1) @ rows.mean(axis=0, dtype=np.float64)
    return error
