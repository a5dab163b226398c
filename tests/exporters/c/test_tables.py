"""Activations as tables: every value, at many scales."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.exporters.reduced_models import reduced

from aetool_exporters.c.graph import read_graph
from aetool_exporters.c.lowering import lowered
from aetool_exporters.tflite.editing import as_parameters, sweep
from aetool_exporters.tflite.extraction import extract
from aetool_exporters.tflite.flatbuffer import read, write

LOGISTIC, TANH = 14, 28  # as the schema counts operations
SCALES = (0.9, 0.25, 0.1, 0.0471, 0.0235, 0.0078125, 0.002, 1e-4)
KINDS = {LOGISTIC: (1 / 256, -128, lambda x: 1 / (1 + math.exp(-x))), TANH: (1 / 128, 0, math.tanh)}


def one_operation(code: int, scale: float, zero_point: int) -> bytes:
    """A graph of 784 values and the operation alone."""
    exported = reduced("dense", "int8", integer_io=True)
    model = read(extract(exported.files["tflite/model.int8.tflite"], "decode"))
    graph = model.subgraphs[0]
    graph.operators = graph.operators[-1:]
    made_scale, made_zero_point, _ = KINDS[code]
    given, made = (int(ends[0]) for ends in (graph.operators[0].inputs, graph.operators[0].outputs))
    graph.tensors[given].quantization = as_parameters([scale], [zero_point])
    graph.tensors[made].quantization = as_parameters([made_scale], [made_zero_point])
    graph.inputs = np.array([given], np.int32)
    model.signatureDefs[0].inputs[0].tensorIndex = given
    held = model.operatorCodes[graph.operators[0].opcodeIndex]
    held.builtinCode = held.deprecatedBuiltinCode = code
    sweep(model)
    return write(model)


@pytest.mark.parametrize("code", KINDS)
@pytest.mark.parametrize("scale", SCALES)
def test_a_table_holds_the_function_to_one_step(code: int, scale: float) -> None:
    (step,) = lowered(read_graph(one_operation(code, scale, 3)))
    made_scale, made_zero_point, function = KINDS[code]
    exact = [function((value - 3) * scale) / made_scale + made_zero_point for value in range(-128, 128)]
    assert np.abs(np.clip(exact, -128, 127) - np.asarray(step.parameters["table"])).max() <= 1


@pytest.mark.parametrize("code", KINDS)
def test_a_table_holds_the_integers_of_tensorflow_lite_micro(code: int) -> None:
    runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime")
    for scale in SCALES:
        for zero_point in (-128, -7, 0, 127):
            data = one_operation(code, scale, zero_point)
            (step,) = lowered(read_graph(data))
            micro = runtime.Interpreter.from_bytes(data, arena_size=100_000)
            micro.set_input(np.resize(np.arange(-128, 128, dtype=np.int8), (1, 784)), 0)
            micro.invoke()
            assert np.array_equal(micro.get_output(0).ravel()[:256], step.parameters["table"]), (scale, zero_point)
