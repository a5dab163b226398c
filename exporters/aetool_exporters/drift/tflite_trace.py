"""Every tensor of a TFLite signature, by LiteRT's own kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from aetool_exporters.drift.trace import Constant, Grid, Tensor, Trace
from aetool_exporters.tflite.flatbuffer import read, tensor_dtype
from aetool_exporters.tflite.inspection import operators
from aetool_runtime.errors import BackendError
from aetool_runtime.specs import Array, Artifact

__all__ = ["trace_tflite"]

_QUANTIZE = "QUANTIZE"


def trace_tflite(data: bytes, artifact: Artifact, array: Array) -> Trace:
    """Run a signature and keep everything; bodies of loops are one node.

    Args:
        array: real values [n, …].

    Raises:
        BackendError: LiteRT cannot load or run the graph.
    """
    model = read(data)
    entry = next(entry for entry in model.signatureDefs if _text(entry.signatureKey) == artifact.signature)
    try:
        made = [index for node in model.subgraphs[entry.subgraphIndex].operators for index in node.outputs]
        met = _run_all(data, artifact, array, entry.subgraphIndex, made)
    except Exception as error:  # the engine's own
        raise BackendError(f"LiteRT failed ({error})", where=str(artifact)) from error
    given = next(item.tensorIndex for item in entry.inputs)
    return _read(
        model, entry, met | {given: artifact.inputs[0].stored(array)[: len(next(iter(met.values())))]}, artifact
    )


def _run_all(data: bytes, artifact: Artifact, array: Array, graph: int, made: Sequence[int]) -> dict[int, Array]:
    """Tensor index → values for all samples; the graph takes one batch a call."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=data,
        num_threads=1,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    runner = interpreter.get_signature_runner(artifact.signature)
    given = artifact.inputs[0]
    stored, batch = given.stored(array), given.shape[0] or len(array)
    pieces: dict[int, list[Array]] = {}
    for start in range(0, len(stored) // batch * batch, batch):
        interpreter.reset_all_variables()
        runner(**{given.name: stored[start : start + batch]})
        for index in made:
            value = _tensor(interpreter, index, graph)
            if value is not None:
                pieces.setdefault(index, []).append(value)
    calls = len(stored) // batch
    return {index: _joined(parts, batch) for index, parts in pieces.items() if len(parts) == calls}


def _tensor(interpreter: Any, index: int, graph: int) -> Array | None:
    try:
        value: Array = np.array(interpreter.get_tensor(index, subgraph_index=graph))
    except ValueError:  # never written: a branch that was not taken
        return None
    return value


def _joined(parts: list[Array], batch: int) -> Array:
    """One array, the samples first; tensors that have no batch in front are stacked."""
    if parts[0].ndim and parts[0].shape[0] == batch:
        return np.concatenate(parts)
    return np.stack(parts)


def _read(model: Any, entry: Any, met: dict[int, Array], artifact: Artifact) -> Trace:
    kinds, graph = operators(model), model.subgraphs[entry.subgraphIndex]
    ends = {_text(item.name): item.tensorIndex for item in (*entry.inputs, *entry.outputs)}
    given = ends[artifact.inputs[0].name]
    tensors = [_made(graph, given, "", (), (), met)]
    places = {given: 0}
    read_by: dict[int, set[str]] = {}
    for operator in graph.operators:
        for index in operator.inputs:
            read_by.setdefault(int(index), set()).add(kinds[operator.opcodeIndex])
    for operator in graph.operators:
        inputs = [index for index in operator.inputs if index >= 0]
        read = tuple(dict.fromkeys(places[index] for index in inputs if index in places))
        constants = tuple(_constant(model, graph, index) for index in inputs if index not in places)
        if read_by.get(inputs[0]) == {_QUANTIZE} and tensors[places.get(inputs[0], 0)].grid is None and read:
            # Nobody reads the floats: what goes on is what they are rounded to, as in ONNX.
            (made,), place = operator.outputs, places[inputs[0]]
            rounded = _made(graph, made, "", (), (), met)
            tensors[place] = replace(tensors[place], values=rounded.values, grid=rounded.grid)
            places[made] = place
            continue
        for index in operator.outputs:
            places[index] = len(tensors)
            tensors.append(_made(graph, index, kinds[operator.opcodeIndex], read, constants, met))
    return Trace(tuple(tensors), {spec.name: places[ends[spec.name]] for spec in artifact.outputs})


def _made(
    graph: Any, index: int, kind: str, inputs: tuple[int, ...], constants: tuple[Constant, ...], met: dict[int, Array]
) -> Tensor:
    grid, values = _grid(graph.tensors[index], met.get(index)), met.get(index)
    if values is not None and grid is not None:
        values = grid.restore(values).astype(np.float32)
    elif values is not None and values.dtype.kind == "f":
        values = values.astype(np.float32)
    return Tensor(_name(graph, index), kind, inputs, constants, values, grid)


def _constant(model: Any, graph: Any, index: int) -> Constant:
    """A weight, from the file; empty where it is of a type that NumPy does not have."""
    tensor = graph.tensors[index]
    name, shape = _name(graph, index), tuple(map(int, tensor.shape if tensor.shape is not None else ()))
    data = model.buffers[tensor.buffer].data
    try:
        stored = np.frombuffer(np.asarray(data, np.uint8).tobytes(), tensor_dtype(tensor.type)).reshape(shape)
    except (TypeError, ValueError):
        return Constant(name, np.zeros(0, np.float32))
    grid = _grid(tensor, stored)
    if grid is None:
        return Constant(name, stored)
    return Constant(name, grid.restore(stored).astype(np.float32), stored, grid)


def _grid(tensor: Any, stored: Array | None) -> Grid | None:
    parameters = tensor.quantization
    if parameters is None or parameters.scale is None or not len(parameters.scale):
        return None
    if stored is None or stored.dtype.kind not in "iu":
        return None
    scale = np.asarray(parameters.scale, np.float64)
    zero_point = np.zeros_like(scale) if parameters.zeroPoint is None else np.asarray(parameters.zeroPoint, np.float64)
    info = np.iinfo(stored.dtype)
    axis = int(parameters.quantizedDimension) if len(scale) > 1 else None
    return Grid(scale, zero_point, int(info.min), int(info.max), axis)


def _name(graph: Any, index: int) -> str:
    """Some files leave names out, which take up flash."""
    return _text(graph.tensors[index].name) or f"tensor {index}"


def _text(value: bytes | str | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""
