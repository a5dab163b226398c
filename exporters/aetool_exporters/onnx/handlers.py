"""TensorFlow operations that tf2onnx has no mapping for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tf2onnx
from tf2onnx.onnx_opset.nn import Resize

from aetool_exporters.onnx.plain_layers import REPEATS_KEY
from aetool_exporters.onnx.recurrent import rewrite_recurrent

__all__ = ["HANDLERS"]


def _erfc(graph: Any, node: Any, name: str, _: Sequence[Any]) -> None:
    """erfc(x) = 1 − erf(x): what the exact GELU is made of."""
    _with_one(graph, node, name, "Erf", lambda one, value: [one, value])


def _expm1(graph: Any, node: Any, name: str, _: Sequence[Any]) -> None:
    """expm1(x) = exp(x) − 1: what CELU is made of. Near 0 it is off by at most one rounding of 1."""
    _with_one(graph, node, name, "Exp", lambda one, value: [value, one])


def _with_one(graph: Any, node: Any, name: str, inner: str, order: Callable[[str, str], list[str]]) -> None:
    """Replace a node by the difference of 1 and an operation on its input."""
    source, target = node.input[0], node.output[0]
    shapes, dtypes = [graph.get_shape(target)], [graph.get_dtype(target)]
    graph.remove_node(name)
    one = graph.make_const(f"{name}/one", np.array(1.0, tf2onnx.utils.map_onnx_to_numpy_type(dtypes[0]))).output[0]
    value = graph.make_node(inner, [source], name=f"{name}/inner", shapes=shapes, dtypes=dtypes).output[0]
    graph.make_node("Sub", order(one, value), outputs=[target], name=f"{name}/difference", shapes=shapes, dtypes=dtypes)


def _resize_nearest(graph: Any, node: Any, name: str, _: Sequence[Any]) -> None:
    """Repeated pixels are a ``Resize`` by whole factors, whatever the size; other resizing is left to tf2onnx."""
    marked = node.get_attr(REPEATS_KEY)
    if marked is None:
        Resize.version_11(graph, node)
        return
    given, target = node.input[0], node.output[0]
    shapes, dtypes = [graph.get_shape(target)], [graph.get_dtype(target)]
    graph.remove_node(name)
    scales = graph.make_const(f"{name}/scales", np.array([1, 1, *marked.ints], np.float32)).output[0]
    inner = graph.make_node("Transpose", [given], attr={"perm": [0, 3, 1, 2]}, name=f"{name}/first").output[0]
    how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    larger = graph.make_node("Resize", [inner, "", scales], attr=how, name=f"{name}/resize").output[0]
    back = {"perm": [0, 2, 3, 1]}
    graph.make_node("Transpose", [larger], attr=back, name=name, outputs=[target], shapes=shapes, dtypes=dtypes)


HANDLERS: dict[str, Callable[[Any, Any, str, Sequence[Any]], None]] = {
    "CudnnRNN": rewrite_recurrent,
    "Erfc": _erfc,
    "Expm1": _expm1,
    "ResizeNearestNeighbor": _resize_nearest,
}
"""TensorFlow's operation → the function that rewrites a node of tf2onnx's graph."""
