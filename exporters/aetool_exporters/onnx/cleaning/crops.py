"""A ``Slice`` after a transposed convolution: its pads can leave out the same."""

from __future__ import annotations

from onnx import NodeProto, helper

from aetool_exporters.onnx.cleaning.graph import EditableGraph, attribute

__all__ = ["crop_by_pads"]

_NO_END = 2**31 - 1


def crop_by_pads(graph: EditableGraph) -> bool:
    """Where what is cut off is known, it is not computed to begin with."""
    return graph.first(lambda node: _crop(graph, node))


def _crop(graph: EditableGraph, node: NodeProto) -> bool:
    above = graph.sole_maker(node.input[0]) if node.op_type == "Slice" else None
    if above is None or above.op_type != "ConvTranspose" or not _has_plain_pads(above):
        return False
    shape = graph.shape(above.output[0])
    cuts = None if shape is None else _cuts(graph, node, shape)
    if shape is None or cuts is None:
        return False
    spatial = len(shape) - 2
    pads = list(attribute(above, "pads", [0] * 2 * spatial))
    for axis, (begin, end) in cuts.items():
        pads[axis - 2] += begin
        pads[axis - 2 + spatial] += end
    cropped = NodeProto()
    cropped.CopyFrom(above)
    kept = [entry for entry in cropped.attribute if entry.name != "pads"]
    del cropped.attribute[:]
    cropped.attribute.extend([*kept, helper.make_attribute("pads", pads)])
    cropped.output[0] = node.output[0]
    graph.replace([above, node], [cropped])
    return True


def _has_plain_pads(node: NodeProto) -> bool:
    return attribute(node, "auto_pad", b"NOTSET") == b"NOTSET" and attribute(node, "output_shape") is None


def _cuts(graph: EditableGraph, node: NodeProto, shape: tuple[int | None, ...]) -> dict[int, tuple[int, int]] | None:
    """Axis → how much goes at both ends; ``None`` where that is not known, or not all of it is spatial."""
    starts, ends, axes = (graph.integers(node, place) for place in (1, 2, 3))
    steps = graph.integers(node, 4) if len(node.input) > 4 else [1] * len(starts or ())
    if starts is None or ends is None or axes is None or steps is None or any(step != 1 for step in steps):
        return None
    cuts = {}
    for start, end, axis in zip(starts, ends, (axis % len(shape) for axis in axes), strict=True):
        size = shape[axis]
        if axis < 2 or start < 0:
            return None
        if end >= _NO_END or end == size:
            cuts[axis] = (start, 0)
        elif end < 0:
            cuts[axis] = (start, -end)
        elif size is not None and start < end <= size:
            cuts[axis] = (start, size - end)
        else:
            return None
    return cuts
