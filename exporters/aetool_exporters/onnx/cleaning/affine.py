"""A product or a sum per channel after a linear node goes into its weights: so batch normalization costs nothing."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto

from aetool_exporters.onnx.cleaning.graph import EditableGraph, attribute
from aetool_runtime.specs import Array

__all__ = ["fold_affine", "fold_scalar"]

_LINEAR = {"Conv", "ConvTranspose", "MatMul"}
_ONLY_MOVING = {"Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
_LARGEST_SHIFT = 4.0
"""Of a bias, in sizes of what the weights make of inputs of 1: a larger one would drown the sum that it starts."""


def fold_affine(graph: EditableGraph) -> bool:
    """Into the weights of ``Conv``, ``ConvTranspose`` and ``MatMul``; sums into a bias, where there is one."""
    return graph.first(lambda node: _fold(graph, node))


def _fold(graph: EditableGraph, node: NodeProto) -> bool:
    operands = _operands(graph, node)
    if operands is None:
        return False
    name, constant = operands
    above = graph.sole_maker(name)
    if above is None:
        return False
    rank = len(graph.shape(node.output[0]) or ())
    if above.op_type == "Add":
        return _join_bias(graph, above, node, constant, rank)
    if not _is_linear(graph, above):
        return False
    factor = _per_channel(constant, above, rank, _channels(graph, above))
    if factor is None:
        return False
    if node.op_type in ("Mul", "Div"):
        _scale(graph, above, 1 / factor if node.op_type == "Div" else factor)
    elif not _shift(graph, above, -factor if node.op_type == "Sub" else factor):
        return False
    _skip(graph, above, node)
    return True


def _operands(graph: EditableGraph, node: NodeProto) -> tuple[str, Array] | None:
    """What varies and the constant beside it; of a difference and a quotient the constant is the second."""
    if node.op_type not in ("Add", "Sub", "Mul", "Div") or len(node.input) != 2:
        return None
    pairs = [tuple(node.input)] if node.op_type in ("Sub", "Div") else [tuple(node.input), tuple(node.input)[::-1]]
    for varying, constant in pairs:
        value = graph.constant(constant)
        if value is not None and value.dtype == np.float32 and not graph.is_constant(varying):
            return varying, value
    return None


def _per_channel(value: Array, linear: NodeProto, rank: int, channels: int) -> Array | None:
    """A constant as one number per channel of what a linear node makes; ``None`` where it is not."""
    if value.size == 1:
        return np.full(channels, value.reshape(-1)[0], np.float32)
    if value.ndim > rank:
        return None
    axis = rank - 1 if linear.op_type == "MatMul" else 1
    full = (1,) * (rank - value.ndim) + value.shape
    return value.reshape(-1) if full == tuple(channels if at == axis else 1 for at in range(rank)) else None


def _channels(graph: EditableGraph, linear: NodeProto) -> int:
    weight = graph.constant(linear.input[1])
    assert weight is not None
    return int(weight.shape[0] if linear.op_type == "Conv" else weight.shape[1])


def _along(linear: NodeProto, weight: Array, values: Array) -> Array:
    """One value per output channel, so that it broadcasts against the weights."""
    if linear.op_type == "MatMul":
        return values
    if linear.op_type == "Conv":
        return values.reshape(-1, *[1] * (weight.ndim - 1))
    return values.reshape(1, -1, *[1] * (weight.ndim - 2))


def _scale(graph: EditableGraph, linear: NodeProto, factor: Array) -> None:
    for place, name in enumerate(linear.input[1:3], 1):
        value = graph.constant(name)
        assert value is not None
        scaled = value * (_along(linear, value, factor) if place == 1 else factor)
        linear.input[place] = graph.add_constant(scaled.astype(np.float32))


def _shift(graph: EditableGraph, linear: NodeProto, shift: Array) -> bool:
    """Whether the sum could become a part of the bias: a product has none."""
    weight = graph.constant(linear.input[1])
    assert weight is not None
    if linear.op_type == "MatMul":
        return False
    reach = np.abs(weight).sum(axis=tuple(a for a in range(weight.ndim) if a != (linear.op_type == "ConvTranspose")))
    if float(np.abs(shift).max()) > _LARGEST_SHIFT * float(reach.max()):
        return False
    if len(linear.input) > 2 and linear.input[2]:
        held = graph.constant(linear.input[2])
        if held is None:
            return False
        linear.input[2] = graph.add_constant((held + shift).astype(np.float32))
    else:
        linear.input.append(graph.add_constant(shift))
    return True


def _join_bias(graph: EditableGraph, bias: NodeProto, node: NodeProto, constant: Array, rank: int) -> bool:
    """A product, then a sum, then this: scale both, or make one sum of two."""
    operands = _operands(graph, bias)
    linear = graph.sole_maker(operands[0]) if operands else None
    if operands is None or linear is None or linear.op_type != "MatMul" or not _is_linear(graph, linear):
        return False
    channels = _channels(graph, linear)
    held, factor = (_per_channel(value, linear, rank, channels) for value in (operands[1], constant))
    if held is None or factor is None:
        return False
    if node.op_type in ("Mul", "Div"):
        factor = 1 / factor if node.op_type == "Div" else factor
        _scale(graph, linear, factor)
        held = held * factor
    else:
        shift = -factor if node.op_type == "Sub" else factor
        weight = graph.constant(linear.input[1])
        assert weight is not None
        if float(np.abs(shift).max()) > _LARGEST_SHIFT * float(np.abs(weight).sum(axis=0).max()):
            return False
        held = held + shift
    name = graph.add_constant(held.astype(np.float32))
    bias.input[:] = [operands[0], name]
    _skip(graph, bias, node)
    return True


def _skip(graph: EditableGraph, above: NodeProto, node: NodeProto) -> None:
    """``above`` makes what ``node`` made of it."""
    kept = NodeProto()
    kept.CopyFrom(above)
    kept.output[0] = node.output[0]
    graph.replace([above, node], [kept])


def _is_linear(graph: EditableGraph, node: NodeProto) -> bool:
    """Whether a node multiplies by constant weights that no other node has."""
    if node.op_type not in _LINEAR or (node.op_type == "ConvTranspose" and attribute(node, "group", 1) != 1):
        return False
    weight = graph.constant(node.input[1])
    if weight is None or weight.dtype != np.float32 or len(graph.readers(node.input[1])) != 1:
        return False
    return node.op_type != "MatMul" or weight.ndim == 2


def fold_scalar(graph: EditableGraph) -> bool:
    """A product with one number before a linear node goes into its weights, too.

    One for each channel stays: it would spread the weights of a channel so far that they could not be quantized.
    """
    return graph.first(lambda node: _is_linear(graph, node) and _fold_before(graph, node))


def _fold_before(graph: EditableGraph, linear: NodeProto) -> bool:
    reader = linear
    maker = graph.sole_maker(reader.input[0])
    while maker is not None and maker.op_type in _ONLY_MOVING:
        reader, maker = maker, graph.sole_maker(maker.input[0])
    operands = None if maker is None or maker.op_type != "Mul" else _operands(graph, maker)
    weight = graph.constant(linear.input[1])
    if maker is None or operands is None or operands[1].size != 1 or weight is None:
        return False
    linear.input[1] = graph.add_constant((weight * operands[1].reshape(-1)[0]).astype(np.float32))
    reader.input[0] = operands[0]
    graph.replace([maker], [])
    return True
