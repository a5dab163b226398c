"""The graph of a TFLite signature as the C generator reads it: tensors with their integers' meaning, and operations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from aetool_exporters.tflite.editing import operator_name
from aetool_exporters.tflite.flatbuffer import read, tensor_dtype
from aetool_runtime.errors import UnsupportedOperatorError
from aetool_runtime.specs import Array

__all__ = ["Graph", "Operation", "Tensor", "read_graph", "refusal"]

_STORED = {"int8": np.int8, "int32": np.int32}


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor of the graph.

    Args:
        index: its place in the graph.
        name: its name, or its place where it has none.
        shape: its sizes; all known.
        dtype: ``int8`` or ``int32``.
        scales: what one step is worth, float32; one, or one for each channel; empty for sizes and the like.
        zero_point: the integer that stands for zero.
        data: its value, if it is a constant.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    scales: Array
    zero_point: int
    data: Array | None

    @property
    def size(self) -> int:
        """How many values it has."""
        return prod(self.shape)

    @property
    def scale(self) -> np.float32:
        """What one step is worth, of a tensor with one scale."""
        return np.float32(self.scales[0])


@dataclass(frozen=True, eq=False)
class Operation:
    """An operation.

    Args:
        name: its builtin name, such as ``CONV_2D``.
        place: its place in the graph.
        inputs: what it reads; ``None`` where an optional one is missing.
        output: what it makes.
        options: the members of its builtin options.
    """

    name: str
    place: int
    inputs: tuple[Tensor | None, ...]
    output: Tensor
    options: Mapping[str, Any]

    def given(self, place: int) -> Tensor:
        """The input at ``place``, which must be there."""
        tensor = self.inputs[place] if place < len(self.inputs) else None
        if tensor is None:
            raise refusal(self, f"its input {place} is missing")
        return tensor

    def constant(self, place: int) -> Array:
        """The value of the input at ``place``, which must be a constant."""
        tensor = self.given(place)
        if tensor.data is None:
            raise refusal(self, f"its input {tensor.name} is computed, where a constant is needed")
        return tensor.data


@dataclass(frozen=True)
class Graph:
    """A signature's graph: operations in the order in which they run; a tensor that has two names counts once."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operations: tuple[Operation, ...]


def refusal(operation: Operation, reason: str, hint: str = "replace the layer, or run the TFLite file") -> Exception:
    """The error that names an operation and its tensor."""
    return UnsupportedOperatorError(
        f"{operation.name} has no C code here: {reason}",
        where=f"operation {operation.place}, tensor {operation.output.name}",
        expected="int8 operations of the kinds that the guide lists",
        hint=hint,
    )


def read_graph(data: bytes) -> Graph:
    """The only graph of a TFLite file, such as ``extract`` makes.

    Raises:
        ConversionError: not a TFLite file.
        UnsupportedOperatorError: the file has several graphs, or tensors of other kinds than int8.
    """
    model = read(data)
    if len(model.subgraphs) != 1:
        raise UnsupportedOperatorError(
            f"the file has {len(model.subgraphs)} graphs", expected="one", hint="extract one signature"
        )
    subgraph = model.subgraphs[0]
    tensors = [_tensor(model, subgraph, index) for index in range(len(subgraph.tensors))]
    operations = [_operation(model, tensors, place, found) for place, found in enumerate(subgraph.operators or ())]
    entry = model.signatureDefs[0] if model.signatureDefs else None
    inputs = [int(part.tensorIndex) for part in entry.inputs] if entry else list(map(int, subgraph.inputs))
    outputs = [int(part.tensorIndex) for part in entry.outputs] if entry else list(map(int, subgraph.outputs))
    made = dict.fromkeys(tensors[index] for index in outputs)
    graph = Graph(tuple(tensors[index] for index in inputs), tuple(made), tuple(operations))
    _check_edges(graph)
    return graph


def _tensor(model: Any, subgraph: Any, index: int) -> Tensor:
    found = subgraph.tensors[index]
    shape = tuple(int(size) for size in (found.shape if found.shape is not None else ()))
    dtype = tensor_dtype(found.type)
    held = model.buffers[found.buffer].data
    data = None
    if held is not None and len(held) and dtype in _STORED:
        data = np.frombuffer(np.asarray(held, np.uint8).tobytes(), _STORED[dtype]).reshape(shape)
    meaning = found.quantization
    scales = np.array([], np.float32)
    points = np.array([0])
    if meaning is not None and meaning.scale is not None:
        scales = np.asarray(meaning.scale, np.float32)
        points = np.asarray(meaning.zeroPoint) if meaning.zeroPoint is not None else points
    return Tensor(index, (found.name or b"").decode() or str(index), shape, dtype, scales, int(points[0]), data)


def _operation(model: Any, tensors: list[Tensor], place: int, found: Any) -> Operation:
    inputs = tuple(tensors[index] if index >= 0 else None for index in map(int, found.inputs))
    options = vars(found.builtinOptions) if found.builtinOptions is not None else {}
    operation = Operation(operator_name(model, found), place, inputs, tensors[int(found.outputs[0])], options)
    if len(found.outputs) != 1:
        raise refusal(operation, f"it makes {len(found.outputs)} tensors")
    return operation


def _check_edges(graph: Graph) -> None:
    made = {operation.output for operation in graph.operations}
    if not made.issuperset(graph.outputs):
        raise UnsupportedOperatorError(
            "the graph returns what it was given, or a constant",
            where=", ".join(tensor.name for tensor in graph.outputs if tensor not in made),
            expected="outputs that are computed",
            hint="export an encoder with a layer",
        )
    for tensor in (*graph.inputs, *graph.outputs):
        if tensor.dtype != "int8" or len(tensor.scales) != 1:
            raise UnsupportedOperatorError(
                f"the graph takes or returns {tensor.dtype} values",
                where=f"tensor {tensor.name}",
                expected="int8 values",
                hint="export int8 with --integer-io",
            )
