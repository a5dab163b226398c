"""The outermost graph's outputs are made by the nodes that compute them, and not by copies behind these."""

from __future__ import annotations

from onnx import NodeProto, helper

from aetool_exporters.onnx.cleaning.graph import EditableGraph

__all__ = ["name_outputs"]


def name_outputs(graph: EditableGraph) -> bool:
    """Leave out ``Identity``, but where a tensor goes out twice: then the later output is the copy, always."""
    return graph.first(lambda node: _leave_out(graph, node))


def _leave_out(graph: EditableGraph, node: NodeProto) -> bool:
    if node.op_type != "Identity":
        return False
    source, target = node.input[0], node.output[0]
    order = graph.ordered_outputs
    maker = graph.maker(source)
    if target not in order:
        return _redirect(graph, node, source, target)
    if maker is None or (source in order and order.index(source) < order.index(target)):
        return False
    return _take_over(graph, node, maker, source, target)


def _redirect(graph: EditableGraph, node: NodeProto, source: str, target: str) -> bool:
    if any(target not in reader.input for reader in graph.readers(target)):  # read in a body
        return False
    for reader in graph.readers(target):
        _rename(reader.input, target, source)
    graph.replace([node], [])
    return True


def _take_over(graph: EditableGraph, node: NodeProto, maker: NodeProto, source: str, target: str) -> bool:
    """The maker makes the output itself; what it was called before is the copy, if anything needs that name."""
    readers = [reader for reader in graph.readers(source) if reader is not node]
    if any(source not in reader.input for reader in readers):
        return False
    _rename(maker.output, source, target)
    for reader in readers:
        _rename(reader.input, source, target)
    graph.replace([node], [helper.make_node("Identity", [target], [source])] if source in graph.outputs else [])
    return True


def _rename(names: list[str], old: str, new: str) -> None:
    for place, name in enumerate(names):
        if name == old:
            names[place] = new
