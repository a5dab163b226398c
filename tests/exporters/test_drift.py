"""Artifacts broken on purpose: the walk must name the layer and the cause, and find nothing in those that are sound."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from aetool_exporters import Reference
from aetool_exporters.drift import DriftReport, find_drift
from aetool_runtime.errors import ModelError, UsageError
from aetool_runtime.specs import Array

from .drift_graphs import Edit, bundle_of, drop, encoder, graph_of, samples, scale, set_constant


@pytest.fixture(scope="module")
def reference() -> Reference:
    return encoder()


def walk(reference: Reference, folder: Path, precision: str, graph: onnx.ModelProto) -> DriftReport:
    bundle = bundle_of(reference, {precision: graph}, folder)
    return find_drift(bundle, reference, bundle.manifest.artifacts[0], samples())


def broken(reference: Reference, folder: Path, precision: str, *edits: Edit, per_channel: bool = True) -> DriftReport:
    graph = graph_of(reference, quantized=precision == "int8", per_channel=per_channel)
    for edit in edits:
        edit(graph)
    return walk(reference, folder, precision, graph)


def one(place: tuple[int, ...], value: float) -> object:
    def change(values: Array) -> Array:
        values[place] = value
        return values

    return change


def without_gamma(values: Array) -> Array:
    return values / np.asarray(encoder().encoder.get_layer("norm").gamma).reshape(values.shape)


def without_epsilon(values: Array) -> Array:
    norm = encoder().encoder.get_layer("norm")
    return (np.asarray(norm.gamma) / np.sqrt(np.asarray(norm.moving_variance))).reshape(values.shape)


def shift_without_epsilon(values: Array) -> Array:
    norm = encoder().encoder.get_layer("norm")
    gain = without_epsilon(values).reshape(-1)
    return (np.asarray(norm.beta) - np.asarray(norm.moving_mean) * gain).reshape(values.shape)


def shift_without_gamma(values: Array) -> Array:
    norm = encoder().encoder.get_layer("norm")
    gain = 1 / np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon)
    return (np.asarray(norm.beta) - np.asarray(norm.moving_mean) * gain).reshape(values.shape)


def perm(name: str, order: list[int]) -> Edit:
    def edit(model: onnx.ModelProto) -> None:
        node = next(node for node in model.graph.node if node.name == name)
        node.attribute[0].CopyFrom(onnx.helper.make_attribute("perm", order))

    return edit


# what is broken → (edits, the first layer beyond tolerance, the cause, a word that its sentence has)
FLOAT32: dict[str, tuple[list[Edit], str, str, str]] = {
    "one bias": ([set_constant("second/bias", one((2,), 0.5))], "second", "changed_weights", "bias"),
    "one bias, a little": ([set_constant("second/bias", lambda b: b + 2e-3 * np.eye(4)[1])], "second", "", "bias"),
    "one weight": ([set_constant("latent/kernel", one((7, 3), 2.0))], "latent", "changed_weights", "[7, 3]"),
    "no bias": ([scale("conv/bias", 0)], "conv", "missing_weight", "bias is lost"),
    "kernel, height and width": (
        [set_constant("second/kernel", lambda k: k.swapaxes(2, 3))],
        "second",
        "wrong_layout",
        "axes 0 and 1 of its kernel",
    ),
    "kernel, in and out": (
        [set_constant("second/kernel", lambda k: k.swapaxes(0, 1))],
        "second",
        "wrong_layout",
        "axes 2 and 3 of its kernel",
    ),
    "kernel, mirrored": ([set_constant("conv/kernel", lambda k: k[:, :, ::-1, ::-1])], "conv", "wrong_layout", "mirr"),
    "channels first into the dense layer": ([drop("back")], "latent", "wrong_layout", "flatten is read with the chan"),
    "image on its side": ([perm("first", [0, 3, 2, 1])], "conv", "wrong_layout", "height and width swapped"),
    "gamma": (
        [set_constant("norm/gain", without_gamma), set_constant("norm/shift", shift_without_gamma)],
        "norm",
        "unfolded_batch_norm",
        "gamma is lost",
    ),
    "epsilon": (
        [set_constant("norm/gain", without_epsilon), set_constant("norm/shift", shift_without_epsilon)],
        "norm",
        "unfolded_batch_norm",
        "epsilon is forgotten",
    ),
    "no normalization": ([drop("norm"), drop("scaled")], "relu", "unfolded_batch_norm", "norm is not in the graph"),
    "normalization folded wrong": (
        [set_constant("conv/kernel", lambda k: k * np.array([1, 2, 3, 0.5]).reshape(4, 1, 1, 1)), drop("scaled")],
        "norm",
        "unfolded_batch_norm",
        "norm is folded wrong",
    ),
    "no activation": ([drop("second")], "second", "missing_activation", "second lost its activation"),
    "no activation layer": ([drop("relu")], "second", "missing_layer", "relu is not in the graph"),
    "twice as large": ([scale("latent/kernel", 2), scale("latent/bias", 2)], "latent", "wrong_scale", "2 times"),
    "not a number": ([set_constant("second/kernel", one((0, 0, 0, 0), np.nan))], "second", "not_finite", "not finite"),
    "always the same": ([scale("latent/kernel", 0), scale("latent/bias", 0)], "latent", "collapsed", "whatever"),
}


@pytest.mark.parametrize(("edits", "layer", "cause", "word"), FLOAT32.values(), ids=FLOAT32)
def test_damage_to_float32(
    reference: Reference, tmp_path: Path, edits: list[Edit], layer: str, cause: str, word: str
) -> None:
    report = broken(reference, tmp_path / "b", "float32", *edits)
    assert report.first is not None
    assert (report.first.name, word in report.first.causes[0].what) == (layer, True), report.first
    assert report.first.causes[0].kind == cause or not cause
    assert [row.name for row in report.layers if row.causes] == [layer], "nothing else is suspected"


INT8: dict[str, tuple[list[Edit], str, str]] = {
    "a range that cuts off": ([scale("relu/scale", 0.1)], "relu", "clipped_activation"),
    "a range that is too wide": ([scale("second/scale", 60)], "second", "range_outliers"),
    "an input that is cut off": ([scale("input/scale", 0.1)], "input", "clipped_activation"),
    "saturating weights": (
        [scale("second/kernel/scale", 0.25), set_constant("second/kernel", lambda k: np.clip(4.0 * k, -127, 127))],
        "second",
        "saturating_weights",
    ),
    "weights of another scale": ([scale("latent/kernel/scale", 1.6), scale("latent/bias", 1.6)], "latent", ""),
    "one weight": ([set_constant("latent/kernel", lambda k: np.where(np.eye(*k.shape) > 0, -k, k))], "latent", ""),
    "kernel, mirrored": ([set_constant("second/kernel", lambda k: k[:, :, ::-1, ::-1])], "second", "wrong_layout"),
}


@pytest.mark.parametrize(("edits", "layer", "cause"), INT8.values(), ids=INT8)
def test_damage_to_int8(reference: Reference, tmp_path: Path, edits: list[Edit], layer: str, cause: str) -> None:
    report = broken(reference, tmp_path / "b", "int8", *edits)
    assert report.first is not None
    assert report.first.name == layer, report.first
    assert report.first.causes
    assert cause in {found.kind for found in report.first.causes} or not cause, report.first.causes


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_sound_artifact_is_said_to_be_sound(reference: Reference, tmp_path: Path, precision: str) -> None:
    report = broken(reference, tmp_path / "b", precision)
    assert report.passed, [row for row in report.layers if row.beyond]
    assert [row.causes for row in report.layers if row.causes] == []
    assert min(row.snr for row in report.layers) > (120 if precision == "float32" else 25)


def test_every_layer_has_its_tensor(reference: Reference, tmp_path: Path) -> None:
    rows = broken(reference, tmp_path / "b", "float32").layers
    assert [(row.name, row.tensor, row.layout) for row in rows] == [
        ("conv", "conv", "channels first"),
        ("norm", "norm", "channels first"),
        ("relu", "relu", "channels first"),
        ("second", "second", "channels first"),
        ("latent", "latent", ""),
    ]


def test_layers_behind_the_damage_are_not_blamed(reference: Reference, tmp_path: Path) -> None:
    rows = broken(reference, tmp_path / "b", "float32", scale("conv/bias", -1)).layers
    assert [row.beyond for row in rows] == [True] * 5
    assert [row.name for row in rows if row.own < 100] == ["conv"]


def test_two_damages_are_told_apart(reference: Reference, tmp_path: Path) -> None:
    edits = (scale("conv/bias", 0), set_constant("latent/kernel", one((7, 3), 2.0)))
    report = broken(reference, tmp_path / "b", "float32", *edits)
    told = {row.name: row.causes[0].kind for row in report.layers if row.causes}
    assert told == {"conv": "missing_weight", "latent": "changed_weights"}


@pytest.mark.parametrize("per_channel", [True, False])
def test_an_outlier_channel_is_found_where_it_is_and_not_where_it_shows(tmp_path: Path, per_channel: bool) -> None:
    """Its layer is fine as a whole: the small channels, which it cost, matter to the next layer only."""
    reference = encoder(outlier=150.0)
    report = broken(reference, tmp_path / "b", "int8", per_channel=per_channel)
    told = {row.name: {cause.kind for cause in row.causes} for row in report.layers if row.causes}
    assert report.first is not None
    assert report.first.name == "latent"
    assert "range_outliers" in told["second"]
    assert ("outlier_channel" in told["second"]) == (not per_channel)
    assert "accumulated" in told["latent"]


def test_the_float32_artifact_beside_it_is_shown(reference: Reference, tmp_path: Path) -> None:
    graphs = {"float32": graph_of(reference), "int8": graph_of(reference, quantized=True)}
    bundle = bundle_of(reference, graphs, tmp_path / "b")
    report = find_drift(bundle, reference, bundle.manifest.artifacts[1], samples())
    exact = [row.float32 for row in report.layers if row.float32 is not None]
    assert len(exact) == len(report.layers) - 1  # all but the input
    assert min(exact) > 120


def test_what_is_tolerated_can_be_said(reference: Reference, tmp_path: Path) -> None:
    bundle = bundle_of(reference, {"int8": graph_of(reference, quantized=True)}, tmp_path / "b")
    artifact = bundle.manifest.artifacts[0]
    assert find_drift(bundle, reference, artifact, samples(), tolerance=10.0).passed
    assert find_drift(bundle, reference, artifact, samples(), tolerance=100.0).first is not None


def test_the_keras_model_is_left_as_it_was(reference: Reference, tmp_path: Path) -> None:
    before = [np.asarray(weight) for weight in reference.encoder.weights]
    activation = reference.encoder.get_layer("second").activation
    broken(reference, tmp_path / "b", "float32", drop("second"))
    assert all(np.array_equal(old, new) for old, new in zip(before, reference.encoder.weights, strict=True))
    assert reference.encoder.get_layer("second").activation is activation


def test_an_engine_that_computes_something_else_than_the_graph_says(
    reference: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on processors where sums of 8-bit products saturate: every layer is sound, node by node."""

    class Graph:
        def run(self, array: Array) -> tuple[Array, ...]:
            return (np.minimum(reference.compute("encoder", array), 0.0),)

        def close(self) -> None:
            pass

    class Engine:
        name = "saturating"

        def load(self, *given: object, **settings: object) -> Graph:
            return Graph()

    monkeypatch.setattr("aetool_exporters.drift.walk.available_backends", lambda kind: [Engine()])
    report = broken(reference, tmp_path / "b", "int8")
    assert (report.first, report.passed) == (None, False)
    assert [(note.kind, "saturating returns something else" in note.what) for note in report.notes] == [
        ("engine", True)
    ]


def test_another_model_is_refused(reference: Reference, tmp_path: Path) -> None:
    import keras

    bundle = bundle_of(reference, {"float32": graph_of(reference)}, tmp_path / "b")
    other = Reference(keras.Sequential([keras.Input((5,)), keras.layers.Dense(2)]), None, reference.normalization)
    with pytest.raises(ModelError, match="the model's"):
        find_drift(bundle, other, bundle.manifest.artifacts[0], samples())


def test_a_format_without_layers_is_refused(reference: Reference, tmp_path: Path) -> None:
    bundle = bundle_of(reference, {"float32": graph_of(reference)}, tmp_path / "b")
    artifact = replace(bundle.manifest.artifacts[0], format="other")
    with pytest.raises(UsageError, match="cannot be walked"):
        find_drift(bundle, reference, artifact, samples())
