"""Latents whose dimensions differ in size share the 256 integers fairly.

One scale serves a whole tensor, so that a latent dimension a hundred times smaller than another would be left with two
or three integers. Where a ``Gemm`` reads a tensor, its dimensions are scaled to a common size before, and the rows of
its weights back: the products stay the same (M. Nagel et al., "Data-free quantization through weight equalization and
bias correction", ICCV 2019, for one side). Where another ``Gemm`` makes the tensor, its columns do the scaling, else a
``Mul`` does.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from aetool_exporters.onnx.quantization.view import View, attribute
from aetool_runtime.specs import Array

__all__ = ["equalize", "tensors_to_equalize"]

_UNEQUAL = 4.0
"""How much larger than the median dimension the largest one is, from which on it is worth it."""


def tensors_to_equalize(model: onnx.ModelProto, floats: frozenset[str]) -> list[str]:
    """The tensors [batch, dimensions] of a prepared graph that ``equalize`` can scale.

    Args:
        floats: nodes that stay as they are.
    """
    view = View(model)
    found = {node.input[0]: None for node in model.graph.node if _reads_rows(node, floats, view)}
    return [name for name in found if _has_one_reader(name, view) and _is_made_linearly(name, view, floats)]


def equalize(model: onnx.ModelProto, reaches: Mapping[str, NDArray[np.float64]]) -> None:
    """Scale the dimensions of tensors in a prepared graph, in place, where they are unequal.

    Args:
        reaches: tensor → the magnitude of each dimension.
    """
    for name, reach in reaches.items():
        largest, median = float(reach.max()), float(np.median(reach))
        if largest > 0 and largest > _UNEQUAL * median:
            # Powers of two scale without rounding; dead dimensions stay as they are.
            factors = np.exp2(np.floor(np.log2(largest / np.maximum(reach, largest * 2.0**-12))))
            _scale(model, name, np.where(reach > 0, factors, 1.0).astype(np.float32))


def _reads_rows(node: onnx.NodeProto, floats: frozenset[str], view: View) -> bool:
    plain = node.op_type == "Gemm" and not attribute(node, "transA", 0) and node.name not in floats
    return plain and node.input[1] in view.constants and node.input[0] not in view.constants


def _has_one_reader(name: str, view: View) -> bool:
    return len(view.readers[name]) == 1 and name not in view.outputs


def _is_made_linearly(name: str, view: View, floats: frozenset[str]) -> bool:
    """By a ``Gemm``; or it is the graph's input."""
    node = view.producer.get(name)
    return node is None or _reads_rows(node, floats, view)


def _scale(model: onnx.ModelProto, name: str, factors: NDArray[np.float32]) -> None:
    """Scale a tensor where it is made, and back where it is read."""
    view = View(model)
    reader, maker = view.readers[name][0], view.producer.get(name)
    _multiply(model, view, reader, 1, _rows(reader, np.float32(1) / factors, of_inputs=True))
    if maker is None:
        scaled, factor = f"{name}/scaled", _store(model, f"{name}/factors", factors)
        reader.input[0] = scaled
        model.graph.node.insert(0, onnx.helper.make_node("Mul", [name, factor], [scaled], name=scaled))
        return
    _multiply(model, view, maker, 1, _rows(maker, factors, of_inputs=False))
    if len(maker.input) > 2:
        _multiply(model, view, maker, 2, factors)


def _rows(node: onnx.NodeProto, factors: NDArray[np.float32], *, of_inputs: bool) -> NDArray[np.float32]:
    """Factors of a ``Gemm``'s inputs or outputs, in the shape of its weights."""
    return factors[:, None] if of_inputs != bool(attribute(node, "transB", 0)) else factors[None, :]


def _multiply(model: onnx.ModelProto, view: View, node: onnx.NodeProto, place: int, factors: Array) -> None:
    value = view.constant(node.input[place])
    assert value is not None
    node.input[place] = _store(model, f"{node.input[place]}/equalized by {node.name}", value * factors)


def _store(model: onnx.ModelProto, name: str, value: Array) -> str:
    taken = {tensor.name for tensor in model.graph.initializer}
    while name in taken:
        name += "'"
    model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name))
    return name
