"""The float graphs of a model → those of a lower precision."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx

from aetool_exporters.onnx.build import FloatGraph
from aetool_exporters.onnx.quantization.calibration import measure, measure_channels
from aetool_exporters.onnx.quantization.centering import center, tensors_to_center
from aetool_exporters.onnx.quantization.equalization import equalize, tensors_to_equalize
from aetool_exporters.onnx.quantization.half import halve, too_large
from aetool_exporters.onnx.quantization.integer import quantize, tensors_to_measure
from aetool_exporters.onnx.quantization.kinds import LINEAR
from aetool_exporters.onnx.quantization.preparation import prepare
from aetool_exporters.onnx.quantization.view import View
from aetool_exporters.onnx.quantization.weights import store_as_integers
from aetool_exporters.request import Calibration, QuantizationOptions
from aetool_runtime.errors import UsageError
from aetool_runtime.specs import Quantization, Role

__all__ = ["Reduced", "reduce"]

_UNQUANTIZED = {
    "Einsum": "products of two activations are computed in float",
    "GRU": "ONNX has no integer form of it; its weights are stored as int8",
    "Gather": "a table is looked up in float; it is stored as int8",
    "If": "branches are computed in float",
    "LSTM": "ONNX has no integer form of it; its weights are stored as int8",
    "LayerNormalization": "means and deviations are computed in float",
    "Loop": "bodies of loops are computed in float",
    "RNN": "ONNX has no integer form of it; its weights are stored as int8",
    "Scan": "bodies of loops are computed in float",
    "Softmax": "exponentials are computed in float",
}


@dataclass(frozen=True)
class Reduced:
    """A role at a precision below float32.

    Args:
        model: not yet canonical.
        quantized: inputs and outputs that are integers, and what these stand for.
    """

    model: onnx.ModelProto
    quantized: Mapping[str, Quantization] = field(default_factory=dict)


def reduce(
    graphs: Mapping[Role, FloatGraph], precision: str, options: QuantizationOptions
) -> tuple[dict[Role, Reduced], tuple[str, ...]]:
    """Every role at ``float16``, ``dynamic_range`` or ``int8``; and notices.

    Raises:
        UsageError: int8 without data for calibration, or a layer in ``float_layers`` that there is not.
    """
    notices: dict[str, None] = {}
    if precision == "float16":
        reduced = {role: _halved(graph, notices) for role, graph in graphs.items()}
    elif precision == "dynamic_range":
        _check_layers(graphs, options.float_layers)
        reduced = {role: _with_integer_weights(graph, options) for role, graph in graphs.items()}
    else:
        _check_layers(graphs, options.float_layers)
        reduced = _quantized(graphs, options, notices)
    return reduced, tuple(notices)


def _halved(graph: FloatGraph, notices: dict[str, None]) -> Reduced:
    model = graph.model()
    kept = too_large(model)
    for name in kept:
        notices[f"{_place(name, graph)} stays in float32: it has a weight beyond the 65504 of half precision"] = None
    return Reduced(halve(model, frozenset(kept)))


def _with_integer_weights(graph: FloatGraph, options: QuantizationOptions) -> Reduced:
    model = graph.model()
    store_as_integers(model.graph, _nodes_of(options.float_layers, graph), per_channel=options.per_channel)
    return Reduced(model)


def _quantized(
    graphs: Mapping[Role, FloatGraph], options: QuantizationOptions, notices: dict[str, None]
) -> dict[Role, Reduced]:
    if options.calibration is None:
        raise UsageError(
            "int8 needs data to calibrate with", hint="pass --calibration DATA, or export a checkpoint, which has some"
        )
    prepared = {role: prepare(graph.model(), graph.layers) for role, graph in graphs.items()}
    floats = {role: _nodes_of(options.float_layers, graph) for role, graph in graphs.items()}
    _balance(prepared, floats, options.calibration, integer_io=options.integer_io)
    wanted = {
        role: tensors_to_measure(model, floats[role], integer_io=options.integer_io) for role, model in prepared.items()
    }
    ranges = measure(prepared, wanted, options.calibration)
    result: dict[Role, Reduced] = {}
    for role, model in prepared.items():
        made, quantized = quantize(
            model,
            floats[role],
            ranges[role].__getitem__,
            per_channel=options.per_channel,
            integer_io=options.integer_io,
        )
        store_as_integers(made.graph, floats[role], per_channel=options.per_channel)
        result[role] = Reduced(made, quantized)
        _tell_of_floats(model, graphs[role], floats[role], notices)
    return result


def _balance(
    prepared: Mapping[Role, onnx.ModelProto],
    floats: Mapping[Role, frozenset[str]],
    calibration: Calibration,
    *,
    integer_io: bool,
) -> None:
    """Let channels of different size, inside and at the outputs, have their share of the integers."""
    inner = {role: tensors_to_equalize(model, floats[role]) for role, model in prepared.items()}
    outer = {role: tensors_to_center(model, floats[role], integer_io=integer_io) for role, model in prepared.items()}
    wanted = {role: list(dict.fromkeys([*inner[role], *outer[role]])) for role in prepared}
    for role, ranges in measure_channels(prepared, wanted, calibration).items():
        reaches = {name: np.maximum(-ranges[name][0], ranges[name][1]) for name in inner[role]}
        equalize(prepared[role], reaches)
        center(prepared[role], {name: ranges[name] for name in outer[role]})


def _tell_of_floats(
    model: onnx.ModelProto, graph: FloatGraph, floats: frozenset[str], notices: dict[str, None]
) -> None:
    view = View(model)
    for node in model.graph.node:
        reason = _UNQUANTIZED.get(node.op_type)
        if node.op_type in LINEAR and node.input[1] not in view.constants:
            reason = "products of two activations are computed in float"
        if node.op_type == "Gather" and node.input[0] not in view.constants:
            reason = None
        if reason is not None and node.name not in floats:
            notices[f"{_place(node.name, graph)} stays in float ({node.op_type}): {reason}"] = None


def _place(node: str, graph: FloatGraph) -> str:
    layer = graph.layers.get(node, "")
    return f"layer {layer!r}" if layer else f"node {node!r}"


def _nodes_of(layers: Collection[str], graph: FloatGraph) -> frozenset[str]:
    return frozenset(node for node, layer in graph.layers.items() if layer and layer in layers)


def _check_layers(graphs: Mapping[Role, FloatGraph], wanted: Collection[str]) -> None:
    known = {layer for graph in graphs.values() for layer in graph.layers.values() if layer}
    unknown = sorted(set(wanted) - known)
    if unknown:
        raise UsageError(
            f"no layer {unknown[0]!r} to keep in float32 is left in the graph",
            expected="one of " + ", ".join(sorted(known)),
        )
