"""Outputs whose channels differ in size or have an offset, such as raw values, are quantized each in its own range.

A ``Conv`` gives 8 bits and one scale for all channels. Where channels of its result go out as they are, the range of
each is taken into the weights and out again behind the integers, by a factor and an offset in float; or, where outputs
are integers, by what these stand for.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from aetool_exporters.onnx.quantization.kinds import LAYOUT, kernel_axis
from aetool_exporters.onnx.quantization.view import View, attribute
from aetool_runtime.specs import Array

__all__ = ["center", "tensors_to_center"]

_WASTED = 2.0
"""How much wider than a channel's range the whole one is, from which on it is worth it."""


def tensors_to_center(model: onnx.ModelProto, floats: frozenset[str], *, integer_io: bool) -> list[str]:
    """The results of linear nodes, [batch, channels, …], that go out as they are and are rounded to 8 bits."""
    view = View(model)
    kinds = ("Conv", "ConvTranspose", "Gemm") if integer_io else ("Conv",)
    return [
        node.output[0]
        for node in view.graph.node
        if node.op_type in kinds
        and node.name not in floats
        and _is_plain(node, view)
        and _goes_out(node.output[0], view)
    ]


def center(model: onnx.ModelProto, ranges: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]) -> None:
    """Do so in a prepared graph, in place, where much would be lost.

    Args:
        ranges: tensor → smallest and largest value of each channel.
    """
    for name, (lowest, highest) in ranges.items():
        whole = max(float(highest.max()), 0.0) - min(float(lowest.min()), 0.0)
        widths = highest - lowest
        if whole > 0 and whole > _WASTED * float(widths.min()):
            # Factors are powers of two, which scale without rounding; a channel that hardly varies has a coarse one.
            factors = np.exp2(np.ceil(np.log2(np.maximum(widths, whole * 2.0**-24) / 2)))
            _insert(model, name, factors.astype(np.float32), ((lowest + highest) / 2).astype(np.float32))


def _is_plain(node: onnx.NodeProto, view: View) -> bool:
    grouped = node.op_type == "ConvTranspose" and attribute(node, "group", 1) != 1
    return node.input[1] in view.constants and not grouped and not attribute(node, "transA", 0)


def _goes_out(name: str, view: View) -> bool:
    """Whether nothing but scales, offsets and changes of layout stands between a tensor and the outputs."""
    while name not in view.outputs:
        reader = view.only_reader(name)
        if reader is None or not (reader.op_type in LAYOUT or _is_affine(reader, view)):
            return False
        name = reader.output[0]
    return name not in view.readers


def _is_affine(node: onnx.NodeProto, view: View) -> bool:
    return node.op_type in ("Add", "Div", "Mul", "Sub") and any(name in view.constants for name in node.input)


def _insert(model: onnx.ModelProto, name: str, factors: NDArray[np.float32], offsets: NDArray[np.float32]) -> None:
    view = View(model)
    node, rank = view.producer[name], len(view.shape(name) or ())
    weights, bias = view.constant(node.input[1]), view.constant(node.input[2]) if len(node.input) > 2 else None
    assert weights is not None
    along = [1] * weights.ndim
    along[kernel_axis(node)] = -1
    exact = (np.zeros(len(factors)) if bias is None else bias.reshape(-1).astype(np.float64)) - offsets
    inner = [node.input[0], _store(model, f"{name}/centered weights", weights / factors.reshape(along))]
    node.input[:] = [*inner, _store(model, f"{name}/centered bias", exact / factors)]
    shape = [-1 if axis == 1 else 1 for axis in range(rank)]
    factor = _store(model, f"{name}/factors", factors.reshape(shape))
    offset = _store(model, f"{name}/offsets", offsets.reshape(shape))
    centered, wide = f"{name}/centered", f"{name}/wide"
    node.output[0] = centered
    place = list(model.graph.node).index(node)
    make = onnx.helper.make_node
    model.graph.node.insert(place + 1, make("Mul", [centered, factor], [wide], name=wide))
    model.graph.node.insert(place + 2, make("Add", [wide, offset], [name], name=f"{name}/off"))


def _store(model: onnx.ModelProto, name: str, value: Array) -> str:
    model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name))
    return name
