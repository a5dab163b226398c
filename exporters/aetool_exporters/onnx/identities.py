"""One place for the ``Identity`` nodes of loop bodies.

A body that returns a tensor twice, as state and as a step's result, needs an ``Identity`` for one of the two, and
tf2onnx leaves it to hash order for which. Here it is always the later one, and every other node reads the original.
"""

from __future__ import annotations

import onnx

from aetool_exporters.onnx.ordering import subgraphs

__all__ = ["settle_identities"]


def settle_identities(graph: onnx.GraphProto) -> None:
    """Move the ``Identity`` nodes of all bodies in a graph, in place; what is computed stays the same."""
    for node in graph.node:
        for body in subgraphs(node):
            settle_identities(body)
            _settle(body)


def _settle(body: onnx.GraphProto) -> None:
    made = {name for node in body.node for name in node.output}
    aliases: dict[str, str] = {}
    for node in body.node:
        if node.op_type == "Identity" and node.input[0] in made:
            aliases[node.output[0]] = aliases.get(node.input[0], node.input[0])
    _read_originals(body, aliases)
    returned: set[str] = set()
    for output in body.output:
        original = aliases.get(output.name, output.name)
        if original not in returned:
            output.name = original
        elif output.name not in aliases:  # it stood first as the original: swap, the copy comes later
            output.name = _copy_of(original, body)
        returned.add(original)


def _copy_of(original: str, body: onnx.GraphProto) -> str:
    copy = f"{original}/copy"
    body.node.append(onnx.helper.make_node("Identity", [original], [copy]))
    return copy


def _read_originals(graph: onnx.GraphProto, aliases: dict[str, str]) -> None:
    """Inputs of nodes only, those of inner bodies included; copies themselves go on reading the original."""
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name in aliases:
                node.input[place] = aliases[name]
        for inner in subgraphs(node):
            _read_originals(inner, aliases)
