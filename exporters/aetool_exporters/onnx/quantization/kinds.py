"""What kinds of nodes there are for quantization."""

from __future__ import annotations

import onnx

from aetool_exporters.onnx.quantization.view import View, attribute, int_list

__all__ = ["ELEMENTWISE", "KERNEL_AXIS", "LAYOUT", "LINEAR", "channel_axis", "is_movement", "kernel_axis", "moved_axis"]

LINEAR = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""Sums of products of an activation and constant weights."""

LAYOUT = ("DepthToSpace", "Flatten", "Reshape", "Slice", "SpaceToDepth", "Squeeze", "Transpose", "Unsqueeze")
"""The values of the output are those of the input, in another arrangement."""

_MOVEMENT = (*LAYOUT, "Expand", "Tile")

ELEMENTWISE = ("Clip", "Elu", "LeakyRelu", "Relu", "Sigmoid", "Tanh")
"""One tensor in, the rest constant; can change places with a change of layout."""

KERNEL_AXIS = {"Conv": 0, "ConvTranspose": 1, "MatMul": -1, "Gemm": 1}
"""The axis of output channels in a node's weights; of Gemm without transB."""


def is_movement(node: onnx.NodeProto) -> bool:
    """Whether every value of the output is one of the input: the same for integers as for what they stand for."""
    if node.op_type == "Resize":
        return bool(attribute(node, "mode", b"nearest") == b"nearest")
    return node.op_type in _MOVEMENT or (node.op_type == "MaxPool" and len(node.output) == 1)


def kernel_axis(node: onnx.NodeProto) -> int:
    """The axis of output channels in a linear node's weights."""
    return 0 if attribute(node, "transB", 0) else KERNEL_AXIS[node.op_type]


def channel_axis(node: onnx.NodeProto, rank: int) -> int:
    """Where a linear node's output, of this rank, has its channels."""
    return 1 if node.op_type in ("Conv", "ConvTranspose") else rank - 1


def moved_axis(node: onnx.NodeProto, axis: int, view: View) -> int | None:
    """Where an axis of a movement's input, with all its values, is in the output; ``None`` if it is not one there."""
    before, after = view.shape(node.input[0]), view.shape(node.output[0])
    if before is None or after is None:
        return None
    if node.op_type == "Transpose":
        return int_list(attribute(node, "perm", range(len(before) - 1, -1, -1))).index(axis)
    if node.op_type in ("Squeeze", "Unsqueeze", "Reshape", "Flatten"):
        return _reshaped_axis(before, after, axis)
    if node.op_type == "Slice":
        return axis if before[axis] is not None and before[axis] == after[axis] else None
    return None


def _reshaped_axis(before: list[int | None], after: list[int | None], axis: int) -> int | None:
    """Sizes before and behind the axis tell, if at most the batch is free and stays in front."""
    if before[:1] == [None] and after[:1] == [None]:
        return _reshaped_axis([1, *before[1:]], [1, *after[1:]], axis)
    if axis == len(before) - 1 and before[axis] is not None and before[axis] == after[-1]:
        return len(after) - 1
    if None in before or None in after:
        return None
    behind = _product(before[axis + 1 :])
    for place, size in enumerate(after):
        if size == before[axis] and _product(after[place + 1 :]) == behind:
            return place
    return None


def _product(sizes: list[int | None]) -> int:
    result = 1
    for size in sizes:
        result *= size or 0
    return result
