"""``Transpose``, ``Squeeze`` and ``Unsqueeze``: runs of them become short, and pairs around other nodes vanish."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from onnx import NodeProto, helper

from aetool_exporters.onnx.cleaning.graph import EditableGraph, attribute
from aetool_runtime.specs import Array

__all__ = ["ELEMENTWISE", "lower_axes", "merge_axes"]

_MOVES = {"Transpose", "Squeeze", "Unsqueeze"}
_UNARY = {
    "Abs", "Cast", "Celu", "Clip", "Elu", "Erf", "Exp", "HardSigmoid", "HardSwish", "LeakyRelu", "Log", "Neg",
    "Reciprocal", "Relu", "Selu", "Sigmoid", "Softplus", "Softsign", "Sqrt", "Tanh", "ThresholdedRelu",
}  # fmt: skip
_BINARY = {"Add", "Div", "Mul", "PRelu", "Pow", "Sub"}
ELEMENTWISE = frozenset(_UNARY | _BINARY)
"""What computes each value from those at the same place, as broadcasting has it."""

_NEW = -1


@dataclass(frozen=True)
class _Move:
    """What a run of nodes does to axes.

    Args:
        rank: of its input.
        kept: for each axis of the result the input's axis, or ``_NEW``; the input's others are taken away.
    """

    rank: int
    kept: tuple[int, ...]

    def then(self, other: _Move) -> _Move:
        return _Move(self.rank, tuple(_NEW if axis == _NEW else self.kept[axis] for axis in other.kept))

    @property
    def taken(self) -> list[int]:
        return [axis for axis in range(self.rank) if axis not in self.kept]

    @property
    def settled(self) -> _Move:
        """An axis of size 1 that goes is as good as one that comes: the same move with as few of both as there are."""
        taken, kept = self.taken, list(self.kept)
        while taken and _NEW in kept:
            kept[kept.index(_NEW)] = taken.pop(0)
        return _Move(self.rank, tuple(kept))

    @property
    def is_nothing(self) -> bool:
        return self.kept == tuple(range(self.rank))

    def inverse_of(self, other: _Move) -> bool:
        return other.then(self).settled.is_nothing


def merge_axes(graph: EditableGraph) -> bool:
    """Runs of nodes that move axes, one after the other, become at most one of each kind."""
    return graph.first(lambda node: _merge(graph, node))


def _merge(graph: EditableGraph, last: NodeProto) -> bool:
    run = [last]
    if _move(graph, last) is None or last.op_type not in _MOVES:
        return False
    while (before := graph.sole_maker(run[0].input[0])) is not None and _move(graph, before) is not None:
        run.insert(0, before)
    moves = [move for node in run if (move := _move(graph, node))]
    whole = moves[0]
    for move in moves[1:]:
        whole = whole.then(move)
    source, target = run[0].input[0], last.output[0]
    nodes = _nodes(graph, whole.settled, source, target)
    if len(nodes) >= len(run):
        return _undo(graph, run, whole)
    graph.replace(run, nodes)
    return True


def _undo(graph: EditableGraph, run: Sequence[NodeProto], move: _Move) -> bool:
    """A run that undoes one above it, which others need as well, reads what was there before."""
    above = graph.maker(run[0].input[0])
    before = None if above is None else _move(graph, above)
    while above is not None and before is not None:
        if move.inverse_of(before):
            same = helper.make_node("Identity", [above.input[0]], [run[-1].output[0]])
            graph.replace(run, [same])
            return True
        above = graph.maker(above.input[0])
        earlier = None if above is None else _move(graph, above)
        before = None if earlier is None else earlier.then(before)
    return False


def _move(graph: EditableGraph, node: NodeProto) -> _Move | None:
    shape = graph.shape(node.input[0]) if node.op_type in _MOVES else None
    if shape is None:
        return None
    rank = len(shape)
    if node.op_type == "Transpose":
        return _Move(rank, tuple(attribute(node, "perm", tuple(reversed(range(rank))))))
    axes = graph.integers(node, 1)
    if axes is None:
        return None
    if node.op_type == "Squeeze":
        gone = {axis % rank for axis in axes}
        return _Move(rank, tuple(axis for axis in range(rank) if axis not in gone))
    places = {axis % (rank + len(axes)) for axis in axes}
    old = iter(range(rank))
    return _Move(rank, tuple(_NEW if place in places else next(old) for place in range(rank + len(axes))))


def _nodes(graph: EditableGraph, move: _Move, source: str, target: str) -> list[NodeProto]:
    """Take away, then move, then add; the last one makes ``target``."""
    left = [axis for axis in range(move.rank) if axis not in move.taken]
    perm = [left.index(axis) for axis in move.kept if axis != _NEW]
    added = [place for place, axis in enumerate(move.kept) if axis == _NEW]
    steps: list[tuple[str, list[int]]] = []
    if move.taken:
        steps.append(("Squeeze", move.taken))
    if perm != sorted(perm):
        steps.append(("Transpose", perm))
    if added:
        steps.append(("Unsqueeze", added))
    if not steps:
        return [helper.make_node("Identity", [source], [target])]
    nodes = []
    for number, (kind, axes) in enumerate(steps):
        made = target if number == len(steps) - 1 else graph.fresh("axes")
        if kind == "Transpose":
            nodes.append(helper.make_node(kind, [source], [made], perm=axes))
        else:
            nodes.append(helper.make_node(kind, [source, graph.add_constant(np.array(axes))], [made]))
        source = made
    return nodes


def lower_axes(graph: EditableGraph) -> bool:
    """``Squeeze`` and ``Transpose`` go behind elementwise nodes: to the next move, which may undo them."""
    return graph.first(lambda node: node.op_type in ELEMENTWISE and _lower(graph, node))


def _lower(graph: EditableGraph, node: NodeProto) -> bool:
    varying = [name for name in node.input if name and not graph.is_constant(name)]
    makers = [
        maker for name in varying if (maker := graph.sole_maker(name)) and maker.op_type in ("Squeeze", "Transpose")
    ]
    moves = {_move(graph, maker) for maker in makers}
    move = moves.pop() if len(makers) == len(varying) > 0 and len(moves) == 1 else None
    if move is None or len(node.output) != 1 or len(graph.shape(node.output[0]) or ()) != len(move.kept):
        return False
    lowered = NodeProto()
    lowered.CopyFrom(node)
    for place, name in enumerate(node.input):
        value = graph.constant(name)
        if name in varying:
            lowered.input[place] = makers[varying.index(name)].input[0]
        elif value is not None and node.op_type in _BINARY:  # others have bounds that are single numbers
            lowered.input[place] = graph.add_constant(_moved(value, _opposite(move)))
    lowered.output[0] = graph.fresh("lowered")
    graph.replace([*makers, node], [lowered, *_nodes(graph, move, lowered.output[0], node.output[0])], at=node)
    return True


def _opposite(move: _Move) -> _Move:
    places = tuple(move.kept.index(axis) if axis in move.kept else _NEW for axis in range(move.rank))
    return _Move(len(move.kept), places)


def _moved(value: Array, move: _Move) -> Array:
    """A constant that broadcasts against the unmoved, so that it broadcasts against the moved."""
    full = value.reshape((1,) * (move.rank - value.ndim) + value.shape)
    left = [axis for axis in range(move.rank) if axis not in move.taken]
    squeezed = np.squeeze(full, tuple(move.taken))
    ordered = np.transpose(squeezed, [left.index(axis) for axis in move.kept if axis != _NEW])
    return np.expand_dims(ordered, tuple(place for place, axis in enumerate(move.kept) if axis == _NEW))
