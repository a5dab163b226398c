"""Weights and arithmetic in half precision, 16-bit floats, where that is safe; inputs and outputs stay float32.

Half precision reaches to 65504 with 11 bits. So what comes before the first layer with weights and after the last stays
float32: there are raw values, whose offset may be far larger than their spread. So do operations that square, sum up or
exponentiate many values, loops, and layers with a weight that half precision cannot hold.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import numpy_helper

from aetool_exporters.onnx.ordering import reads, subgraphs
from aetool_exporters.onnx.quantization.kinds import LINEAR
from aetool_exporters.onnx.quantization.view import View

__all__ = ["halve", "too_large"]

_LARGEST = float(np.finfo(np.float16).max)
_WEIGHTED = (*LINEAR, "GRU", "LSTM", "RNN", "Gather")
_SAFE = frozenset(
    (
        *_WEIGHTED,
        *("Add", "Clip", "Concat", "DepthToSpace", "Elu", "Expand", "Flatten", "Identity", "LeakyRelu", "MaxPool"),
        *("AveragePool", "GlobalAveragePool", "Resize"),
        *("Mul", "Neg", "PRelu", "Pad", "Relu", "Reshape", "Selu", "Sigmoid", "Slice", "Softplus", "SpaceToDepth"),
        *("Split", "Squeeze", "Sub", "Tanh", "Tile", "Transpose", "Unsqueeze"),
    )
)


def too_large(model: onnx.ModelProto) -> list[str]:
    """The names of the nodes with a weight beyond half precision."""
    view = View(model)
    return [node.name for node in model.graph.node if any(_overflows(name, view) for name in node.input)]


def halve(model: onnx.ModelProto, floats: frozenset[str]) -> onnx.ModelProto:
    """The graph in half precision.

    Args:
        floats: names of the nodes that stay in float32.
    """
    view = View(model)
    inner = _behind_weights(model.graph.node, view)
    chosen = [node.name for node in model.graph.node if _is_safe(node, view) and node.name in inner]
    return _Halver(view, frozenset(chosen) - floats).run()


def _is_safe(node: onnx.NodeProto, view: View) -> bool:
    return node.op_type in _SAFE and not subgraphs(node) and any(view.is_float(name) for name in node.output)


def _behind_weights(nodes: Sequence[onnx.NodeProto], view: View) -> set[str]:
    """The names of the nodes from the first with weights on every path to the last."""
    weighted = {node.name for node in nodes if node.op_type in _WEIGHTED and set(node.input) & set(view.constants)}
    behind, ahead = set[str](), set[str]()
    found = [set(weighted), set(weighted)]
    for node in nodes:
        if node.name in weighted or behind.intersection(reads(node)):
            found[0].add(node.name)
            behind.update(node.output)
    for node in reversed(nodes):
        if node.name in weighted or ahead.intersection(node.output):
            found[1].add(node.name)
            ahead.update(reads(node))
    return found[0] & found[1]


def _overflows(name: str, view: View) -> bool:
    if not view.is_float(name):
        return False
    value = view.constant(name)
    return value is not None and bool(np.abs(value).max(initial=0.0) > _LARGEST)


class _Halver:
    """Writes the nodes anew. A tensor keeps its name as float32; in half precision it is called ``NAME/half``."""

    def __init__(self, view: View, chosen: frozenset[str]) -> None:
        self._view = view
        self._chosen = chosen
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._halves: set[str] = set()
        self._floats = {*view.constants, *(tensor.name for tensor in view.graph.input)}

    def run(self) -> onnx.ModelProto:
        for node in self._view.graph.node:
            if node.name in self._chosen:
                self._write(node, self._given(node), [self._as_half(name) for name in node.output])
                self._halves.update(name for name in node.output if self._view.is_float(name))
            else:
                for name in reads(node):
                    self._float(name)
                self._write(node, list(node.input), list(node.output))
            self._floats.update(name for name in node.output if name not in self._halves)
        for tensor in self._view.graph.output:
            self._float(tensor.name)
        model, graph = self._view.model, self._view.graph
        made = onnx.GraphProto(node=self._nodes, input=graph.input, output=graph.output, name=graph.name)
        made.initializer.extend([*graph.initializer, *self._constants])
        return onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import, graph=made)

    def _given(self, node: onnx.NodeProto) -> list[str]:
        data = 1 if node.op_type == "Resize" else len(node.input)  # its factors are float32 whatever the rest is
        return [self._half(name) if place < data else name for place, name in enumerate(node.input)]

    def _as_half(self, name: str) -> str:
        return f"{name}/half" if self._view.is_float(name) else name

    def _half(self, name: str) -> str:
        if name in self._halves or not self._view.is_float(name):
            return self._as_half(name)
        self._halves.add(name)
        value = self._view.constant(name)
        if value is None:
            self._cast(name, f"{name}/half", onnx.TensorProto.FLOAT16)
        else:
            self._constants.append(numpy_helper.from_array(value.astype(np.float16), f"{name}/half"))
        return f"{name}/half"

    def _float(self, name: str) -> None:
        if name in self._halves and name not in self._floats:
            self._floats.add(name)
            self._cast(f"{name}/half", name, onnx.TensorProto.FLOAT)

    def _cast(self, source: str, result: str, to: int) -> None:
        self._nodes.append(onnx.helper.make_node("Cast", [source], [result], name=f"{result}/cast", to=to))

    def _write(self, node: onnx.NodeProto, given: list[str], returned: list[str]) -> None:
        copy = onnx.NodeProto.FromString(node.SerializeToString())
        del copy.input[:], copy.output[:]
        copy.input.extend(given)
        copy.output.extend(returned)
        self._nodes.append(copy)
