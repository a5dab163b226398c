"""Which operations of a graph compute in integers, and which stay in float32."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from aetool_exporters.tflite.editing import GraphEditor, operator_name
from aetool_exporters.tflite.kernels import CARRIED, WEIGHTED, has_kernel

__all__ = ["Plan", "make_plan"]


@dataclass(frozen=True)
class Plan:
    """For each operation of a subgraph whether it computes in integers, and which have no integer kernel.

    Args:
        integer: one truth value per operation.
        lacking: places of operations on real values that have no integer kernel.
    """

    integer: Sequence[bool]
    lacking: Sequence[int] = field(default_factory=tuple)


def make_plan(editor: GraphEditor, dtype: str, known: Collection[int], kept: Collection[int], integer_io: bool) -> Plan:
    """Decide for each operation.

    An operation with weights computes in integers wherever it can. The others do so only between integers, for a trip
    there and back would cost time and precision: what they read must be integers already, and somebody must want
    integers of them.

    Args:
        known: tensors whose range is known.
        kept: places of operations that must stay in float32.
        integer_io: whether the graph's own input comes as integers.
    """
    operators = editor.subgraph.operators
    able = [place not in kept and _is_able(editor, operator, dtype, known) for place, operator in enumerate(operators)]
    chosen = list(able)
    while True:
        after = _wanted(editor, _fed(editor, chosen, integer_io))
        if after == chosen:
            break
        chosen = after
    lacking = [
        place
        for place, operator in enumerate(operators)
        if place not in kept and not able[place] and _is_real(editor, operator)
    ]
    return Plan(chosen, lacking)


def _is_able(editor: GraphEditor, operator: Any, dtype: str, known: Collection[int]) -> bool:
    name = operator_name(editor.model, operator)
    if not has_kernel(name, dtype):
        return False
    if name in WEIGHTED:
        places = [WEIGHTED[name].kernel] + ([WEIGHTED[name].bias] if _has_bias(operator, name) else [])
        if any(editor.constant(int(operator.inputs[place])) is None for place in places):
            return False
    real = [int(index) for index in (*operator.inputs, *operator.outputs) if editor.is_float(int(index))]
    return bool(real) and all(index in known or editor.constant(index) is not None for index in real)


def _has_bias(operator: Any, name: str) -> bool:
    place = WEIGHTED[name].bias
    return len(operator.inputs) > place and operator.inputs[place] >= 0


def _is_real(editor: GraphEditor, operator: Any) -> bool:
    """Whether it computes on real values: not on sizes, and more than handing them on."""
    return operator_name(editor.model, operator) not in CARRIED and any(
        editor.is_float(int(index)) for index in (*operator.inputs, *operator.outputs)
    )


def _fed(editor: GraphEditor, chosen: Sequence[bool], integer_io: bool) -> list[bool]:
    """Without those that would have to read real values."""
    integers = {int(index) for index in editor.subgraph.inputs} if integer_io else set()
    left = []
    for operator, wish in zip(editor.subgraph.operators, chosen, strict=True):
        real = [int(index) for index in operator.inputs if editor.is_float(int(index))]
        computed = [index for index in real if editor.constant(index) is None]
        fed = operator_name(editor.model, operator) in WEIGHTED or all(index in integers for index in computed)
        if wish and fed:
            integers |= {int(index) for index in operator.outputs}
        left.append(wish and fed)
    return left


def _wanted(editor: GraphEditor, chosen: Sequence[bool]) -> list[bool]:
    """Without those whose results only operations on real values read."""
    wanted = {int(index) for index in editor.subgraph.outputs}
    left = []
    for operator, wish in zip(reversed(editor.subgraph.operators), reversed(chosen), strict=True):
        weighted = operator_name(editor.model, operator) in WEIGHTED
        stays = wish and (weighted or any(int(index) in wanted for index in operator.outputs))
        if stays:
            wanted |= {int(index) for index in operator.inputs}
        left.append(stays)
    return left[::-1]
