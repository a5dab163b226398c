"""Changes to a TFLite graph: tensors and operations added, constants read, and what is left over swept at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import ArrayLike

from aetool_exporters.quantization.affine import Affine
from aetool_exporters.tflite.flatbuffer import builtin_name
from aetool_runtime.specs import Array

__all__ = ["GraphEditor", "as_parameters", "operator_name", "sweep"]

_TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "float16": schema.TensorType.FLOAT16,
    "int8": schema.TensorType.INT8,
    "int16": schema.TensorType.INT16,
    "int32": schema.TensorType.INT32,
    "int64": schema.TensorType.INT64,
}
_LAST_OLD_CODE = 127  # older readers look at a field of one byte


def operator_name(model: Any, operator: Any) -> str:
    """The builtin name of an operation, such as ``CONV_2D``."""
    code = model.operatorCodes[operator.opcodeIndex]
    return builtin_name(max(code.builtinCode, code.deprecatedBuiltinCode))


def as_parameters(scales: ArrayLike, zero_points: Sequence[int], axis: int = 0) -> Any:
    """The schema's way to write quantization: one scale, or one for each index of ``axis``."""
    return schema.QuantizationParametersT(
        scale=np.array(scales, np.float32), zeroPoint=np.array(zero_points, np.int64), quantizedDimension=axis
    )


class GraphEditor:
    """One subgraph of a ``ModelT``."""

    def __init__(self, model: Any, subgraph: Any) -> None:
        self.model = model
        self.subgraph = subgraph

    def is_float(self, index: int) -> bool:
        """Whether a tensor holds float32; ``index`` may be −1, a missing input."""
        return bool(index >= 0 and self.subgraph.tensors[index].type == schema.TensorType.FLOAT32)

    def constant(self, index: int) -> Array | None:
        """The value of a float32 constant; ``None`` for what is computed, or of another type."""
        if not self.is_float(index):
            return None
        tensor = self.subgraph.tensors[index]
        data = self.model.buffers[tensor.buffer].data
        if data is None or len(data) == 0:
            return None
        return _floats(data, tensor.shape)

    def add_tensor(self, like: int, dtype: str, parameters: Any = None) -> int:
        """A computed tensor of the shape of another."""
        old = self.subgraph.tensors[like]
        tensor = schema.TensorT(shape=old.shape, type=_TYPES[dtype], shapeSignature=old.shapeSignature)
        tensor.hasRank, tensor.quantization, tensor.name = old.hasRank, parameters, b""
        self.subgraph.tensors.append(tensor)
        return len(self.subgraph.tensors) - 1

    def add_constant(self, values: Array, parameters: Any = None) -> int:
        """A constant; integers take the quantization that they were made with."""
        data = np.frombuffer(np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<")).tobytes(), np.uint8)
        self.model.buffers.append(schema.BufferT(data))
        tensor = schema.TensorT(shape=np.array(values.shape, np.int32), type=_TYPES[values.dtype.name])
        tensor.buffer, tensor.hasRank = len(self.model.buffers) - 1, True
        tensor.quantization, tensor.name = parameters, b""
        self.subgraph.tensors.append(tensor)
        return len(self.subgraph.tensors) - 1

    def retype(self, index: int, affine: Affine, dtype: str) -> None:
        """Let a computed tensor hold integers from now on."""
        tensor = self.subgraph.tensors[index]
        tensor.type = _TYPES[dtype]
        tensor.quantization = as_parameters([affine.scale], [affine.zero_point])

    def operator(self, name: str, inputs: Sequence[int], outputs: Sequence[int], version: int = 1) -> Any:
        """A new operation with default options, not yet part of the graph."""
        made = schema.OperatorT(inputs=np.array(inputs, np.int32), outputs=np.array(outputs, np.int32))
        self.set_code(made, name, version)
        options = _OPTIONS.get(name)
        if options is not None:
            made.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            made.builtinOptions = getattr(schema, options + "T")()
        return made

    def set_code(self, operator: Any, name: str, version: int) -> None:
        """Say which builtin, at which version, an operation is."""
        code = getattr(schema.BuiltinOperator, name)
        for place, known in enumerate(self.model.operatorCodes):
            if max(known.builtinCode, known.deprecatedBuiltinCode) == code and known.version == version:
                operator.opcodeIndex = place
                return
        made = schema.OperatorCodeT(builtinCode=code, deprecatedBuiltinCode=min(code, _LAST_OLD_CODE), version=version)
        self.model.operatorCodes.append(made)
        operator.opcodeIndex = len(self.model.operatorCodes) - 1

    def version(self, operator: Any) -> int:
        return int(self.model.operatorCodes[operator.opcodeIndex].version)


_OPTIONS = {
    "ADD": "AddOptions",
    "CAST": "CastOptions",
    "DEQUANTIZE": "DequantizeOptions",
    "MUL": "MulOptions",
    "QUANTIZE": "QuantizeOptions",
    "SUB": "SubOptions",
}


def sweep(model: Any) -> None:
    """Drop tensors, operation codes and constants that nothing refers to any more, and spent calibration notes."""
    for subgraph in model.subgraphs:
        _sweep_tensors(model, subgraph)
    operators = [operator for subgraph in model.subgraphs for operator in subgraph.operators or ()]
    used = sorted({operator.opcodeIndex for operator in operators})
    for operator in operators:
        operator.opcodeIndex = used.index(operator.opcodeIndex)
    model.operatorCodes = [model.operatorCodes[place] for place in used]
    _sweep_buffers(model)


def _sweep_tensors(model: Any, subgraph: Any) -> None:
    operators = subgraph.operators or ()
    groups = [subgraph.inputs, subgraph.outputs]
    groups += [group for operator in operators for group in (operator.inputs, operator.outputs, operator.intermediates)]
    used = sorted({int(index) for group in groups if group is not None for index in group if index >= 0})
    place = {old: new for new, old in enumerate(used)} | {-1: -1}

    def moved(group: Any) -> Any:
        return None if group is None else np.array([place[int(index)] for index in group], np.int32)

    subgraph.tensors = [subgraph.tensors[index] for index in used]
    subgraph.inputs, subgraph.outputs = moved(subgraph.inputs), moved(subgraph.outputs)
    for operator in operators:
        operator.inputs, operator.outputs = moved(operator.inputs), moved(operator.outputs)
        operator.intermediates = moved(operator.intermediates)
    for entry in model.signatureDefs:
        if model.subgraphs[entry.subgraphIndex] is subgraph:
            for item in (*entry.inputs, *entry.outputs):
                item.tensorIndex = place[item.tensorIndex]
    for tensor in subgraph.tensors:
        if tensor.quantization is not None and tensor.quantization.scale is None:
            tensor.quantization = None


def _sweep_buffers(model: Any) -> None:
    holders = [*(tensor for subgraph in model.subgraphs for tensor in subgraph.tensors), *(model.metadata or ())]
    used = sorted({0} | {holder.buffer for holder in holders})
    place = {old: new for new, old in enumerate(used)}
    for holder in holders:
        holder.buffer = place[holder.buffer]
    model.buffers = [model.buffers[index] for index in used]


def _floats(data: Any, shape: Any) -> Array:
    return np.frombuffer(np.asarray(data, np.uint8).tobytes(), "<f4").reshape(tuple(map(int, shape)))
