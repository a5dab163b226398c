"""Scales and offsets at a graph's ends, such as normalization, as part of what integer inputs and outputs stand for.

The integers at the end of a graph are then those that the first or last layer computes with, and no arithmetic is left
between: with a common scale inside, channels of very different size have scales of their own outside, and an offset,
however large, is a zero point.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import onnx
from numpy.typing import NDArray

from aetool_exporters.onnx.quantization.kinds import LAYOUT, moved_axis
from aetool_exporters.onnx.quantization.view import View
from aetool_exporters.quantization.affine import Affine
from aetool_runtime.specs import Array, Quantization

__all__ = ["End", "input_end", "output_end"]

_AFFINE = ("Add", "Sub", "Mul", "Div")
_ENOUGH = 8
"""Steps in an offset, from which on steps are stretched until they divide it: by an eighth at most."""


@dataclass(frozen=True)
class End:
    """outer = factor · inner + offset, with movements of values between.

    Args:
        outer: the graph's input or output.
        inner: the tensor inside, which has the integers.
        nodes: names of the scales and offsets between the two.
        factor, offset: one value, or one for each index of the outer tensor's last axis.
    """

    outer: str
    inner: str
    nodes: frozenset[str]
    factor: NDArray[np.float64]
    offset: NDArray[np.float64]

    def fitted(self, affine: Affine) -> Affine:
        """The inner quantization, with slightly wider steps if these make the offset a whole number of steps."""
        shift = np.unique(np.abs(self.offset / self.factor))
        steps = shift[0] / affine.scale
        if len(shift) > 1 or steps < _ENOUGH:
            return affine
        scale = float(np.float32(shift[0] / np.floor(steps)))
        zero_point = int(np.clip(np.rint(affine.zero_point * affine.scale / scale), affine.smallest, affine.largest))
        return replace(affine, scale=scale, zero_point=zero_point)

    def quantization(self, affine: Affine) -> Quantization:
        """What the integers of the inner tensor say about the outer one."""
        scale = self.factor * affine.scale
        zero_point = np.rint(affine.zero_point - self.offset / scale).astype(np.int64)
        per_channel = len(scale) > 1
        return Quantization(
            tuple(map(float, scale.astype(np.float32))),
            tuple(map(int, zero_point)),
            axis=self._axis if per_channel else None,
        )

    _axis: int = 0


def input_end(name: str, view: View) -> End:
    """What follows an input up to the first node that is neither scale, offset nor movement."""
    rank = len(view.shape(name) or ())
    end = End(name, name, frozenset(), np.ones(1), np.zeros(1), _axis=rank - 1)
    axis: int | None = rank - 1
    current = name
    while node := view.only_reader(current):
        if node.op_type in LAYOUT and node.input[0] == current:
            axis = None if axis is None else moved_axis(node, axis, view)
        elif (found := _scale_and_offset(node, current, axis, view)) is not None:
            scale, offset = found  # next = scale · current + offset, so outer = (next − offset) / scale …
            factor = end.factor / scale
            end = replace(
                end,
                inner=node.output[0],
                nodes=end.nodes | {node.name},
                factor=factor,
                offset=end.offset - factor * offset,
            )
        else:
            break
        current = node.output[0]
    return end


def output_end(name: str, view: View) -> End:
    """What stands before an output back to the first node that is neither scale, offset nor movement."""
    rank = len(view.shape(name) or ())
    end = End(name, name, frozenset(), np.ones(1), np.zeros(1), _axis=rank - 1)
    axis: int | None = rank - 1
    current = name
    while node := view.producer.get(current):
        source = next((given for given in node.input if given not in view.constants), "")
        if view.only_reader(source) is None:
            break
        if node.op_type in LAYOUT and node.input[0] == source:
            axis = None if axis is None else _axis_before(node, axis, view)
        elif (found := _scale_and_offset(node, source, axis, view)) is not None:
            scale, offset = found  # current = scale · source + offset
            end = replace(
                end,
                inner=source,
                nodes=end.nodes | {node.name},
                factor=end.factor * scale,
                offset=end.offset + end.factor * offset,
            )
        else:
            break
        current = source
    return end


def _scale_and_offset(
    node: onnx.NodeProto, given: str, axis: int | None, view: View
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """A node as scale · given + offset, with positive scales, along one axis of the tensor."""
    if node.op_type not in _AFFINE or not view.is_float(node.output[0]) or len(set(node.input)) < 2:
        return None
    other = node.input[1] if node.input[0] == given else node.input[0]
    value = view.constant(other)
    if value is None or (node.op_type in ("Sub", "Div") and node.input[0] != given):
        return None
    along = _along(value.astype(np.float64), given, axis, view)
    if along is None or not np.isfinite(along).all():
        return None
    one, zero = np.ones_like(along), np.zeros_like(along)
    if node.op_type in ("Add", "Sub"):
        return one, along if node.op_type == "Add" else -along
    if not (along > 0).all():
        return None
    return (along if node.op_type == "Mul" else 1 / along), zero


def _along(value: Array, given: str, axis: int | None, view: View) -> NDArray[np.float64] | None:
    """A constant as one value, or as one for each index of the axis; ``None`` if it runs elsewhere."""
    shape = view.shape(given)
    if value.size == 1:
        return value.reshape(1)
    if shape is None or axis is None or value.ndim > len(shape):
        return None
    wanted = [shape[place] if place == axis else 1 for place in range(len(shape))]
    return value.reshape(-1) if [1] * (len(shape) - value.ndim) + list(value.shape) == wanted else None


def _axis_before(node: onnx.NodeProto, axis: int, view: View) -> int | None:
    before = view.shape(node.input[0]) or ()
    found = [place for place in range(len(before)) if moved_axis(node, place, view) == axis]
    return found[0] if len(found) == 1 else None
