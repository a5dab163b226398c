"""TFLite files of large models: kernels that the converter never saw, and files that are written piece by piece."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers
from tests.exporters.keras_models import Block, compose, sample

from aetool_exporters.cases import Samples, make_suite
from aetool_exporters.judgement import Judge, Verdict
from aetool_exporters.onnx import OnnxExporter
from aetool_exporters.reference import Reference
from aetool_exporters.request import Calibration, Exported, ExportRequest, QuantizationOptions
from aetool_exporters.tflite import TfliteExporter, conversion, large_kernels
from aetool_exporters.tflite.editing import operator_name
from aetool_exporters.tflite.flatbuffer import read
from aetool_exporters.tflite.large_data import Transposed, chunks, digest, size
from aetool_runtime.specs import Array, Normalization

PATH = "tflite/model.float32.tflite"
RAW = Normalization()
dense = layers.Dense


def same_weights(units: int) -> Block:
    tied = dense(units, "relu")
    return [tied, tied, dense(4)]


# name → shape of a sample, encoder, decoder; nothing in them is folded into a large kernel
PLAIN: dict[str, tuple[tuple[int, ...], Any, Any]] = {
    "with and without bias": (
        (600,),
        lambda: [dense(500, "relu"), dense(500, "relu6", use_bias=False), dense(8)],
        lambda: [dense(500, "tanh", use_bias=False), dense(600, "gelu")],
    ),
    "between convolutions": (
        (20, 20, 2),
        lambda: [
            layers.DepthwiseConv2D(3, padding="same"), layers.Conv2D(4, 3, padding="same"),
            layers.BatchNormalization(), layers.ReLU(), layers.Flatten(), dense(200, "relu"), dense(4),
        ],
        lambda: [dense(1600), layers.Reshape((20, 20, 4)), layers.Conv2DTranspose(2, 3, padding="same")],
    ),
    "beside a loop": (
        (4, 600),
        lambda: [dense(500), layers.LSTM(4)],
        lambda: [layers.RepeatVector(4), layers.LSTM(500, return_sequences=True), dense(600)],
    ),
    "tied": ((520,), lambda: same_weights(520), lambda: None),
}  # fmt: skip


@pytest.fixture(autouse=True)
def small_ones_too(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """The other way for models of a MiB; returns whether each conversion by it came out as it should."""
    monkeypatch.setattr(large_kernels, "THRESHOLD", 1 << 20)
    taken: list[bool] = []

    def put_in(*arguments: Any, **options: Any) -> bool:
        taken.append(large_kernels.put_in(*arguments, **options))
        return taken[-1]

    monkeypatch.setattr(conversion, "put_in", put_in)
    return taken


def files(truth: Reference, monkeypatch: pytest.MonkeyPatch) -> tuple[bytes, bytes]:
    """By the one way, and by the other."""
    request = ExportRequest("m")
    ours = TfliteExporter().export(truth, request).files[PATH]
    with monkeypatch.context() as patch:
        patch.setattr(large_kernels, "THRESHOLD", 1 << 40)
        return ours, TfliteExporter().export(truth, request).files[PATH]


def operators(data: bytes) -> dict[str, list[str]]:
    model = read(data)
    return {graph.name.decode(): [operator_name(model, o) for o in graph.operators] for graph in model.subgraphs}


def constants(data: bytes) -> set[bytes]:
    return {np.asarray(buffer.data).tobytes() for buffer in read(data).buffers if size(buffer.data) >= 1000}


def run(data: bytes, key: str, given: Array) -> Array:
    interpreter = Interpreter(model_content=data, num_threads=1)
    runner = interpreter.get_signature_runner(key)
    name = "latent" if key == "decode" else "input"
    return runner(**{name: given[:1]})["latent" if key == "encode" else "reconstruction"]


@pytest.mark.parametrize("name", PLAIN)
def test_the_same_graph_to_the_bit(name: str, small_ones_too: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    shape, encoder, decoder = PLAIN[name]
    truth = compose(shape, encoder(), decoder())
    ours, usual = files(truth, monkeypatch)
    assert small_ones_too == [True]
    assert operators(ours) == operators(usual)
    assert constants(ours) == constants(usual)
    given = sample(truth, 1)
    latent = run(usual, "encode", given)
    for key in operators(usual).keys() & {"encode", "decode", "reconstruct"}:
        value = latent if key == "decode" else given
        np.testing.assert_array_equal(run(ours, key, value), run(usual, key, value))


FOLDED: dict[str, tuple[Block, Normalization]] = {
    "batch normalization": ([dense(500), layers.BatchNormalization(), layers.ReLU(), dense(4)], RAW),
    "the data's own normalization": ([dense(500, "relu"), dense(4)], Normalization((3.0,), (2.0,))),
}


@pytest.mark.parametrize("name", FOLDED)
def test_what_would_be_folded_stays_beside(name: str, small_ones_too: list[bool]) -> None:
    encoder, normalization = FOLDED[name]
    truth = compose((600,), encoder, None, normalization=normalization)
    ours = TfliteExporter().export(truth, ExportRequest("m")).files[PATH]
    assert small_ones_too == [True]
    assert "MUL" in operators(ours)["encode"]
    given = sample(truth, 1)
    np.testing.assert_allclose(run(ours, "encode", given), truth.compute("encoder", given), atol=2e-5)


def test_a_sum_that_swallowed_another_is_converted_as_ever(
    small_ones_too: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = compose((600,), [dense(500), layers.Rescaling(1.0, offset=0.5), layers.ReLU(), dense(4)], None)
    ours, usual = files(truth, monkeypatch)
    assert small_ones_too == [False]
    assert ours == usual


def test_integers_are_made_of_folded_kernels(small_ones_too: list[bool]) -> None:
    blocks = {
        True: [dense(500, "relu"), dense(4)],
        False: [dense(500), layers.BatchNormalization(), layers.ReLU(), dense(4)],
    }
    for fits, block in blocks.items():
        small_ones_too.clear()
        truth = compose((600,), block, None)
        options = QuantizationOptions(Calibration(lambda truth=truth: iter([sample(truth, 8)])))
        data = TfliteExporter().export(truth, ExportRequest("m", "int8", quantization=options))
        assert small_ones_too == [fits]
        graph = operators(data.files["tflite/model.int8.tflite"])["encode"]
        assert graph == ["QUANTIZE", "FULLY_CONNECTED", "FULLY_CONNECTED", "DEQUANTIZE"]


@cache
def exported() -> tuple[Reference, Exported]:
    truth = compose((600,), [dense(500, "relu"), dense(8)], [dense(500), dense(600)])
    return truth, TfliteExporter().export(truth, ExportRequest("m"))


def test_a_file_with_large_weights_is_made_anew_at_each_look_and_the_same() -> None:
    _, result = exported()
    assert result.files[PATH] == result.files[PATH]
    assert result.files[PATH] is not result.files[PATH]


def test_large_weights_are_aligned_and_behind_all_else() -> None:
    _, result = exported()
    data = result.files[PATH]
    large = [bytes(buffer.data) for buffer in read(data).buffers if size(buffer.data) >= 1 << 20]
    places = [data.index(values) for values in large]
    assert len(large) == 2
    assert all(place % 16 == 0 for place in places)
    assert min(places) < 100_000
    assert max(places) + len(large[-1]) == len(data)


def test_an_artifact_is_tried_without_the_others() -> None:
    truth, result = exported()
    given = sample(truth, 4)
    for artifact in result.artifacts:
        data = result.tried(artifact)(PATH)
        counts = {name: len(found) for name, found in operators(data).items()}
        assert [name for name, count in counts.items() if count] == [artifact.signature]
        assert len(data) == len(result.files[PATH])
    suite = make_suite(truth, Samples.of(given))
    verdict = Verdict()
    Judge(suite, suite).judge(result, verdict)
    assert [len(verdict.passed), len(verdict.failed), len(verdict.checks)] == [1, 0, 3]


def test_a_small_file_is_tried_as_it_is() -> None:
    truth = compose((6,), [dense(4)], [dense(6)])
    for exporter in (TfliteExporter(), OnnxExporter()):
        result = exporter.export(truth, ExportRequest("m"))
        assert all(result.tried(a)(a.path) == result.files[a.path] for a in result.artifacts)


def test_transposed_data_are_those_of_the_transposed_matrix() -> None:
    matrix = np.random.default_rng(0).normal(size=(1300, 1700)).astype(np.float32)
    turned = Transposed(matrix)
    assert len(list(chunks(turned))) > 1
    assert b"".join(chunks(turned)) == matrix.T.tobytes()
    assert size(turned) == matrix.nbytes
    assert digest(turned) == digest(np.frombuffer(matrix.T.tobytes(), np.uint8))
