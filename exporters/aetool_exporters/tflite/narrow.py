"""Smaller weights, real activations: ``float16`` and ``dynamic_range``."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from aetool_exporters.quantization.affine import Affine, Range
from aetool_exporters.tflite.editing import GraphEditor, as_parameters, operator_name
from aetool_exporters.tflite.kernels import WEIGHTED, version
from aetool_exporters.tflite.weights import quantize_kernel, wants_channels
from aetool_runtime.specs import Array

__all__ = ["halve_constants", "quantize_weights"]

_LEAST_VALUES = 64  # fewer would not make up for the operation, or the scales, that they cost
_LEAST_DECIBELS = 30.0  # more than with calibration, which corrects part of what rounding takes away
_LARGEST_HALF = float(np.finfo(np.float16).max)


def halve_constants(editor: GraphEditor, kept: Collection[int]) -> list[int]:
    """Store float32 constants as float16, widened again when the graph is loaded.

    Args:
        kept: places of operations whose constants stay as they are.

    Returns:
        Places of operations that keep float32 constants because float16 cannot hold such large values.
    """
    widened: dict[int, int] = {}
    made: list[Any] = []
    too_large = []
    for place, operator in enumerate(editor.subgraph.operators or ()):
        if place in kept:
            continue
        for index in map(int, operator.inputs):
            values = editor.constant(index)
            if values is None or values.size < _LEAST_VALUES or index in widened:
                continue
            if float(np.abs(values).max()) > _LARGEST_HALF:
                too_large.append(place)
                continue
            half = editor.add_constant(values.astype(np.float16))
            widened[index] = editor.add_tensor(index, "float32")
            made.append(editor.operator("DEQUANTIZE", [half], [widened[index]], 3))
        operator.inputs = np.array([widened.get(int(index), int(index)) for index in operator.inputs], np.int32)
    editor.subgraph.operators = made + list(editor.subgraph.operators or ())
    return too_large


def quantize_weights(editor: GraphEditor, kept: Collection[int], *, per_channel: bool) -> list[int]:
    """Store kernels and tables as int8; kernels that take real activations round those for themselves.

    Returns:
        Places of the operations whose weights are integers now.
    """
    operators, done = [], []
    for place, operator in enumerate(editor.subgraph.operators or ()):
        name = operator_name(editor.model, operator)
        operators.append(operator)
        if place in kept:
            continue
        if name in WEIGHTED and _hybrid(editor, operator, name, per_channel):
            done.append(place)
        elif name == "GATHER" and (widening := _table(editor, operator)) is not None:
            operators.append(widening)
            done.append(place)
    editor.subgraph.operators = operators
    return done


def _hybrid(editor: GraphEditor, operator: Any, name: str, per_channel: bool) -> bool:
    places = WEIGHTED[name]
    kernel = editor.constant(int(operator.inputs[places.kernel]))
    if kernel is None or kernel.size < _LEAST_VALUES or not editor.is_float(int(operator.inputs[places.data])):
        return False
    channels = per_channel and (name != "FULLY_CONNECTED" or wants_channels(kernel, places.axis, _LEAST_DECIBELS))
    made = quantize_kernel(kernel, places.axis, per_channel=channels)
    parameters = as_parameters(made.scales, [0] * len(made.scales), places.axis)
    inputs = [int(index) for index in operator.inputs]
    inputs[places.kernel] = editor.add_constant(made.values, parameters)
    operator.inputs = np.array(inputs, np.int32)
    if hasattr(operator.builtinOptions, "asymmetricQuantizeInputs"):
        operator.builtinOptions.asymmetricQuantizeInputs = True
    least = 12 if name == "FULLY_CONNECTED" and len(made.scales) > 1 else version(name, "hybrid")
    editor.set_code(operator, name, max(least, editor.version(operator)))
    return True


def _table(editor: GraphEditor, operator: Any) -> Any:
    """Look up integers in place of real values, and widen what was found; ``None`` where there is no table."""
    values: Array | None = editor.constant(int(operator.inputs[0]))
    if values is None or values.size < _LEAST_VALUES:
        return None
    affine = Affine.covering(Range(float(values.min()), float(values.max())), "int8")
    parameters = as_parameters([affine.scale], [affine.zero_point])
    found = editor.add_tensor(int(operator.outputs[0]), "int8", parameters)
    table = editor.add_constant(affine.quantize(values).astype(np.int8), parameters)
    operator.inputs = np.array([table, *map(int, operator.inputs[1:])], np.int32)
    widening = editor.operator("DEQUANTIZE", [found], [int(operator.outputs[0])], 2)
    operator.outputs = np.array([found], np.int32)
    editor.set_code(operator, "GATHER", max(2, editor.version(operator)))
    return widening
