"""Weights and arithmetic in half precision, 16-bit floats, where that is safe; inputs and outputs stay float32.

Half precision reaches to 65504 with 11 bits. So what comes before the first layer with weights and after the last stays
float32: there are raw values, whose offset may be far larger than their spread. So do operations that square, sum up or
exponentiate many values, loops, and layers with a weight that half precision cannot hold. Recurrent layers store their
weights in half precision and compute in float32: ONNX Runtime 1.31 has no other kernel on a CPU, and crashes on some
graphs with one in half precision.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import numpy_helper

from aetool_exporters.onnx.ordering import reads, subgraphs
from aetool_exporters.onnx.quantization.kinds import LAYOUT, LINEAR
from aetool_exporters.onnx.quantization.view import View

__all__ = ["halve", "too_large"]

_LARGEST = float(np.finfo(np.float16).max)
_RECURRENT = ("GRU", "LSTM", "RNN")
_WEIGHTED = (*LINEAR, *_RECURRENT, "Gather")
_SAFE = frozenset(
    (
        *LINEAR,
        "Gather",
        *("Add", "Clip", "Concat", "DepthToSpace", "Elu", "Expand", "Flatten", "Identity", "LeakyRelu", "MaxPool"),
        *("AveragePool", "GlobalAveragePool", "Resize"),
        *("Mul", "Neg", "PRelu", "Pad", "Relu", "Reshape", "Selu", "Sigmoid", "Slice", "Softplus", "SpaceToDepth"),
        *("Split", "Squeeze", "Sub", "Tanh", "Tile", "Transpose", "Unsqueeze"),
    )
)


def too_large(model: onnx.ModelProto) -> list[str]:
    """The names of the nodes that would be in half precision, were it not for a weight beyond it."""
    view = View(model)
    computed, stored = _candidates(view)
    nodes = [node for node in model.graph.node if node.name in computed | stored]
    return [node.name for node in nodes if any(_overflows(name, view) for name in node.input)]


def halve(model: onnx.ModelProto, floats: frozenset[str]) -> onnx.ModelProto:
    """The graph in half precision.

    Args:
        floats: names of the nodes that stay in float32.
    """
    view = View(model)
    computed, stored = _candidates(view)
    return _Halver(view, computed - floats, stored - floats).run()


def _candidates(view: View) -> tuple[frozenset[str], frozenset[str]]:
    """The names of the nodes that may compute in half precision, and of those whose weights may be stored in it."""
    nodes = list(view.graph.node)
    inner = _behind_weights(nodes, view)
    computed = frozenset(node.name for node in nodes if _is_safe(node, view) and node.name in inner)
    return computed, frozenset(node.name for node in nodes if node.op_type in _RECURRENT)


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
    """Writes the nodes anew. A tensor keeps its name as float32; in half precision it is called ``NAME/half``.

    Args:
        chosen: nodes that compute in half precision.
        stored: nodes whose constants alone are in half precision.
    """

    def __init__(self, view: View, chosen: frozenset[str], stored: frozenset[str]) -> None:
        self._view = view
        self._chosen = chosen
        self._stored = stored
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._halves: set[str] = set()
        self._floats = {*view.constants, *(tensor.name for tensor in view.graph.input)}

    def run(self) -> onnx.ModelProto:
        for node in self._view.graph.node:
            if node.name in self._chosen and not self._is_beside_cast(node):
                self._write(node, self._given(node), [self._as_half(name) for name in node.output])
                self._halves.update(name for name in node.output if self._view.is_float(name))
            else:
                for name in reads(node):
                    self._float(name)
                given = map(self._from_half, node.input) if node.name in self._stored else node.input
                self._write(node, list(given), list(node.output))
            self._floats.update(name for name in node.output if name not in self._halves)
        for tensor in self._view.graph.output:
            self._float(tensor.name)
        model, graph = self._view.model, self._view.graph
        made = onnx.GraphProto(node=self._nodes, input=graph.input, output=graph.output, name=graph.name)
        made.initializer.extend([*graph.initializer, *self._constants])
        return onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import, graph=made)

    def _is_beside_cast(self, node: onnx.NodeProto) -> bool:
        """Whether a change of layout would stand between a ``Cast`` and something else. ONNX Runtime 1.31 crashes on
        ``Cast``, ``Transpose``, ``MatMul`` in half precision, and on ``Transpose``, ``Cast``, ``MatMul``."""
        readers = self._view.readers.get(node.output[0], [])
        halved = node.input[0] in self._halves and all(reader.name in self._chosen for reader in readers)
        return node.op_type in LAYOUT and not halved

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

    def _from_half(self, name: str) -> str:
        """A constant as float32 again, after it was rounded to half precision; anything else as it is."""
        if name not in self._view.constants or not self._view.is_float(name):
            return name
        rounded = f"{name}/rounded"
        if rounded not in self._floats:
            self._floats.add(rounded)
            self._cast(self._half(name), rounded, onnx.TensorProto.FLOAT)
        return rounded

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
