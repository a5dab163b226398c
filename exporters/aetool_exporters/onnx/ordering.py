"""The one order of a graph's nodes that depends on nothing but the graph: depth first from its outputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import onnx

__all__ = ["free_names", "ordered_nodes", "reads", "subgraphs"]


def ordered_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The nodes that the outputs need, each after those it reads from; nodes that no output needs are left out."""
    producer = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
    wanted = [output.name for output in graph.output]
    reading = [list(reads(node)) for node in graph.node]
    return [graph.node[index] for index in _depth_first(wanted, producer, reading)]


def reads(node: onnx.NodeProto) -> Iterator[str]:
    """The names that a node reads: its inputs, then what its bodies take from outside, in order of first use."""
    yield from filter(None, node.input)
    for body in subgraphs(node):
        yield from free_names(body)


def subgraphs(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """The bodies that a node carries, in the order of their attributes' names."""
    attributes = sorted(node.attribute, key=lambda attribute: attribute.name)
    return [
        body
        for attribute in attributes
        for body in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs)
    ]


def free_names(graph: onnx.GraphProto) -> list[str]:
    """The names that a body takes from the graphs around it, in order of first use."""
    nodes = ordered_nodes(graph)
    own = {tensor.name for tensor in (*graph.input, *graph.initializer)}
    own.update(name for node in nodes for name in node.output)
    used = (*(name for node in nodes for name in reads(node)), *(output.name for output in graph.output))
    return list(dict.fromkeys(name for name in used if name not in own))


def _depth_first(wanted: Iterable[str], producer: Mapping[str, int], reading: Sequence[Iterable[str]]) -> Iterator[int]:
    """Indices in depth-first post-order; a stack of its own, since deep networks exceed Python's."""
    entered: set[int] = set()
    stack: list[tuple[int | None, Iterator[str]]] = [(None, iter(wanted))]
    while stack:
        index, names = stack[-1]
        following = next((p for p in map(producer.get, names) if p is not None and p not in entered), None)
        if following is not None:
            entered.add(following)
            stack.append((following, iter(reading[following])))
        else:
            stack.pop()
            if index is not None:
                yield index
