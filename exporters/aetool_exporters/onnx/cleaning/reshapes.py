"""A ``Reshape`` beside nodes that only add or take away axes of size 1 does their work, too."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto, helper

from aetool_exporters.onnx.cleaning.graph import EditableGraph, attribute

__all__ = ["join_once", "reshape_at_once"]

_ONES = ("Squeeze", "Unsqueeze")


def reshape_at_once(graph: EditableGraph) -> bool:
    """Before it and after it."""
    return graph.first(lambda node: _before(graph, node) or _after(graph, node))


def _before(graph: EditableGraph, node: NodeProto) -> bool:
    target = _target(graph, node)
    above = graph.sole_maker(node.input[0]) if target is not None else None
    if above is None or above.op_type not in (*_ONES, "Reshape"):
        return False
    node.input[0] = above.input[0]
    graph.replace([above], [])
    return True


def _after(graph: EditableGraph, node: NodeProto) -> bool:
    above = graph.sole_maker(node.input[0]) if node.op_type in _ONES else None
    target = None if above is None else _target(graph, above)
    axes = graph.integers(node, 1)
    if above is None or target is None or axes is None:
        return False
    new = NodeProto()
    new.CopyFrom(above)
    new.input[1] = graph.add_constant(np.array(_changed(target, axes, node.op_type == "Squeeze"), np.int64))
    new.output[0] = node.output[0]
    graph.replace([above, node], [new])
    return True


def _changed(target: list[int], axes: list[int], taken: bool) -> list[int]:
    rank = len(target) + (0 if taken else len(axes))
    places = sorted(axis % rank for axis in axes)
    if taken:
        return [size for place, size in enumerate(target) if place not in places]
    result = list(target)
    for place in places:
        result.insert(place, 1)
    return result


def _target(graph: EditableGraph, node: NodeProto) -> list[int] | None:
    """The sizes that a ``Reshape`` makes, if none is taken from its input by its place."""
    sizes = graph.integers(node, 1) if node.op_type == "Reshape" else None
    return None if sizes is None or 0 in sizes else sizes


def join_once(graph: EditableGraph) -> bool:
    """Where both directions of a recurrent layer are joined, the batch comes to the front at the same time."""
    return graph.first(lambda node: _join(graph, node))


def _join(graph: EditableGraph, last: NodeProto) -> bool:
    join = graph.sole_maker(last.input[0]) if _perm(last) == [1, 0, 2] else None
    sizes = None if join is None or join.op_type != "Reshape" else graph.integers(join, 1)
    first = None if join is None or sizes is None else graph.sole_maker(join.input[0])
    if join is None or first is None or sizes is None or sizes[:-1] != [0, 0] or _perm(first) != [0, 2, 1, 3]:
        return False
    moved = helper.make_node("Transpose", [first.input[0]], [graph.fresh("joined")], perm=[2, 0, 1, 3])
    joined = NodeProto()
    joined.CopyFrom(join)
    joined.input[0], joined.output[0] = moved.output[0], last.output[0]
    graph.replace([first, join, last], [moved, joined])
    return True


def _perm(node: NodeProto) -> list[int]:
    return list(attribute(node, "perm", ())) if node.op_type == "Transpose" else []
