"""Every tensor of an ONNX graph, by ONNX Runtime with its own rewriting switched off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime

from aetool_exporters.drift.trace import Constant, Grid, Tensor, Trace
from aetool_runtime.backends.onnx_scan import check_external_data, refuse_external_data
from aetool_runtime.errors import BackendError
from aetool_runtime.specs import Array, Artifact

__all__ = ["trace_onnx"]

_QUANTIZE, _DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
_FATAL_ONLY = 4
_SMALL = (np.int8, np.uint8, np.int16, np.uint16)  # stand for real values, or for nothing that a layer returns


def trace_onnx(data: bytes, artifact: Artifact, array: Array, beside: bytes | None = None) -> Trace:
    """Run a graph and keep everything.

    A pair of QuantizeLinear and DequantizeLinear makes no tensor of its own: the tensor before it has the values that
    come out behind, and their grid.

    Args:
        array: real values [n, …].
        beside: the content of ``artifact.external_data``.

    Raises:
        BackendError: ONNX Runtime cannot load or run the graph.
        UnsafeError: a tensor of the graph points elsewhere.
    """
    location, where = (artifact.external_data or "").rpartition("/")[2], f"{artifact} ({artifact.path})"
    if beside is None:
        refuse_external_data(data, where)
    else:
        check_external_data(data, location, len(beside), where)
    model = onnx.load_from_string(data)
    constants = {tensor.name: _values(tensor, beside) for tensor in model.graph.initializer}
    names = [name for node in model.graph.node for name in node.output if name]
    given = artifact.inputs[0]
    try:
        met = _run_all(model, names, {given.name: given.stored(array)}, {} if beside is None else {location: beside})
    except Exception as error:  # the engine's own
        raise BackendError(f"ONNX Runtime failed ({error})", where=str(artifact)) from error
    reader = _Reader(constants, met | {given.name: given.stored(array)}, given.name)
    for node in model.graph.node:
        reader.read(node)
    return Trace(tuple(reader.tensors), {spec.name: reader.places[spec.name] for spec in artifact.outputs})


def _values(tensor: onnx.TensorProto, beside: bytes | None) -> Array:
    """A constant, wherever it lies."""
    if beside is None or not tensor.external_data:
        return np.asarray(onnx.numpy_helper.to_array(tensor))
    told = {entry.key: entry.value for entry in tensor.external_data}
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    start, length = int(told["offset"]), int(told["length"])
    return np.frombuffer(memoryview(beside)[start : start + length], dtype).reshape(tuple(tensor.dims))


def _run_all(model: Any, names: list[str], feed: dict[str, Array], beside: Mapping[str, bytes]) -> dict[str, Array]:
    present = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in present)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = _FATAL_ONLY
    for location, content in beside.items():
        options.add_external_initializers_from_files_in_memory([location], [content], [len(content)])
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]
    return dict(zip(outputs, session.run(outputs, feed), strict=True))


class _Reader:
    """Nodes → tensors; places and constants by the names that later nodes read."""

    def __init__(self, constants: Mapping[str, Array], met: Mapping[str, Array], given: str) -> None:
        self.tensors = [Tensor(given, "", (), (), _real(met[given]))]
        self.places = {given: 0}
        self._met = met
        self._constants = {name: Constant(name, values) for name, values in constants.items()}

    def read(self, node: Any) -> None:
        inputs = [name for name in node.input if name]
        if all(name in self._constants for name in inputs):
            self._fold(node, inputs)
        elif node.op_type == _QUANTIZE:
            self._quantize(node, inputs)
        elif node.op_type == _DEQUANTIZE and inputs[0] in self.places:
            self._dequantize(node, inputs)
        else:
            self._add(node, inputs)

    def _add(self, node: Any, inputs: list[str]) -> None:
        places = tuple(dict.fromkeys(self.places[name] for name in inputs if name in self.places))
        constants = tuple(self._constants[name] for name in inputs if name in self._constants)
        grid = self._handed_on(node, inputs)
        for name in filter(None, node.output):
            self.places[name] = len(self.tensors)
            values = _restored(self._met[name], grid) if grid else _real(self._met[name])
            self.tensors.append(Tensor(name, node.op_type, places, constants, values, grid))

    def _handed_on(self, node: Any, inputs: list[str]) -> Grid | None:
        """The grid of integers that a node only puts in another order."""
        if not inputs or inputs[0] not in self.places or self._met[node.output[0]].dtype not in _SMALL:
            return None
        return self.tensors[self.places[inputs[0]]].grid

    def _fold(self, node: Any, inputs: list[str]) -> None:
        """What is computed from constants alone is one; a dequantized one remembers its integers."""
        source = self._constants[inputs[0]] if inputs else None
        for name in filter(None, node.output):
            if node.op_type == _DEQUANTIZE and source is not None:
                grid = self._grid(node, inputs, source.values)
                self._constants[name] = Constant(source.name, self._met[name], source.values, grid)
            else:
                self._constants[name] = Constant(source.name if source else name, self._met[name])

    def _quantize(self, node: Any, inputs: list[str]) -> None:
        place = self.places[inputs[0]]
        made = node.output[0]
        grid = self._grid(node, inputs, self._met[made])
        old = self.tensors[place]
        values = _restored(self._met[made], grid)
        self.tensors[place] = Tensor(old.name, old.operator, old.inputs, old.constants, values, grid)
        self.places[made] = place

    def _dequantize(self, node: Any, inputs: list[str]) -> None:
        place = self.places[inputs[0]]
        made = node.output[0]
        self.places[made] = place
        old = self.tensors[place]
        if old.grid is None:  # else it stands for what was quantized, whatever scale the next node reads it with
            grid, values = self._grid(node, inputs, self._met.get(inputs[0])), _real(self._met[made])
            self.tensors[place] = Tensor(old.name, old.operator, old.inputs, old.constants, values, grid)

    def _grid(self, node: Any, inputs: list[str], integers: Array | None) -> Grid | None:
        scale = self._constants.get(inputs[1])
        if scale is None or integers is None or integers.dtype.kind not in "iu":
            return None
        zero_point = self._constants[inputs[2]].values if len(inputs) > 2 else np.zeros_like(scale.values)
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
        info = np.iinfo(integers.dtype)
        return Grid(
            np.atleast_1d(scale.values).astype(np.float64),
            np.atleast_1d(zero_point).astype(np.float64),
            int(info.min),
            int(info.max),
            axis if np.size(scale.values) > 1 else None,
        )


def _restored(integers: Array, grid: Grid | None) -> Array | None:
    return None if grid is None else grid.restore(integers).astype(np.float32)


def _real(values: Array) -> Array | None:
    if values.dtype.kind == "f":
        return values.astype(np.float32)
    return values if values.dtype.kind in "iu" and values.dtype not in _SMALL else None
