"""Refuses what tf2onnx passes through instead of raising."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import onnx

from aetool_exporters.layers import layer_of
from aetool_runtime.errors import UnsupportedOperatorError

__all__ = ["refuse_unsupported"]

_STANDARD = ("", "ai.onnx")
_RANDOM = {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}


def refuse_unsupported(model: onnx.ModelProto, layers: Collection[str]) -> None:
    """Raise at the first node that is no standard ONNX operation, or that draws random numbers.

    Args:
        layers: names of Keras layers, to say which one a node came from.

    Raises:
        UnsupportedOperatorError: names the operation, the node and, where known, the layer.
    """
    opset = next(entry.version for entry in model.opset_import if entry.domain in _STANDARD)
    for node in _nodes(model.graph):
        if node.domain not in _STANDARD or not _is_defined(node.op_type, opset):
            hint = "replace the layer, or write it with operations that ONNX has"
            raise _refusal(node, layers, f"{node.op_type} has no counterpart in ONNX opset {opset}", hint)
        if node.op_type in _RANDOM or node.op_type.startswith("StatelessRandom"):
            hint = "export the mean of the distribution instead of a sample of it"
            raise _refusal(node, layers, f"{node.op_type} draws random numbers: no two runs would agree", hint)


def _refusal(node: onnx.NodeProto, layers: Collection[str], what: str, hint: str) -> UnsupportedOperatorError:
    layer = layer_of(node.name, layers)
    where = f"layer {layer!r}, node {node.name!r}" if layer else f"node {node.name!r}"
    return UnsupportedOperatorError(what, where=where, hint=hint)


def _is_defined(op_type: str, opset: int) -> bool:
    try:
        return not onnx.defs.get_schema(op_type, opset, "").deprecated
    except onnx.defs.SchemaError:
        return False


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _nodes(inner)
