"""Questions about a graph: who makes a tensor, who reads it, what is constant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import onnx
from onnx import numpy_helper

from aetool_exporters.onnx.ordering import reads
from aetool_runtime.specs import Array

__all__ = ["Types", "View", "attribute", "int_list", "tensor_types"]

Types: TypeAlias = dict[str, tuple[int, "list[int | None] | None"]]
_SMALL = 64


class View:
    """A graph as it is now; make a new one after a change.

    Args:
        model: with inputs, outputs and opset.
        types: of tensors, where an earlier view knows them already.
    """

    def __init__(self, model: onnx.ModelProto, types: Types | None = None) -> None:
        self.model = model
        self.graph = model.graph
        self.types = tensor_types(model) if types is None else types
        self.producer = {name: node for node in self.graph.node for name in node.output if name}
        self.constants = {tensor.name: tensor for tensor in self.graph.initializer}
        self.outputs = {tensor.name for tensor in self.graph.output}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in self.graph.node:
            for name in dict.fromkeys(reads(node)):
                self.readers.setdefault(name, []).append(node)

    def constant(self, name: str) -> Array | None:
        """The value of a constant, or ``None`` for everything else."""
        tensor = self.constants.get(name)
        return None if tensor is None else numpy_helper.to_array(tensor)

    def only_reader(self, name: str) -> onnx.NodeProto | None:
        """The one node that reads a tensor which is no output, or ``None``."""
        found = self.readers.get(name, [])
        return found[0] if len(found) == 1 and name not in self.outputs else None

    def is_float(self, name: str) -> bool:
        """Whether a tensor is known to be float32."""
        return bool(self.types.get(name, (0, None))[0] == onnx.TensorProto.FLOAT)

    def shape(self, name: str) -> list[int | None] | None:
        """A tensor's sizes, ``None`` for free ones; ``None`` where not even the rank is known."""
        return self.types.get(name, (0, None))[1]


def tensor_types(model: onnx.ModelProto) -> Types:
    """Element type and sizes of every tensor, as far as ONNX can tell."""
    light = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    light.graph.CopyFrom(onnx.GraphProto(node=model.graph.node, input=model.graph.input, output=model.graph.output))
    for tensor in model.graph.initializer:  # large ones need not be copied: their shapes say enough
        if sum(tensor.dims) <= _SMALL:
            light.graph.initializer.append(tensor)
        else:
            light.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    inferred = onnx.shape_inference.infer_shapes(light, data_prop=True).graph
    found = {tensor.name: _type(tensor) for tensor in (*inferred.value_info, *inferred.input, *inferred.output)}
    return found | {tensor.name: (tensor.data_type, list(tensor.dims)) for tensor in model.graph.initializer}


def _type(value: onnx.ValueInfoProto) -> tuple[int, list[int | None] | None]:
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return tensor.elem_type, None
    return tensor.elem_type, [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """The value of a node's attribute."""
    found = [entry for entry in node.attribute if entry.name == name]
    return onnx.helper.get_attribute_value(found[0]) if found else default


def int_list(values: Array | Sequence[int] | None) -> list[int]:
    """Integers of a constant or attribute, as Python's."""
    return [] if values is None else [int(value) for value in values]
