"""``Transpose``, ``Reshape``, ``Squeeze`` and ``Unsqueeze`` of a constant are a constant."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto

from aetool_exporters.onnx.cleaning.graph import EditableGraph, attribute
from aetool_runtime.specs import Array

__all__ = ["fold_constant_axes"]


def fold_constant_axes(graph: EditableGraph) -> bool:
    """Other operations on constants are folded before: only weights that the converter was not shown come here."""
    return graph.first(lambda node: _fold(graph, node))


def _fold(graph: EditableGraph, node: NodeProto) -> bool:
    value = graph.constant(node.input[0]) if node.input else None
    result = None if value is None or node.output[0] in graph.outputs else _moved(graph, node, value)
    if result is None or any(node.output[0] not in reader.input for reader in graph.readers(node.output[0])):
        return False
    name = graph.add_constant(result)
    for reader in graph.readers(node.output[0]):
        for place, read in enumerate(reader.input):
            if read == node.output[0]:
                reader.input[place] = name
    graph.replace([node], [])
    return True


def _moved(graph: EditableGraph, node: NodeProto, value: Array) -> Array | None:
    if node.op_type == "Transpose":
        return np.transpose(value, attribute(node, "perm"))
    sizes = graph.integers(node, 1)
    if sizes is None:
        return None
    if node.op_type == "Reshape" and not attribute(node, "allowzero", 0):
        return value.reshape([value.shape[axis] if size == 0 else size for axis, size in enumerate(sizes)])
    if node.op_type == "Unsqueeze":
        return np.expand_dims(value, tuple(sizes))
    return np.squeeze(value, tuple(sizes)) if node.op_type == "Squeeze" else None
