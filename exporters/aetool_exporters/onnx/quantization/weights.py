"""Constant weights as integers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from aetool_exporters.onnx.ordering import subgraphs
from aetool_exporters.onnx.quantization.kinds import kernel_axis
from aetool_exporters.onnx.quantization.view import attribute
from aetool_runtime.specs import Array

__all__ = ["REACH", "Kernel", "quantize_kernel", "store_as_integers"]

REACH = 127
"""The largest magnitude of an integer weight; the smallest is its negative."""

_SMALLEST_SCALE = float(np.finfo(np.float32).tiny)
_WORTHWHILE = 64
"""Values; a smaller constant would be outweighed by its scales and nodes."""


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


def quantize_kernel(weights: Array, axis: int, *, per_channel: bool, least: Array | float = 0.0) -> Kernel:
    """The finest symmetric integers that cover the weights.

    Args:
        least: scales are not to be smaller, one value or one for each channel.
    """
    axis %= weights.ndim
    others = tuple(place for place in range(weights.ndim) if place != axis)
    reach = np.abs(weights).max(axis=others, initial=0.0)
    if not per_channel:
        reach = np.full_like(reach, reach.max(initial=0.0))
    scale = np.maximum(np.where(reach == 0, REACH, reach) / REACH, np.maximum(least, _SMALLEST_SCALE))
    scale = scale.astype(np.float32)
    integers = np.rint(weights / _along(scale, axis, weights.ndim))
    return Kernel(np.clip(integers, -REACH, REACH).astype(np.int8), scale, axis)


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


def _restored(
    tensor: onnx.TensorProto, axis: int, graph: onnx.GraphProto, per_channel: bool
) -> tuple[onnx.NodeProto, onnx.NodeProto]:
    """Put integers and scales in a constant's place; the nodes that make it again."""
    name = tensor.name
    kernel = quantize_kernel(numpy_helper.to_array(tensor), axis, per_channel=per_channel)
    scale = _along(kernel.scale, kernel.axis, kernel.integers.ndim) if per_channel else kernel.scale[0]
    graph.initializer.remove(tensor)
    graph.initializer.append(numpy_helper.from_array(kernel.integers, f"{name}/int8"))
    graph.initializer.append(numpy_helper.from_array(np.asarray(scale), f"{name}/scale"))
    make = onnx.helper.make_node
    return (
        make("Cast", [f"{name}/int8"], [f"{name}/cast"], to=onnx.TensorProto.FLOAT),
        make("Mul", [f"{name}/cast", f"{name}/scale"], [name]),
    )


def _along(scale: NDArray[np.float32], axis: int, rank: int) -> NDArray[np.float32]:
    shape = [1] * rank
    shape[axis] = -1
    return scale.reshape(shape)
