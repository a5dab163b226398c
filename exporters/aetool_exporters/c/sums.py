"""Operations that weigh and sum: their factors, biases and the proof that no sum leaves 32 bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from aetool_exporters.c.fixed_point import fixed_factor
from aetool_exporters.c.graph import Operation, Tensor, refusal
from aetool_exporters.c.step import Parameter, Step
from aetool_exporters.c.tables import activation_range
from aetool_runtime.specs import Array

__all__ = ["conv_2d", "depthwise_conv_2d", "fully_connected", "geometry", "transpose_conv"]

_SAME = 0
_LARGEST_SUM = 2**31 - 1


def fully_connected(operation: Operation) -> list[Step]:
    """``FULLY_CONNECTED``; what the input's zero point adds goes into the bias."""
    given, weights = operation.given(0), operation.given(1)
    kernel = _weights(operation, 1)
    if operation.options.get("weightsFormat", 0):
        raise refusal(operation, "its weights are shuffled")
    outputs, inputs = kernel.shape
    bias = _bias(operation, 2, outputs, kernel, given)
    folded = bias.astype(np.int64) - given.zero_point * kernel.astype(np.int64).sum(axis=1)
    if len(weights.scales) == 1:  # the reference multiplies the scales in float32 here, and only here
        ratios = [float(given.scale * weights.scale) / float(operation.output.scale)]
    else:
        ratios = _ratios(given, weights, operation.output)
    parameters: dict[str, Parameter] = {
        "weights": kernel, "bias": folded.astype(np.int32), "rows": given.size // inputs, "inputs": inputs,
        "outputs": outputs, **_target(operation, ratios),
    }  # fmt: skip
    return [Step("fully_connected", (given,), operation.output, parameters)]


def conv_2d(operation: Operation) -> list[Step]:
    """``CONV_2D``, dilated and grouped ones too."""
    given, kernel = operation.given(0), _weights(operation, 1)
    channels, height, width, depth = kernel.shape
    dilation = (int(operation.options["dilationHFactor"]), int(operation.options["dilationWFactor"]))
    parameters: dict[str, Parameter] = {
        "weights": kernel, "bias": _bias(operation, 2, channels, kernel, given), "channels": channels,
        **geometry(operation, given, (height, width), dilation), "zero_point": given.zero_point,
        **_target(operation, _ratios(given, operation.given(1), operation.output)),
    }  # fmt: skip
    if dilation == (1, 1) and depth == given.shape[3]:
        return [Step("conv_2d", (given,), operation.output, parameters)]
    parameters |= {
        "dilation_y": dilation[0], "dilation_x": dilation[1], "group_depth": depth,
        "group_channels": channels // (given.shape[3] // depth),
    }  # fmt: skip
    return [Step("conv_2d_apart", (given,), operation.output, parameters)]


def depthwise_conv_2d(operation: Operation) -> list[Step]:
    """``DEPTHWISE_CONV_2D``."""
    given, kernel = operation.given(0), _weights(operation, 1)
    _, height, width, channels = kernel.shape
    dilation = (int(operation.options["dilationHFactor"]), int(operation.options["dilationWFactor"]))
    by_channel = np.moveaxis(kernel[0], -1, 0)
    parameters: dict[str, Parameter] = {
        "weights": kernel, "bias": _bias(operation, 2, channels, by_channel, given), "channels": channels,
        **geometry(operation, given, (height, width), dilation), "zero_point": given.zero_point,
        "multiple": channels // given.shape[3], "dilation_y": dilation[0], "dilation_x": dilation[1],
        **_target(operation, _ratios(given, operation.given(1), operation.output)),
    }  # fmt: skip
    return [Step("depthwise_conv_2d", (given,), operation.output, parameters)]


def transpose_conv(operation: Operation) -> list[Step]:
    """``TRANSPOSE_CONV``, whose padding is that of the convolution that leads from its output to its input."""
    given, kernel = operation.given(2), _weights(operation, 1)
    channels, height, width, _ = kernel.shape
    made = operation.output
    shape = geometry(operation, given, (height, width), (1, 1))
    for axis, size, name in ((1, height, "y"), (2, width, "x")):
        shape[f"pad_{name}"] = _padding(operation, made.shape[axis], size, int(shape[f"stride_{name}"]))  # type: ignore[arg-type]
    parameters: dict[str, Parameter] = {
        "weights": kernel, "bias": _bias(operation, 3, channels, kernel, given), "channels": channels, **shape,
        "zero_point": given.zero_point, **_target(operation, _ratios(given, operation.given(1), made)),
    }  # fmt: skip
    return [Step("transpose_conv", (given,), made, parameters)]


def geometry(
    operation: Operation, given: Tensor, kernel: tuple[int, int], dilation: tuple[int, int]
) -> dict[str, Parameter]:
    """Sizes, strides and padding of a window that slides over [batch, height, width, depth]."""
    options, made = operation.options, operation.output
    batch, height, width, depth = given.shape
    reach = [(size - 1) * step + 1 for size, step in zip(kernel, dilation, strict=True)]
    stride_y, stride_x = int(options["strideH"]), int(options["strideW"])
    return {
        "batch": batch, "height": height, "width": width, "depth": depth,
        "out_height": made.shape[1], "out_width": made.shape[2],
        "kernel_height": kernel[0], "kernel_width": kernel[1], "stride_y": stride_y, "stride_x": stride_x,
        "pad_y": _padding(operation, height, reach[0], stride_y),
        "pad_x": _padding(operation, width, reach[1], stride_x),
    }  # fmt: skip


def _padding(operation: Operation, size: int, reach: int, stride: int) -> int:
    """What is added before the first value."""
    if int(operation.options["padding"]) != _SAME:
        return 0
    steps = -(-size // stride)
    return max((steps - 1) * stride + reach - size, 0) // 2


def _weights(operation: Operation, place: int) -> Array:
    tensor, data = operation.given(place), operation.constant(place)
    if tensor.dtype != "int8" or tensor.zero_point != 0 or len(tensor.scales) == 0:
        raise refusal(operation, f"weights {tensor.name} are not symmetric int8 values")
    return data


def _bias(operation: Operation, place: int, channels: int, kernel: Array, given: Tensor) -> Array:
    """int32 [channels]; zeros where there is none."""
    there = place < len(operation.inputs) and operation.inputs[place] is not None
    bias = operation.constant(place) if there else np.zeros(channels, np.int32)
    if bias.dtype != np.int32:
        raise refusal(operation, "its bias is not int32")
    farthest = max(127 - given.zero_point, given.zero_point + 128)
    sums = np.abs(kernel.reshape(channels, -1).astype(np.int64)).sum(axis=1) * (farthest + abs(given.zero_point))
    if (np.abs(bias.astype(np.int64)) + sums).max() > _LARGEST_SUM:
        raise refusal(operation, "its sums may leave 32 bits", "use smaller layers")
    return bias


def _ratios(given: Tensor, weights: Tensor, made: Tensor) -> list[float]:
    return [float(given.scale) * float(scale) / float(made.scale) for scale in weights.scales]


def _target(operation: Operation, ratios: list[float]) -> dict[str, Any]:
    low, high = activation_range(operation)
    factors = [fixed_factor(ratio) for ratio in ratios]
    return {
        "target.multiplier": np.array([multiplier for multiplier, _ in factors], np.int32),
        "target.shift": np.array([shift for _, shift in factors], np.int8),
        "target.each": int(len(factors) > 1), "target.zero_point": operation.output.zero_point,
        "target.low": low, "target.high": high,
    }  # fmt: skip
