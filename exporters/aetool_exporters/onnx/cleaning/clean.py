"""All rewrites, again and again, until none finds anything more to do."""

from __future__ import annotations

from collections.abc import Callable

import onnx

from aetool_exporters.onnx.cleaning.affine import fold_affine, fold_scalar
from aetool_exporters.onnx.cleaning.axes import lower_axes, merge_axes
from aetool_exporters.onnx.cleaning.constants import fold_constant_axes
from aetool_exporters.onnx.cleaning.crops import crop_by_pads
from aetool_exporters.onnx.cleaning.flattening import flatten_in_weights, unflatten_in_weights
from aetool_exporters.onnx.cleaning.graph import EditableGraph
from aetool_exporters.onnx.cleaning.outputs import name_outputs
from aetool_exporters.onnx.cleaning.reshapes import join_once, reshape_at_once
from aetool_exporters.onnx.weights import Weights

__all__ = ["clean"]

_REWRITES: tuple[Callable[[EditableGraph], bool], ...] = (
    name_outputs,
    fold_constant_axes,
    crop_by_pads,
    merge_axes,
    fold_affine,
    fold_scalar,
    flatten_in_weights,
    unflatten_in_weights,
    reshape_at_once,
    join_once,
    lower_axes,
)


def clean(model: onnx.ModelProto, weights: Weights) -> None:
    """Rewrite the outermost graph of a model in place; the interface stays.

    Args:
        weights: of tensors that the model only names; changed ones are replaced in it.
    """
    graph = EditableGraph(model, weights)
    while any(rewrite(graph) for rewrite in _REWRITES):
        pass
    graph.write()
