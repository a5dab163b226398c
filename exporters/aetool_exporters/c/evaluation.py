"""The same integers as the C code's in NumPy, written another way: what a golden test expects.

The kernels in C look up each value that a window meets; here whole planes are shifted, weighed and summed in 64 bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from aetool_exporters.c.graph import Graph, Tensor
from aetool_exporters.c.step import Step
from aetool_runtime.specs import Array

__all__ = ["evaluate"]

Parameters = dict[str, Any]


def evaluate(graph: Graph, steps: tuple[Step, ...], given: tuple[Array, ...]) -> tuple[Array, ...]:
    """What a program's steps make of one sample: int8 arrays in, each of its tensor's size, and out."""
    values: dict[Tensor, Array] = {t: v.reshape(t.shape) for t, v in zip(graph.inputs, given, strict=True)}
    for step in steps:
        inputs = [tensor.data if tensor.data is not None else values[tensor] for tensor in step.inputs]
        if step.kernel == "part":
            _join(step, inputs[0], values)
        else:
            made = _KERNELS[step.kernel](dict(step.parameters), *map(_wide, inputs))
            values[step.output] = made.astype(np.int8).reshape(step.output.shape)
    return tuple(values[tensor] for tensor in graph.outputs)


def _wide(values: Array | None) -> Array:
    return np.asarray(values).astype(np.int64)


def _join(step: Step, given: Array, values: dict[Tensor, Array]) -> None:
    p: Parameters = dict(step.parameters)
    made = values.setdefault(step.output, np.zeros(step.output.shape, np.int8))
    made.reshape(p["rows"], p["stride"])[:, p["start"] : p["start"] + p["count"]] = given.reshape(p["rows"], -1)


def _scaled(values: Array, multiplier: Any, shift: Any) -> Array:
    left, right = np.maximum(shift, 0).astype(np.int64), np.maximum(-np.asarray(shift, np.int64), 0)
    product = np.clip(values << left, -(2**31), 2**31 - 1) * np.asarray(multiplier, np.int64)
    high = np.sign(product) * ((np.abs(product) + 2**30 - (product < 0)) >> 31)  # halves go up, below zero too
    mask = (np.int64(1) << right) - 1
    return np.asarray((high >> right) + ((high & mask) > (mask >> 1) + (high < 0)))


def _finished(sums: Array, p: Parameters) -> Array:
    """Sums [..., channels]."""
    made = _scaled(sums, p["target.multiplier"], p["target.shift"]) + p["target.zero_point"]
    return np.asarray(np.clip(made, p["target.low"], p["target.high"]))


def _fully_connected(p: Parameters, x: Array) -> Array:
    return _finished(x.reshape(p["rows"], p["inputs"]) @ _wide(p["weights"]).T + p["bias"], p)


def _taps(p: Parameters, x: Array) -> Iterator[tuple[int, int, Array]]:
    """For each tap of a window what it meets, [batch, out_height, out_width, depth]; zeros outside."""
    dilation_y, dilation_x = p.get("dilation_y", 1), p.get("dilation_x", 1)
    rows = max(p["pad_y"] + x.shape[1], p["out_height"] * p["stride_y"] + p["kernel_height"] * dilation_y)
    columns = max(p["pad_x"] + x.shape[2], p["out_width"] * p["stride_x"] + p["kernel_width"] * dilation_x)
    room = np.zeros((x.shape[0], rows, columns, x.shape[3]), np.int64)
    room[:, p["pad_y"] : p["pad_y"] + x.shape[1], p["pad_x"] : p["pad_x"] + x.shape[2]] = x
    for k in range(p["kernel_height"]):
        for n in range(p["kernel_width"]):
            top, left = k * dilation_y, n * dilation_x
            down = slice(top, top + (p["out_height"] - 1) * p["stride_y"] + 1, p["stride_y"])
            right = slice(left, left + (p["out_width"] - 1) * p["stride_x"] + 1, p["stride_x"])
            yield k, n, room[:, down, right]


def _conv_2d(p: Parameters, x: Array) -> Array:
    weights = _wide(p["weights"])
    groups = x.shape[3] // weights.shape[3]
    sums = _wide(p["bias"])
    for k, n, met in _taps(p, x - p["zero_point"]):
        parts = zip(np.split(met, groups, axis=3), np.split(weights[:, k, n], groups), strict=True)
        sums = sums + np.concatenate([part @ kernel.T for part, kernel in parts], axis=3)
    return _finished(sums, p)


def _depthwise_conv_2d(p: Parameters, x: Array) -> Array:
    sums, weights = _wide(p["bias"]), _wide(p["weights"])
    for k, n, met in _taps(p, x - p["zero_point"]):
        sums = sums + np.repeat(met, p["multiple"], axis=3) * weights[0, k, n]
    return _finished(sums, p)


def _transpose_conv(p: Parameters, x: Array) -> Array:
    weights, (batch, height, width, _) = _wide(p["weights"]), x.shape
    rows = max((height - 1) * p["stride_y"] + p["kernel_height"], p["pad_y"] + p["out_height"])
    columns = max((width - 1) * p["stride_x"] + p["kernel_width"], p["pad_x"] + p["out_width"])
    room = np.zeros((batch, rows, columns, p["channels"]), np.int64)
    for k in range(p["kernel_height"]):
        for n in range(p["kernel_width"]):
            down = slice(k, k + (height - 1) * p["stride_y"] + 1, p["stride_y"])
            right = slice(n, n + (width - 1) * p["stride_x"] + 1, p["stride_x"])
            room[:, down, right] += (x - p["zero_point"]) @ weights[:, k, n].T
    top, left = p["pad_y"], p["pad_x"]
    return _finished(room[:, top : top + p["out_height"], left : left + p["out_width"]] + p["bias"], p)


def _max_pool_2d(p: Parameters, x: Array) -> Array:
    met = [values for _, _, values in _taps(p, x + 129)]  # what is outside stays below all
    return np.asarray(np.clip(np.max(met, axis=0) - 129, p["low"], p["high"]))


def _average_pool_2d(p: Parameters, x: Array) -> Array:
    sums = np.sum([values for _, _, values in _taps(p, x)], axis=0)
    counts = np.sum([values for _, _, values in _taps(p, np.ones_like(x))], axis=0)
    return np.asarray(np.clip(np.sign(sums) * ((np.abs(sums) + counts // 2) // counts), p["low"], p["high"]))


def _resize_nearest(p: Parameters, x: Array) -> Array:
    return np.asarray(x[:, p["from_y"]][:, :, p["from_x"]])


def _pad(p: Parameters, x: Array) -> Array:
    made = np.full(p["out_shape"], p["value"])
    made[tuple(slice(b, b + n) for b, n in zip(p["before"], p["shape"], strict=True))] = x.reshape(p["shape"])
    return made


def _pair(kind: str) -> Callable[[Parameters, Array, Array], Array]:
    def compute(p: Parameters, first: Array, second: Array) -> Array:
        a, b = first - p["first_zero_point"], second - p["second_zero_point"]
        if kind == "mul":
            return _finished((a * b)[..., None], p)
        a = _scaled(a << 20, p["first_multiplier"], p["first_shift"])
        b = _scaled(b << 20, p["second_multiplier"], p["second_shift"])
        return _finished((a + b if kind == "add" else a - b)[..., None], p)

    return compute


_KERNELS: dict[str, Callable[..., Array]] = {
    "fully_connected": _fully_connected,
    "conv_2d": _conv_2d,
    "conv_2d_apart": _conv_2d,
    "depthwise_conv_2d": _depthwise_conv_2d,
    "transpose_conv": _transpose_conv,
    "max_pool_2d": _max_pool_2d,
    "average_pool_2d": _average_pool_2d,
    "lookup": lambda p, x: p["table"][x + 128],
    "copy": lambda p, x: x,
    "resize_nearest": _resize_nearest,
    "pad": _pad,
    "add": _pair("add"),
    "sub": _pair("sub"),
    "mul": _pair("mul"),
}
