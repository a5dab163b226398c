"""Nodes and constants of a graph that is written anew."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from aetool_exporters.quantization.affine import Affine
from aetool_runtime.specs import Array

__all__ = ["Writer"]


class Writer:
    """Collects nodes in order, and constants, each once."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self._made: set[str] = set()

    def constant(self, name: str, value: Array | np.generic) -> str:
        """A constant of this name, unless there is one already; its name."""
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.array(value, order="C"), name)
        return name

    def emit(self, op_type: str, given: list[str], result: str, **attributes: Any) -> str:
        """A node with one output, unless that was made already; the output's name."""
        if result not in self._made:
            self._made.add(result)
            self.nodes.append(onnx.helper.make_node(op_type, given, [result], name=result, **attributes))
        return result

    def copy(self, node: onnx.NodeProto, given: list[str], returned: list[str]) -> None:
        """A node as it is, but with other inputs and outputs."""
        copy = onnx.NodeProto.FromString(node.SerializeToString())
        del copy.input[:], copy.output[:]
        copy.input.extend(given)
        copy.output.extend(returned)
        self.nodes.append(copy)

    def parameters(self, affine: Affine) -> list[str]:
        """Scale and zero point of activations, uint8."""
        return [
            self.constant(f"scale/{affine.scale!r}", np.float32(affine.scale)),
            self.constant(f"zero/{affine.zero_point}", np.uint8(affine.zero_point)),
        ]
