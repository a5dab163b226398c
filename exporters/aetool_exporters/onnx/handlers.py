"""TensorFlow operations that tf2onnx has no mapping for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

__all__ = ["HANDLERS"]


def _erfc(graph: Any, node: Any, name: str, _: Sequence[Any]) -> None:
    """erfc(x) = 1 − erf(x): what the exact GELU is made of."""
    source, target = node.input[0], node.output[0]
    shape, dtype = graph.get_shape(target), graph.get_dtype(target)
    graph.remove_node(name)
    one = graph.make_const(f"{name}/one", np.array(1.0, np.float32))
    erf = graph.make_node("Erf", [source], name=f"{name}/erf", shapes=[shape], dtypes=[dtype])
    inputs = [one.output[0], erf.output[0]]
    graph.make_node("Sub", inputs, outputs=[target], name=f"{name}/difference", shapes=[shape], dtypes=[dtype])


HANDLERS: dict[str, Callable[[Any, Any, str, Sequence[Any]], None]] = {"Erfc": _erfc}
"""TensorFlow's operation → the function that rewrites a node of tf2onnx's graph."""
