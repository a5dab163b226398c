"""Constant weights as integers.

``dynamic_range`` stores weights as int8 and computes in float32. The other way, quantizing activations as they come,
was measured (ONNX Runtime 1.31, one thread, AVX512-VNNI; time relative to float32 at batch 1 / 256, signal-to-noise):

| model | weights alone | activations as well |
|---|---|---|
| dense 784-64-32 | 0.99 / 0.98, 43 dB | 1.05 / 0.90, 40 dB |
| dense 1024-1024-64 | 0.94 / 0.90, 40 dB | 0.40 / 0.60, 35 dB |
| LSTM 64 | 0.99 / 1.09, 38 dB | 0.64 / 0.87, 35 dB |
| convolutions, 16 channels | 0.98 / 1.10, 44 dB | 1.40 / 1.83, 40 dB |

It is faster where products are large, but takes its ranges from the whole batch: what comes out for a sample would
depend on the samples beside it. Where speed matters, int8 has it without that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from aetool_exporters.onnx.ordering import subgraphs
from aetool_exporters.onnx.quantization.kinds import kernel_axis
from aetool_exporters.onnx.quantization.view import attribute
from aetool_runtime.specs import Array

__all__ = ["MANY", "REACH", "Kernel", "quantize_kernel", "store_as_integers", "store_scales", "wants_channels"]

REACH = 127
"""The largest magnitude of an integer weight; the smallest is its negative."""

_SMALLEST_SCALE = float(np.finfo(np.float32).tiny)
MANY = 32
"""Channels from which on it pays to let the engine compute their constants from shorter ones."""

_WORTHWHILE = 64
"""Values; a smaller constant would be outweighed by its scales and nodes."""


_WIDE = 16
"""Channels for each weight of a channel, beyond which one scale serves all: else scales would be half the file."""


@dataclass(frozen=True)
class Kernel:
    """Weights ≈ integers · scale.

    Args:
        integers: the weights' shape, −127 … 127.
        scale: [channels], > 0; the same everywhere if one serves all.
        axis: along which the scales run.
    """

    integers: NDArray[np.int8]
    scale: NDArray[np.float32]
    axis: int

    @property
    def is_uniform(self) -> bool:
        """Whether one scale serves all channels."""
        return bool((self.scale == self.scale[0]).all())


def quantize_kernel(weights: Array, axis: int, *, per_channel: bool, least: Array | float = 0.0) -> Kernel:
    """The finest symmetric integers that cover the weights.

    Args:
        per_channel: one scale for each channel; ``Kernel.scale`` has as many values in either case.
        least: scales are not to be smaller, one value or one for each channel.
    """
    axis %= weights.ndim
    others = tuple(place for place in range(weights.ndim) if place != axis)
    reach = np.abs(weights).max(axis=others, initial=0.0)
    if not per_channel:
        reach = np.full_like(reach, reach.max(initial=0.0))
    scale = _short(np.maximum(np.where(reach == 0, REACH, reach) / REACH, np.maximum(least, _SMALLEST_SCALE)))
    integers = np.rint(weights / _along(scale, axis, weights.ndim))
    return Kernel(np.clip(integers, -REACH, REACH).astype(np.int8), scale, axis)


def wants_channels(shape: Sequence[int], axis: int) -> bool:
    """Whether scales of channels pay: not where a few values are spread over very many channels."""
    return int(shape[axis]) ** 2 <= _WIDE * int(np.prod(shape))


def store_as_integers(graph: onnx.GraphProto, kept: frozenset[str], *, per_channel: bool) -> None:
    """Store the weights of a graph, and of the bodies in it, as int8; they are restored, and computed with, in float.

    Restoring is ``Cast`` and ``Mul``, which engines fold when they load the graph. (ONNX Runtime does not fold a
    ``DequantizeLinear``, but computes it anew at every call.)

    Args:
        kept: names of nodes whose weights stay as they are.
    """
    constants = {tensor.name: tensor for tensor in graph.initializer}
    axes: dict[str, int] = {}
    untouched: set[str] = set()
    for node in graph.node:
        for body in subgraphs(node):
            store_as_integers(body, kept, per_channel=per_channel)
        places = {} if node.name in kept else _weights_of(node)
        for place, name in enumerate(node.input):
            if place not in places or axes.setdefault(name, places[place]) != places[place]:
                untouched.add(name)
    names = [name for name in axes if name not in untouched and _is_worthwhile(constants.get(name))]
    restoring = [node for name in names for node in _restored(constants[name], axes[name], graph, per_channel)]
    nodes = [*restoring, *graph.node]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def _weights_of(node: onnx.NodeProto) -> dict[int, int]:
    """Which inputs are weights → the axis of their channels."""
    if node.op_type in ("Conv", "MatMul", "Gemm"):
        return {1: kernel_axis(node)}
    if node.op_type == "ConvTranspose":
        return {1: 1} if attribute(node, "group", 1) == 1 else {1: 0}
    if node.op_type in ("LSTM", "GRU", "RNN"):
        return {1: 1, 2: 1}
    return {0: 0} if node.op_type == "Gather" else {}


def _is_worthwhile(tensor: onnx.TensorProto | None) -> bool:
    if tensor is None or tensor.data_type != onnx.TensorProto.FLOAT or len(tensor.dims) < 2:
        return False
    return int(np.prod(tensor.dims)) >= _WORTHWHILE


def _restored(tensor: onnx.TensorProto, axis: int, graph: onnx.GraphProto, per_channel: bool) -> list[onnx.NodeProto]:
    """Put integers and scales in a constant's place; the nodes that make it again."""
    name = tensor.name
    per_channel = per_channel and wants_channels(tensor.dims, axis)
    kernel = quantize_kernel(numpy_helper.to_array(tensor), axis, per_channel=per_channel)
    scale = _along(kernel.scale, kernel.axis, kernel.integers.ndim) if per_channel else kernel.scale[0]
    graph.initializer.remove(tensor)
    graph.initializer.append(numpy_helper.from_array(kernel.integers, f"{name}/int8"))
    make, floating = onnx.helper.make_node, onnx.TensorProto.FLOAT
    nodes = [make("Cast", [f"{name}/int8"], [f"{name}/cast"], to=floating)]
    stored = store_scales(np.asarray(scale))
    graph.initializer.append(numpy_helper.from_array(stored, f"{name}/scale"))
    if stored.dtype == np.float16:
        nodes.append(make("Cast", [f"{name}/scale"], [f"{name}/whole_scale"], to=floating))
    factor = f"{name}/whole_scale" if stored.dtype == np.float16 else f"{name}/scale"
    return [*nodes, make("Mul", [f"{name}/cast", factor], [name])]


def _short(scale: Array) -> NDArray[np.float32]:
    """Scales that are hardly larger, with 11 bits, so that half precision can store them where its range reaches."""
    mantissa, exponent = np.frexp(scale.astype(np.float64))
    return np.ldexp(np.ceil(mantissa * 2.0**11) / 2.0**11, exponent).astype(np.float32)


def store_scales(scale: NDArray[np.float32]) -> NDArray[np.float32] | NDArray[np.float16]:
    """Scales of channels as they are best stored: in half precision where there are many and they fit."""
    short = scale.astype(np.float16)
    return short if scale.size >= MANY and (short.astype(np.float32) == scale).all() else scale


def _along(scale: NDArray[np.float32], axis: int, rank: int) -> NDArray[np.float32]:
    shape = [1] * rank
    shape[axis] = -1
    return scale.reshape(shape)
