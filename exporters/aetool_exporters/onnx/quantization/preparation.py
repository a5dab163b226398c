"""The float graph in the form that quantizes best; it computes the same.

- Scales and offsets of channels, batch normalization among them, go into the weights and biases before them.
- Activation functions stand right behind the sums that they belong to, not behind a change of layout.
- Products of matrices with their biases are ``Gemm``.

What stands between the last layer and the output, such as the way back to raw units, is left alone: an output of large
offset and small spread must not be quantized.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from aetool_exporters.onnx.quantization.kinds import ELEMENTWISE, LAYOUT, channel_axis, kernel_axis, moved_axis
from aetool_exporters.onnx.quantization.view import Types, View, attribute, tensor_types
from aetool_runtime.specs import Array

__all__ = ["prepare"]

_AFFINE = ("Add", "Sub", "Mul", "Div")


def prepare(model: onnx.ModelProto, layers: Mapping[str, str]) -> onnx.ModelProto:
    """A copy in that form; nodes keep their names.

    Args:
        model: in canonical form.
        layers: node name → Keras layer, "" for what belongs to no layer.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    types = tensor_types(result)
    _use_gemm(result, types)
    while _absorb_one(result, types, layers) or _lift_one(result, types):
        pass
    return result


def _use_gemm(model: onnx.ModelProto, types: Types) -> None:
    view = View(model, types)
    for node in model.graph.node:
        if node.op_type != "MatMul" or node.input[1] not in view.constants:
            continue
        if [len(view.shape(name) or ()) for name in node.input] == [2, 2]:
            node.op_type = "Gemm"


def _absorb_one(model: onnx.ModelProto, types: Types, layers: Mapping[str, str]) -> bool:
    """Take one scale or offset into the linear node before it, if there is one that can be."""
    view = View(model, types)
    for node in model.graph.node:
        if node.op_type not in _AFFINE or not view.is_float(node.output[0]):
            continue
        found = _scale_or_offset(node, view, layers)
        if found is not None:
            _apply(*found, model, view)
            _leave_out(node, found[0], model)
            return True
    return False


_Found = tuple[str, onnx.NodeProto, str, NDArray[np.float32]]


def _scale_or_offset(node: onnx.NodeProto, view: View, layers: Mapping[str, str]) -> _Found | None:
    """The tensor that is scaled or moved, the linear node behind it, which of the two, and one value per channel."""
    for given, other in ((node.input[0], node.input[1]), (node.input[1], node.input[0])):
        value = view.constant(other)
        linear = _linear_behind(given, view)
        if value is None or linear is None or (node.op_type in ("Sub", "Div") and given != node.input[0]):
            continue
        is_scale = node.op_type in ("Mul", "Div")
        if _leads_out(node, view) and (is_scale or _bias_of(linear) or not layers.get(node.name)):
            return None
        values = _per_channel(value, given, linear, view)
        if values is None:
            return None
        values = -values if node.op_type == "Sub" else np.float32(1) / values if node.op_type == "Div" else values
        return given, linear, "scale" if is_scale else "offset", values
    return None


def _linear_behind(name: str, view: View) -> onnx.NodeProto | None:
    """The linear node that a tensor comes from, by movements alone, with no other readers on the way."""
    node = view.producer.get(name)
    while node is not None and view.only_reader(node.output[0]) is not None:
        if node.op_type in ("Conv", "ConvTranspose", "Gemm") and node.input[1] in view.constants:
            return None if attribute(node, "group", 1) > 1 and node.op_type == "ConvTranspose" else node
        if node.op_type not in LAYOUT:
            return None
        node = view.producer.get(node.input[0])
    return None


def _per_channel(value: Array, given: str, linear: onnx.NodeProto, view: View) -> NDArray[np.float32] | None:
    """A constant as one value for each of the linear node's channels; ``None`` if it is finer or runs elsewhere."""
    weights = view.constants[linear.input[1]]
    channels = weights.dims[kernel_axis(linear)]
    if value.size == 1:
        return np.full(channels, value.reshape(()), np.float32)
    shape, axis = view.shape(given), _channels_in(given, linear, view)
    if shape is None or axis is None or value.ndim > len(shape):
        return None
    wanted = [channels if place == axis else 1 for place in range(len(shape))]
    if [1] * (len(shape) - value.ndim) + list(value.shape) != wanted:
        return None
    return value.reshape(-1).astype(np.float32)


def _channels_in(name: str, linear: onnx.NodeProto, view: View) -> int | None:
    """The axis along which a tensor has the channels of a linear node before it."""
    chain: list[onnx.NodeProto] = []
    while view.producer[name] is not linear:
        chain.append(view.producer[name])
        name = chain[-1].input[0]
    shape = view.shape(name)
    axis = None if shape is None else channel_axis(linear, len(shape))
    for node in reversed(chain):
        axis = None if axis is None else moved_axis(node, axis, view)
    return axis


def _apply(
    _: str, linear: onnx.NodeProto, kind: str, values: NDArray[np.float32], model: onnx.ModelProto, view: View
) -> None:
    """Change weights and bias; others that read the same constants keep theirs."""
    weights, bias = view.constant(linear.input[1]), view.constant(_bias_of(linear))
    assert weights is not None
    bias = np.zeros(len(values), np.float32) if bias is None else np.broadcast_to(bias.reshape(-1), values.shape)
    if kind == "scale":
        shape = [1] * weights.ndim
        shape[kernel_axis(linear)] = -1
        _replace_input(linear, 1, weights * values.reshape(shape), model)
        bias = bias * values
    else:
        bias = bias + values
    _replace_input(linear, 2, bias, model)


def _replace_input(node: onnx.NodeProto, place: int, value: Array, model: onnx.ModelProto) -> None:
    name = f"{node.output[0]}/{'weights' if place == 1 else 'bias'}"
    while name in {tensor.name for tensor in model.graph.initializer}:
        name += "'"
    model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name))
    while len(node.input) <= place:
        node.input.append("")
    node.input[place] = name


def _leave_out(node: onnx.NodeProto, given: str, model: onnx.ModelProto) -> None:
    """Take a node away; what made its input makes its output instead."""
    name = node.output[0]
    for other in model.graph.node:
        for place, made in enumerate(other.output):
            if made == given:
                other.output[place] = name
    model.graph.node.remove(node)


def _lift_one(model: onnx.ModelProto, types: Types) -> bool:
    """Let one activation function change places with the movement before it, if there is one."""
    view = View(model, types)
    for node in model.graph.node:
        if node.op_type not in ELEMENTWISE:
            continue
        before: onnx.NodeProto | None = view.producer.get(node.input[0])
        if before is None or before.op_type not in LAYOUT:
            continue
        if _linear_behind(node.input[0], view) is not None and view.only_reader(before.output[0]) is node:
            _swap(before, node, model, types)
            return True
    return False


def _swap(movement: onnx.NodeProto, function: onnx.NodeProto, model: onnx.ModelProto, types: Types) -> None:
    source, result = movement.input[0], function.output[0]
    between = f"{source}/{function.op_type}"
    types[between] = types[source]
    function.input[0], function.output[0] = source, between
    movement.input[0], movement.output[0] = between, result
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in model.graph.node]
    first, second = (place for place, node in enumerate(nodes) if node.name in (movement.name, function.name))
    nodes[first], nodes[second] = nodes[second], nodes[first]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _leads_out(node: onnx.NodeProto, view: View) -> bool:
    """Whether nothing but scales, offsets and movements stands between a node and the outputs."""
    waiting = list(node.output)
    while waiting:
        name = waiting.pop()
        for reader in view.readers.get(name, []):
            if reader.op_type not in (*_AFFINE, *LAYOUT, "Identity"):
                return False
            waiting += reader.output
    return True


def _bias_of(linear: onnx.NodeProto) -> str:
    return linear.input[2] if len(linear.input) > 2 else ""
