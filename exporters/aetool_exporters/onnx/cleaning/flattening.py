"""A ``Transpose`` beside a flat tensor: the rows or columns of the product there can stand in another order instead."""

from __future__ import annotations

import math

import numpy as np
from onnx import NodeProto

from aetool_exporters.onnx.cleaning.axes import ELEMENTWISE
from aetool_exporters.onnx.cleaning.graph import EditableGraph, attribute
from aetool_runtime.specs import Array

__all__ = ["flatten_in_weights", "unflatten_in_weights"]


def flatten_in_weights(graph: EditableGraph) -> bool:
    """``Transpose``, ``Reshape`` to two dimensions, ``MatMul``: the rows of its weights stand in another order."""
    return graph.first(lambda node: _flatten(graph, node))


def _flatten(graph: EditableGraph, product: NodeProto) -> bool:
    weight = graph.constant(product.input[1]) if product.op_type == "MatMul" else None
    reshape = graph.sole_maker(product.input[0]) if weight is not None else None
    transpose = graph.sole_maker(reshape.input[0]) if reshape is not None and reshape.op_type == "Reshape" else None
    if weight is None or reshape is None or transpose is None or transpose.op_type != "Transpose":
        return False
    sizes = _sample_sizes(graph, transpose.input[0])
    perm = _sample_order(transpose)
    flat = graph.integers(reshape, 1)
    if sizes is None or perm is None or flat is None or len(flat) != 2 or weight.shape[0] != math.prod(sizes):
        return False
    if flat[0] not in (-1, 0) or weight.ndim != 2 or len(graph.readers(product.input[1])) != 1:
        return False
    moved = weight.reshape(*(sizes[axis] for axis in perm), -1)
    natural = moved.transpose(*np.argsort(perm), len(perm)).reshape(weight.shape)
    product.input[1] = graph.add_constant(natural)
    reshape.input[0] = transpose.input[0]
    graph.replace([transpose], [])
    return True


def unflatten_in_weights(graph: EditableGraph) -> bool:
    """``MatMul``, elementwise nodes, ``Reshape``, ``Transpose``: the columns of the weights stand in its order."""
    return graph.first(lambda node: _unflatten(graph, node))


def _unflatten(graph: EditableGraph, transpose: NodeProto) -> bool:
    perm = _sample_order(transpose) if transpose.op_type == "Transpose" else None
    reshape = graph.sole_maker(transpose.input[0]) if perm is not None else None
    if perm is None or reshape is None or reshape.op_type != "Reshape":
        return False
    sizes = _sample_sizes(graph, reshape.output[0])
    target = graph.integers(reshape, 1)
    if sizes is None or target is None or target[0] not in (-1, 0) or len(target) != len(perm) + 1:
        return False
    order = np.arange(math.prod(sizes)).reshape(sizes).transpose(perm).reshape(-1)
    run = _run_from_product(graph, reshape.input[0], len(order))
    if run is None:
        return False
    for node in run:
        for place, name in enumerate(node.input):
            value = graph.constant(name)
            if value is not None and _is_along(value, len(order)):
                node.input[place] = graph.add_constant(value[..., order])
    new = NodeProto()
    new.CopyFrom(reshape)
    new.input[1] = graph.add_constant(np.array([target[0], *(sizes[axis] for axis in perm)], np.int64))
    new.output[0] = transpose.output[0]
    graph.replace([reshape, transpose], [new])
    return True


def _run_from_product(graph: EditableGraph, name: str, width: int) -> list[NodeProto] | None:
    """The elementwise nodes above a tensor of [batch, width], up to the product that they work on."""
    run: list[NodeProto] = []
    while (node := graph.sole_maker(name)) is not None:
        run.append(node)
        constants = [place for place, given in enumerate(node.input) if graph.is_constant(given)]
        if any(len(graph.readers(node.input[place])) != 1 for place in constants):
            return None
        if node.op_type == "MatMul":
            weight = graph.constant(node.input[1])
            return run if weight is not None and weight.shape[1:] == (width,) else None
        varying = [given for given in node.input if given and not graph.is_constant(given)]
        if node.op_type not in ELEMENTWISE or len(varying) != 1 or not _all_fit(graph, node, constants, width):
            return None
        name = varying[0]
    return None


def _all_fit(graph: EditableGraph, node: NodeProto, constants: list[int], width: int) -> bool:
    values = [graph.constant(node.input[place]) for place in constants]
    return all(value is not None and (value.size == 1 or _is_along(value, width)) for value in values)


def _is_along(value: Array, width: int) -> bool:
    return value.ndim > 0 and value.shape[-1] == width and value.ndim <= 2


def _sample_sizes(graph: EditableGraph, name: str) -> list[int] | None:
    shape = graph.shape(name)
    if shape is None or None in shape[1:]:
        return None
    return [size for size in shape[1:] if size is not None]


def _sample_order(transpose: NodeProto) -> list[int] | None:
    """Where each axis of a sample comes from; ``None`` where the batch moves."""
    perm = list(attribute(transpose, "perm", ()))
    return [axis - 1 for axis in perm[1:]] if perm and perm[0] == 0 else None
