"""Recurrent layers in ONNX: one node for each, one product for a dense layer over time, never a loop."""

from __future__ import annotations

from collections import Counter
from functools import cache
from hashlib import sha256
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from keras import layers
from tests.exporters.keras_models import compose, sample

from aetool_exporters.onnx import OnnxExporter
from aetool_exporters.onnx.tracing import onnx_layers
from aetool_exporters.reference import Reference
from aetool_exporters.request import ExportRequest
from aetool_runtime.specs import Normalization

STEPS, CHANNELS, UNITS = 7, 3, 5


def gru(**options: Any) -> Any:
    return layers.GRU(UNITS, **options)


def lstm(**options: Any) -> Any:
    return layers.LSTM(UNITS, **options)


def both(merge: str, **options: Any) -> Any:
    return layers.Bidirectional(gru(**options), merge_mode=merge)


class Nested(layers.Layer):
    """A custom layer that holds a GRU."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.inner = gru()

    def call(self, tensor: Any) -> Any:
        return self.inner(tensor) * 2


def masked(*recurrent: Any) -> list[Any]:
    """The samples' first three steps, and every fourth, do not count."""
    return [Holes(), layers.Masking(), *recurrent]


class Holes(layers.Layer):
    def call(self, tensor: Any) -> Any:
        steps = np.arange(STEPS)
        return tensor * ((steps > 2) & (steps % 4 != 0)).astype(np.float32)[:, None]


# encoder → how many nodes it becomes
CASES: dict[str, tuple[list[Any], int]] = {
    "last state": ([gru()], 1),
    "all steps": ([gru(return_sequences=True)], 1),
    "stacked": ([gru(return_sequences=True), gru()], 2),
    "backwards": ([gru(go_backwards=True)], 1),
    "backwards, all steps": ([gru(go_backwards=True, return_sequences=True)], 1),
    "reset before the kernel": ([gru(reset_after=False)], 1),
    "without bias": ([gru(use_bias=False)], 1),
    "relu": ([gru(activation="relu")], 1),
    "dropout": ([gru(dropout=0.5, recurrent_dropout=0.5)], 1),
    "a cell": ([layers.RNN(layers.GRUCell(UNITS))], 1),
    "in a custom layer": ([Nested()], 1),
    "in a nested model": ([keras.Sequential([gru()])], 1),
    "bidirectional": ([both("concat")], 1),
    "bidirectional, all steps": ([both("concat", return_sequences=True)], 1),
    "bidirectional sum": ([both("sum", return_sequences=True)], 1),
    "bidirectional product": ([both("mul")], 1),
    "bidirectional average": ([both("ave", return_sequences=True)], 1),
    "bidirectional, reset before": ([both("concat", reset_after=False)], 1),
    "two unlike directions": (
        [layers.Bidirectional(gru(), backward_layer=layers.GRU(UNITS + 1, go_backwards=True))],
        2,
    ),
    "masked": (masked(gru()), 1),
    "masked, all steps": (masked(gru(return_sequences=True)), 1),
    "masked, backwards": (masked(gru(return_sequences=True, go_backwards=True)), 1),
    "masked, reset before the kernel": (masked(gru(reset_after=False)), 1),
    "masked, bidirectional": (masked(both("concat", return_sequences=True)), 1),
    "LSTM": ([lstm()], 1),
    "LSTM, all steps": ([lstm(return_sequences=True)], 1),
    "LSTM backwards": ([lstm(go_backwards=True, return_sequences=True)], 1),
    "LSTM without bias": ([lstm(use_bias=False)], 1),
    "LSTM, relu": ([lstm(activation="relu")], 1),
    "LSTM bidirectional": ([layers.Bidirectional(lstm())], 1),
    "LSTM bidirectional, all steps": ([layers.Bidirectional(lstm(return_sequences=True), merge_mode="sum")], 1),
}
every_case = pytest.mark.parametrize("case", CASES)


def export(reference: Reference) -> bytes:
    return OnnxExporter().export(reference, ExportRequest("m")).files["onnx/encoder.float32.onnx"]


@cache
def exported(case: str) -> tuple[Reference, bytes]:
    reference = compose((STEPS, CHANNELS), CASES[case][0], None)
    return reference, export(reference)


def operators(data: bytes) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load_from_string(data).graph.node)


def error(reference: Reference, data: bytes) -> float:
    worst = 0.0
    for batch in (1, 4):
        given = sample(reference, batch, seed=batch)
        expected = reference.compute("encoder", given)
        (met,) = onnxruntime.InferenceSession(data).run(None, {"input": given})
        assert met.shape == expected.shape
        worst = max(worst, float(np.abs(met - expected).max()))
    return worst


@every_case
def test_a_layer_becomes_one_node_that_computes_the_same(case: str) -> None:
    reference, data = exported(case)
    counts = operators(data)
    assert (counts["LSTM" if "LSTM" in case else "GRU"], counts["Loop"]) == (CASES[case][1], 0)
    assert error(reference, data) <= 1e-6


def test_free_time() -> None:
    reference = compose((None, CHANNELS), [both("concat", return_sequences=True), gru()], None)
    data = export(reference)
    for steps in (1, 9):
        given = np.random.default_rng(0).normal(size=(2, steps, CHANNELS)).astype(np.float32)
        (met,) = onnxruntime.InferenceSession(data).run(None, {"input": given})
        np.testing.assert_allclose(met, reference.compute("encoder", given), atol=1e-6)


@pytest.mark.parametrize("kind", [layers.GRU, layers.LSTM])
def test_an_initial_state(kind: type[Any]) -> None:
    given = keras.Input((STEPS, CHANNELS))
    _, *states = kind(UNITS, return_state=True)(given)
    encoded = kind(UNITS)(given, initial_state=states)
    data = export(reference := Reference(keras.Model(given, encoded), None, Normalization()))
    assert operators(data)[kind.__name__] == 2
    assert error(reference, data) <= 1e-6


@pytest.mark.parametrize(
    "encoder",
    [
        masked(lstm()),  # the gate of its output is computed anew at each step
        [gru(recurrent_activation="hard_sigmoid")],
    ],
    ids=["mask", "activation"],
)
def test_what_a_node_cannot_do_stays_as_keras_wrote_it(encoder: list[Any]) -> None:
    reference = compose((STEPS, CHANNELS), encoder, None)
    data = export(reference)
    assert operators(data)["GRU"] == operators(data)["LSTM"] == 0
    assert error(reference, data) <= 1e-6


OVER_TIME: dict[str, tuple[tuple[int | None, ...], Any]] = {
    "convolution": ((STEPS, 6, 6, 2), layers.Conv2D(3, 3)),
    "free time": ((None, 6, 6, 2), layers.Conv2D(3, 3)),
    "normalization": ((STEPS, 6), layers.BatchNormalization()),
    "a model": ((STEPS, 6), keras.Sequential([layers.Dense(4, "relu"), layers.Dense(2)])),
    "flatten": ((STEPS, 3, 2), layers.Flatten()),
}


@pytest.mark.parametrize("case", OVER_TIME)
def test_other_layers_over_time_are_one_too(case: str) -> None:
    shape, inner = OVER_TIME[case]
    reference = compose(shape, [layers.TimeDistributed(inner)], None)
    data = export(reference)
    counts = operators(data)
    assert counts["Conv"] == (1 if "Conv2D" in type(inner).__name__ else 0)
    assert counts["Loop"] == counts["Split"] == 0
    given = np.random.default_rng(0).normal(size=(2, STEPS, *shape[1:])).astype(np.float32)
    (met,) = onnxruntime.InferenceSession(data).run(None, {"input": given})
    np.testing.assert_allclose(met, reference.compute("encoder", given), atol=1e-6)


@pytest.mark.parametrize("steps", [STEPS, None])
def test_a_dense_layer_over_time_is_one_product(steps: int | None) -> None:
    reference = compose((steps, CHANNELS), [layers.TimeDistributed(layers.Dense(2, "tanh"))], None)
    data = export(reference)
    assert operators(data)["MatMul"] == 1
    given = np.random.default_rng(0).normal(size=(2, STEPS, CHANNELS)).astype(np.float32)
    (met,) = onnxruntime.InferenceSession(data).run(None, {"input": given})
    np.testing.assert_allclose(met, reference.compute("encoder", given), atol=1e-6)


@pytest.mark.parametrize("case", ["stacked", "bidirectional, all steps", "backwards"])
def test_the_same_bytes_again(case: str) -> None:
    reference, data = exported(case)
    assert sha256(export(reference)).hexdigest() == sha256(data).hexdigest()


def test_the_models_are_left_as_they_were() -> None:
    reference, _ = exported("in a custom layer")

    def state() -> dict[int, dict[str, Any]]:
        return {id(layer): dict(vars(layer)) for layer in reference.encoder._flatten_layers()}

    def interrupted() -> None:
        with onnx_layers(reference):
            assert state() != before
            raise KeyboardInterrupt

    before = state()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert state() == before
