"""One form for each graph, so that the same model gives the same bytes in every process.

tf2onnx numbers and orders nodes by hash order and by counters of the process. Here nodes stand depth first from the
outputs, tensors are named after the nodes that make them, constants stand in the order of their first use, and what
only says how the file came about is taken away. Bodies of ``Loop``, ``If`` and ``Scan`` are treated alike. Nothing
that is computed changes, and canonicalizing twice is canonicalizing once.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from aetool_exporters.onnx.identities import settle_identities
from aetool_exporters.onnx.ordering import ordered_nodes, reads, subgraphs
from aetool_exporters.onnx.scope import Scope
from aetool_exporters.onnx.weights import is_elsewhere
from aetool_runtime.errors import ConversionError

__all__ = ["canonicalize", "serialize", "trace_canonical"]

_PRODUCER = "aetool"
_DEFAULT_DOMAIN = ("", "ai.onnx")
_SHORT = {"DequantizeLinear": "DQ", "QuantizeLinear": "Q"}  # in quantized graphs they would be most of the text


def canonicalize(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of the model in canonical form; the names of its inputs, outputs and metadata stay.

    Raises:
        ConversionError: the model has functions of its own or sparse constants, which no converter here writes.
    """
    return trace_canonical(model)[0]


def trace_canonical(model: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, str]]:
    """The same, and each node's new name → the one it had; those in bodies are left out.

    Raises:
        ConversionError: see ``canonicalize``.
    """
    if model.functions or model.training_info:
        raise ConversionError("the graph has functions of its own", expected="standard ONNX operations only")
    interface = [tensor.name for tensor in (*model.graph.input, *model.graph.output)]
    source = onnx.GraphProto()
    source.CopyFrom(model.graph)
    settle_identities(source)
    origins = [node.name for node in ordered_nodes(source)]
    graph = _canonical_graph(source, Scope.outermost(interface))
    result = onnx.ModelProto(ir_version=model.ir_version, producer_name=_PRODUCER, graph=graph)
    used = {_domain(node.domain) for node in _all_nodes(graph)} | {""}
    versions = {_domain(entry.domain): entry.version for entry in model.opset_import}
    result.opset_import.extend(onnx.helper.make_opsetid(name, versions[name]) for name in sorted(used))
    for entry in sorted(model.metadata_props, key=lambda entry: entry.key):
        result.metadata_props.add(key=entry.key, value=entry.value)
    return result, {node.name: origin for node, origin in zip(graph.node, origins, strict=True)}


def serialize(model: onnx.ModelProto) -> bytes:
    """The model's bytes, always the same for the same model.

    Raises:
        ConversionError: 2 GiB or more, which a protobuf cannot hold.
    """
    try:
        data: bytes = model.SerializeToString(deterministic=True)
    except Exception as error:
        raise ConversionError(f"the graph cannot be written ({error})", expected="less than 2 GiB") from error
    return data


def _canonical_graph(graph: onnx.GraphProto, scope: Scope) -> onnx.GraphProto:
    if graph.sparse_initializer:
        raise ConversionError("the graph has sparse constants", expected="dense ones")
    nodes = ordered_nodes(graph)
    _name_tensors(graph, nodes, scope)
    result = onnx.GraphProto(name=scope.name)
    result.node.extend(_canonical_node(node, index, scope) for index, node in enumerate(nodes))
    result.initializer.extend(_canonical_tensor(tensor, scope[tensor.name]) for tensor in _used(graph, nodes))
    result.input.extend(_canonical_value(tensor, scope) for tensor in graph.input)
    result.output.extend(_canonical_value(tensor, scope) for tensor in graph.output)
    return result


def _name_tensors(graph: onnx.GraphProto, nodes: list[onnx.NodeProto], scope: Scope) -> None:
    for index, tensor in enumerate(graph.input):
        scope.name_tensor(tensor.name, f"in_{index}")
    for index, tensor in enumerate(_used(graph, nodes)):
        scope.name_tensor(tensor.name, f"constant_{index}")
    for index, node in enumerate(nodes):
        for place, name in enumerate(node.output):
            scope.name_tensor(name, _name(node, index) + (f":{place}" if place else ""))


def _used(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> list[onnx.TensorProto]:
    """The constants, in the order of their first use."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    names = (*(name for node in nodes for name in reads(node)), *(output.name for output in graph.output))
    return [constants[name] for name in dict.fromkeys(names) if name in constants]


def _canonical_node(node: onnx.NodeProto, index: int, scope: Scope) -> onnx.NodeProto:
    result = onnx.NodeProto(op_type=node.op_type, domain=_domain(node.domain))
    result.name = scope.prefix + _name(node, index)
    result.input.extend(scope[name] for name in node.input)
    result.output.extend(scope[name] for name in node.output)
    for attribute in sorted(node.attribute, key=lambda attribute: attribute.name):
        result.attribute.append(_canonical_attribute(attribute, scope.inner(f"{result.name}/{attribute.name}")))
    return result


def _name(node: onnx.NodeProto, index: int) -> str:
    return f"{_SHORT.get(node.op_type, node.op_type)}_{index}"


def _canonical_attribute(attribute: onnx.AttributeProto, scope: Scope) -> onnx.AttributeProto:
    result = onnx.AttributeProto()
    result.CopyFrom(attribute)
    result.ClearField("doc_string")
    if attribute.HasField("t"):
        result.t.CopyFrom(_canonical_tensor(attribute.t, ""))
    if attribute.HasField("g"):
        result.g.CopyFrom(_canonical_graph(attribute.g, scope))
    if attribute.graphs:
        raise ConversionError(f"attribute {attribute.name!r} holds several graphs", expected="one for each attribute")
    return result


def _canonical_tensor(tensor: onnx.TensorProto, name: str) -> onnx.TensorProto:
    if is_elsewhere(tensor):
        result = onnx.TensorProto()
        result.CopyFrom(tensor)
        result.name = name
        return result
    if tensor.data_type == onnx.TensorProto.STRING:
        result = onnx.TensorProto(name=name, data_type=tensor.data_type, dims=tensor.dims)
        result.string_data.extend(tensor.string_data)
        return result
    return onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor), name)


def _canonical_value(value: onnx.ValueInfoProto, scope: Scope) -> onnx.ValueInfoProto:
    """A graph's input or output; inside bodies, dimensions are named by the converter and lose these names."""
    result = onnx.ValueInfoProto(name=scope[value.name], type=value.type)
    if scope.prefix and result.type.HasField("tensor_type"):
        for dimension in result.type.tensor_type.shape.dim:
            dimension.ClearField("dim_param")
            dimension.ClearField("denotation")
    return result


def _all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for body in subgraphs(node):
            yield from _all_nodes(body)


def _domain(name: str) -> str:
    return "" if name in _DEFAULT_DOMAIN else name
