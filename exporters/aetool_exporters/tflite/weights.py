"""Kernels and biases as integers: int8 weights without zero point, biases in units of input scale × weight scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aetool_runtime.specs import Array

__all__ = ["QuantizedKernel", "energy_of_inputs", "mean_error", "quantize_bias", "quantize_kernel", "wants_channels"]

_LARGEST = 127
_LARGEST_BIAS = 2.0**30  # leaves room for the sum of products in an int32 accumulator
_LEAST_RATIO = 10**2.5  # 25 dB


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
    kernel: Array, axis: int, *, per_channel: bool, bias: Array | None = None, input_scale: float = 0.0
) -> QuantizedKernel:
    """Round a kernel to int8, symmetrically.

    Args:
        bias: with ``input_scale``: scales are kept large enough for it to fit into its integers.
    """
    axes = tuple(place for place in range(kernel.ndim) if place != axis)
    reach = np.abs(kernel).max(axis=axes).astype(np.float64)
    if not per_channel:
        reach = reach.max(keepdims=True)
    smallest = reach[reach > 0].min(initial=np.inf)
    scales = np.where(reach > 0, reach, smallest if np.isfinite(smallest) else 1.0) / _LARGEST
    if bias is not None and input_scale:
        needed = np.abs(bias.astype(np.float64)) / (input_scale * _LARGEST_BIAS)
        scales = np.maximum(scales, needed if per_channel else needed.max())
    rounded = scales.astype(np.float32)
    shape = [1] * kernel.ndim
    shape[axis] = len(rounded)
    steps = np.rint(kernel / rounded.reshape(shape).astype(np.float64))
    return QuantizedKernel(np.clip(steps, -_LARGEST, _LARGEST).astype(np.int8), rounded, axis)


def quantize_bias(bias: Array, scales: NDArray[np.float32], input_scale: float, dtype: str) -> tuple[Array, Array]:
    """A bias as ``int32`` or ``int64``, and its scales."""
    units = scales * np.float32(input_scale)
    steps = np.rint(bias.astype(np.float64) / units)
    return np.clip(steps, -_LARGEST_BIAS, _LARGEST_BIAS).astype(dtype), units


def wants_channels(kernel: Array, axis: int) -> bool:
    """Whether one scale for the whole kernel would be too coarse for its smallest output channels.

    A scale for each channel of a Dense layer takes more bytes than it is worth (with 64 inputs it makes the layer a
    quarter larger), and not every engine has it; so it is used where one scale leaves less than 25 dB.
    """
    axes = tuple(place for place in range(kernel.ndim) if place != axis)
    power = np.mean(kernel.astype(np.float64) ** 2, axis=axes)
    noise = (float(np.abs(kernel).max()) / _LARGEST) ** 2 / 12
    used = power[power > 0]
    return bool(len(used) and np.min(used) < _LEAST_RATIO * noise)


def energy_of_inputs(kernel: Array) -> Array:
    """The sum of squared weights that each input channel meets: [input channels]."""
    squares = kernel.astype(np.float64) ** 2
    energy: Array = squares.sum(axis=tuple(range(kernel.ndim - 1)))
    return energy


def mean_error(kernel: Array, made: QuantizedKernel, mean: Array) -> Array:
    """What rounding the kernel takes from each output on average: [outputs].

    Added to the bias, it costs nothing (M. Nagel et al., "Data-Free Quantization Through Weight Equalization and
    Bias Correction", ICCV 2019). Zeros where it is not known.

    Args:
        kernel: [outputs, …, inputs] of a dense layer or convolution.
        mean: [inputs], the average of what the kernel is multiplied with.
    """
    if kernel.shape[-1] != len(mean):
        return np.zeros(kernel.shape[0])
    scales = made.scales.astype(np.float64).reshape(-1, *[1] * (kernel.ndim - 1))
    lost = kernel - made.values * scales
    error: Array = lost.reshape(len(kernel), -1, len(mean)).sum(axis=1) @ mean
    return error
