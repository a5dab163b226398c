"""What the presets' TFLite graphs are made of, at float32 and int8: nothing but what computes.

A preset's graph that grows is no error of this table's: look whether the new operations compute something.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers
from tests.exporters.keras_models import compose, sample
from tests.exporters.test_clean_graphs import PRESETS, reference

from aetool_exporters.reference import Reference
from aetool_exporters.request import Calibration, ExportRequest, QuantizationOptions
from aetool_exporters.tflite import TfliteExporter
from aetool_exporters.tflite.editing import operator_name
from aetool_exporters.tflite.flatbuffer import read
from aetool_exporters.tflite.microcontroller import obstacles
from aetool_exporters.tflite.tracing import repeats_exactly
from aetool_runtime.specs import Array

# preset → encoder and decoder at float32, encoder and decoder at int8; of recurrent ones without the bodies of loops
GRAPHS: dict[str, tuple[str, str, str, str]] = {
    "dense": (
        "FULLY_CONNECTED FULLY_CONNECTED",
        "FULLY_CONNECTED FULLY_CONNECTED LOGISTIC MUL",
        "SUB MUL QUANTIZE FULLY_CONNECTED FULLY_CONNECTED DEQUANTIZE",
        "QUANTIZE FULLY_CONNECTED FULLY_CONNECTED LOGISTIC DEQUANTIZE MUL ADD",
    ),
    "vae": (
        "FULLY_CONNECTED FULLY_CONNECTED FULLY_CONNECTED STRIDED_SLICE STRIDED_SLICE",
        "FULLY_CONNECTED FULLY_CONNECTED FULLY_CONNECTED LOGISTIC MUL",
        "SUB MUL QUANTIZE FULLY_CONNECTED FULLY_CONNECTED FULLY_CONNECTED STRIDED_SLICE STRIDED_SLICE "
        "DEQUANTIZE DEQUANTIZE",
        "QUANTIZE FULLY_CONNECTED FULLY_CONNECTED FULLY_CONNECTED LOGISTIC DEQUANTIZE MUL ADD",
    ),
    "vqvae": (
        "MUL RESHAPE FULLY_CONNECTED FULLY_CONNECTED RESHAPE FULLY_CONNECTED ARG_MAX",
        "LESS ADD SELECT GATHER RESHAPE FULLY_CONNECTED FULLY_CONNECTED LOGISTIC RESHAPE MUL",
        "SUB MUL RESHAPE QUANTIZE FULLY_CONNECTED FULLY_CONNECTED RESHAPE FULLY_CONNECTED ARG_MAX",
        "LESS ADD SELECT GATHER RESHAPE FULLY_CONNECTED FULLY_CONNECTED LOGISTIC RESHAPE DEQUANTIZE MUL ADD",
    ),
    "conv1d": (
        "SUB MUL RESHAPE CONV_2D CONV_2D CONV_2D RESHAPE FULLY_CONNECTED",
        "FULLY_CONNECTED RESHAPE TRANSPOSE_CONV TRANSPOSE_CONV TRANSPOSE_CONV RESHAPE",
        "SUB MUL RESHAPE QUANTIZE CONV_2D CONV_2D CONV_2D RESHAPE FULLY_CONNECTED DEQUANTIZE",
        "QUANTIZE FULLY_CONNECTED RESHAPE TRANSPOSE_CONV TRANSPOSE_CONV TRANSPOSE_CONV RESHAPE DEQUANTIZE MUL ADD",
    ),
    "conv2d": (
        "CONV_2D CONV_2D RESHAPE FULLY_CONNECTED",
        "FULLY_CONNECTED RESHAPE TRANSPOSE_CONV TRANSPOSE_CONV LOGISTIC MUL",
        "SUB MUL QUANTIZE CONV_2D CONV_2D RESHAPE FULLY_CONNECTED DEQUANTIZE",
        "QUANTIZE FULLY_CONNECTED RESHAPE TRANSPOSE_CONV TRANSPOSE_CONV LOGISTIC DEQUANTIZE MUL ADD",
    ),
    "conv2d-residual": (
        "SUB CONV_2D CONV_2D CONV_2D ADD CONV_2D CONV_2D CONV_2D ADD CONV_2D",
        "CONV_2D CONV_2D CONV_2D ADD RESIZE_NEAREST_NEIGHBOR CONV_2D CONV_2D CONV_2D ADD "
        "RESIZE_NEAREST_NEIGHBOR CONV_2D",
        "SUB MUL QUANTIZE CONV_2D CONV_2D CONV_2D ADD CONV_2D CONV_2D CONV_2D ADD CONV_2D DEQUANTIZE",
        "QUANTIZE CONV_2D CONV_2D CONV_2D ADD RESIZE_NEAREST_NEIGHBOR CONV_2D CONV_2D CONV_2D ADD "
        "RESIZE_NEAREST_NEIGHBOR CONV_2D DEQUANTIZE MUL ADD",
    ),
    "gru-ecg": (
        "SUB MUL RESHAPE REVERSE_V2 WHILE STRIDED_SLICE WHILE STRIDED_SLICE CONCATENATION FULLY_CONNECTED",
        "RESHAPE TILE RESHAPE REVERSE_V2 WHILE RESHAPE REVERSE_V2 WHILE RESHAPE CONCATENATION FULLY_CONNECTED",
        "SUB MUL RESHAPE REVERSE_V2 WHILE STRIDED_SLICE WHILE STRIDED_SLICE CONCATENATION QUANTIZE "
        "FULLY_CONNECTED DEQUANTIZE",
        "RESHAPE TILE RESHAPE REVERSE_V2 WHILE RESHAPE REVERSE_V2 WHILE RESHAPE CONCATENATION QUANTIZE "
        "FULLY_CONNECTED DEQUANTIZE MUL ADD",
    ),
    "lstm-ecg": (
        "SUB MUL RESHAPE REVERSE_V2 WHILE STRIDED_SLICE WHILE STRIDED_SLICE CONCATENATION FULLY_CONNECTED",
        "RESHAPE TILE RESHAPE REVERSE_V2 WHILE RESHAPE REVERSE_V2 WHILE RESHAPE CONCATENATION FULLY_CONNECTED",
        "SUB MUL RESHAPE REVERSE_V2 WHILE STRIDED_SLICE WHILE STRIDED_SLICE CONCATENATION QUANTIZE "
        "FULLY_CONNECTED DEQUANTIZE",
        "RESHAPE TILE RESHAPE REVERSE_V2 WHILE RESHAPE REVERSE_V2 WHILE RESHAPE CONCATENATION QUANTIZE "
        "FULLY_CONNECTED DEQUANTIZE MUL ADD",
    ),
    "text": (
        "LESS ADD SELECT GATHER RESHAPE CONV_2D RESHAPE FULLY_CONNECTED",
        "FULLY_CONNECTED RESHAPE TRANSPOSE_CONV RESHAPE FULLY_CONNECTED SOFTMAX",
        "LESS ADD SELECT GATHER RESHAPE CONV_2D DEQUANTIZE RESHAPE FULLY_CONNECTED",
        "FULLY_CONNECTED RESHAPE QUANTIZE TRANSPOSE_CONV RESHAPE FULLY_CONNECTED SOFTMAX DEQUANTIZE",
    ),
    "superres": (
        "SUB MUL CONV_2D CONV_2D CONCATENATION",
        "STRIDED_SLICE CONV_2D TRANSPOSE_CONV STRIDED_SLICE RESIZE_BILINEAR ADD MUL ADD",
        "SUB MUL QUANTIZE CONV_2D CONV_2D DEQUANTIZE CONCATENATION",
        "STRIDED_SLICE QUANTIZE CONV_2D TRANSPOSE_CONV STRIDED_SLICE RESIZE_BILINEAR DEQUANTIZE ADD MUL ADD",
    ),
}  # fmt: skip
every_preset = pytest.mark.parametrize("preset", GRAPHS)


def shape_of(preset: str) -> tuple[int, ...]:
    shape, _, options, *_ = PRESETS[preset]
    return tuple(options.get("input_shape", shape))


def given(preset: str) -> Array:
    truth, generator = reference(preset), np.random.default_rng(0)
    if preset == "text":
        return generator.integers(0, 300, (4, *shape_of(preset))).astype(truth.given.dtype)
    return np.asarray(truth.normalization.invert(generator.normal(size=(4, *shape_of(preset)))), np.float32)


def export(truth: Reference, values: Array, precision: str, exporter: TfliteExporter, **options: Any) -> bytes:
    options = {"calibration": Calibration(lambda: iter([values])), **options}
    request = ExportRequest("m", precision, sample_shape=values.shape[1:], quantization=QuantizationOptions(**options))
    return exporter.export(truth, request).files[f"tflite/model.{precision}.tflite"]


@cache
def exporter_of(preset: str) -> TfliteExporter:
    """One for all precisions: it keeps the float graph."""
    return TfliteExporter()


@cache
def exported(preset: str, kind: str) -> bytes:
    return export(reference(preset), given(preset), kind, exporter_of(preset))


def operators(data: bytes, key: str) -> str:
    model = read(data)
    graph = next(graph for graph in model.subgraphs if graph.name == key.encode())
    return " ".join(operator_name(model, operator) for operator in graph.operators)


def run(data: bytes, key: str, values: Array) -> Array:
    """The first output for each sample."""
    interpreter = Interpreter(model_content=data, num_threads=1)
    runner = interpreter.get_signature_runner(key)
    (name,) = runner.get_input_details()
    rows = []
    for value in values:
        interpreter.reset_all_variables()
        outputs = runner(**{name: value[np.newaxis]})
        rows.append(outputs["latent"] if "latent" in outputs else outputs["reconstruction"])
    return np.concatenate(rows)


@every_preset
def test_a_preset_is_made_of_these_operations(preset: str) -> None:
    found = [operators(exported(preset, kind), key) for kind in ("float32", "int8") for key in ("encode", "decode")]
    assert found == list(GRAPHS[preset])


@every_preset
def test_and_computes_what_keras_computes(preset: str) -> None:
    values = given(preset)[:2]
    expected = reference(preset).compute("autoencoder", values)
    met = run(exported(preset, "float32"), "reconstruct", values)
    assert np.abs(met - expected).max() <= 1e-5 * max(expected.std(), 1e-3) + 4 * 2.0**-23 * np.abs(expected).max()


@pytest.mark.parametrize("preset", ["conv1d", "conv2d", "conv2d-residual"])
def test_a_convolutional_preset_runs_on_a_microcontroller(preset: str) -> None:
    data = export(reference(preset), given(preset), "int8", exporter_of(preset), integer_io=True)
    assert list(obstacles(data)) == []


def around(layer: Any, one_dimensional: bool = False) -> list[Any]:
    kind = layers.Conv1D if one_dimensional else layers.Conv2D
    return [kind(4, 3, padding="same"), layer, kind(3, 3, padding="same")]


# layer → shape of a sample, layers, operations
REPEATS: dict[str, tuple[tuple[int, ...], Any, str]] = {
    "pixels": ((8, 8, 3), lambda: around(layers.UpSampling2D(2)), "CONV_2D RESIZE_NEAREST_NEIGHBOR CONV_2D"),
    "pixels, unevenly": (
        (5, 7, 3), lambda: around(layers.UpSampling2D((3, 11))), "CONV_2D RESIZE_NEAREST_NEIGHBOR CONV_2D",
    ),
    "pixels between which is drawn a line": (
        (8, 8, 3), lambda: around(layers.UpSampling2D(2, interpolation="bilinear")), "CONV_2D RESIZE_BILINEAR CONV_2D",
    ),
    "steps": (
        (16, 3), lambda: around(layers.UpSampling1D(3), one_dimensional=True),
        "RESHAPE CONV_2D RESIZE_NEAREST_NEIGHBOR CONV_2D RESHAPE",
    ),
    "steps alone": ((16, 3), lambda: [layers.UpSampling1D(2)], "RESHAPE RESIZE_NEAREST_NEIGHBOR RESHAPE"),
}  # fmt: skip


@pytest.mark.parametrize("name", REPEATS)
def test_what_is_repeated_is_one_operation_at_every_precision(name: str) -> None:
    shape, block, expected = REPEATS[name]
    truth, exporter = compose(shape, block(), None), TfliteExporter()
    values = sample(truth, 8)
    exact = export(truth, values, "float32", exporter)
    assert operators(exact, "encode") == expected
    wanted = truth.compute("encoder", values)
    np.testing.assert_allclose(run(exact, "encode", values), wanted, atol=2e-6)
    whole = export(truth, values, "int8", exporter, integer_io=len(block()) > 1)
    if len(block()) > 1:  # a layer that only moves values has nothing to make integers for
        assert operators(whole, "encode") == expected
        assert list(obstacles(whole)) == []


def test_a_repeat_that_rounding_would_get_wrong_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(repeats_exactly(size, times) for size in (1, 2, 7, 100, 224) for times in (1, 2, 3, 7, 10))
    monkeypatch.setattr("aetool_exporters.tflite.tracing.repeats_exactly", lambda size, times: False)
    truth = compose((8, 8, 3), around(layers.UpSampling2D(2)), None)
    values = sample(truth, 2)
    data = export(truth, values, "float32", TfliteExporter())
    assert "RESIZE" not in operators(data, "encode")
    np.testing.assert_allclose(run(data, "encode", values), truth.compute("encoder", values), atol=2e-6)


def test_layers_are_left_as_they_were() -> None:
    truth = compose((8, 8, 3), around(layers.UpSampling2D(2)), None)
    export(truth, sample(truth, 2), "float32", TfliteExporter())
    assert not any("call" in vars(layer) for model in truth.models for layer in model._flatten_layers())
