"""Variational encoders: what draws a sample is replaced by the mean, by structure, and told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from aetool_exporters.foreign.keras_file import read_keras
from aetool_exporters.foreign.opening import open_model
from aetool_runtime.errors import ModelError

from .old_files import as_keras_2, computed, scrambled, write_archive, write_h5

pytestmark = pytest.mark.filterwarnings("ignore")


class Sampling(layers.Layer):
    """As in every tutorial; not registered, so that no file can name it."""

    def call(self, tensors: Any) -> Any:
        mean, log_variance = tensors
        return mean + ops.exp(log_variance / 2) * keras.random.normal(ops.shape(mean))


class Twisted(layers.Layer):
    """Called with two arguments."""

    def call(self, mean: Any, log_variance: Any) -> Any:
        return mean + ops.exp(log_variance / 2) * keras.random.normal(ops.shape(mean))


class Weighted(layers.Layer):
    """Reads two tensors, and has weights: no sampling."""

    def build(self, shapes: Any) -> None:
        self.kernel = self.add_weight(shape=(3,))

    def call(self, tensors: Any) -> Any:
        return tensors[0] * self.kernel + tensors[1]


def draw(tensors: Any) -> Any:
    return tensors[0] + ops.exp(tensors[1] / 2) * keras.random.normal(ops.shape(tensors[0]))


def encoder_of(sampler: Callable[[Any, Any], Any], names: tuple[str, str] = ("mean", "logvar")) -> keras.Model:
    given = keras.Input((6,))
    hidden = layers.Dense(5, "tanh", name="hidden")(given)
    one, other = layers.Dense(3, name=names[0])(hidden), layers.Dense(3, name=names[1])(hidden)
    return scrambled(keras.Model(given, [one, other, sampler(one, other)], name="encoder"))


def autoencoder_of(encoder: keras.Model) -> keras.Model:
    code = keras.Input((3,))
    decoder = keras.Model(code, layers.Dense(6, name="out")(code), name="decoder")
    given = keras.Input((6,))
    return scrambled(keras.Model(given, decoder(encoder(given)[2])))


def head(model: keras.Model, name: str) -> keras.Model:
    return keras.Model(model.inputs[0], model.get_layer(name).output)


SAMPLERS: dict[str, Callable[[Any, Any], Any]] = {
    "a class of their own": lambda mean, logvar: Sampling()([mean, logvar]),
    "two arguments": lambda mean, logvar: Twisted()(mean, logvar),
    "a Lambda of a named function": lambda mean, logvar: layers.Lambda(draw, output_shape=(3,))([mean, logvar]),
    "a Lambda with code": lambda mean, logvar: layers.Lambda(lambda two: two[0] + two[1], output_shape=(3,))(
        [mean, logvar]
    ),
}


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS.keys())
def test_an_encoder_returns_mean_and_log_variance(tmp_path: Path, sampler: Callable[[Any, Any], Any]) -> None:
    model = encoder_of(sampler)
    halves = open_model(write_archive(tmp_path / "model.keras", model))
    assert halves.decoder is None
    assert [output.shape for output in halves.encoder.outputs] == [(None, 3), (None, 3)]
    np.testing.assert_allclose(computed(halves.encoder), computed(head(model, "mean")), atol=1e-6)
    given = np.ones((2, 6), np.float32)
    np.testing.assert_allclose(halves.encoder(given)[1], head(model, "logvar")(given), atol=1e-6)
    assert any("draws a sample from 'mean' and 'logvar'; the mean, 'mean'" in notice for notice in halves.notices)


@pytest.mark.parametrize("kind", ["h5", "keras"])
def test_an_autoencoder_is_cut_at_the_sample(tmp_path: Path, kind: str) -> None:
    encoder = encoder_of(SAMPLERS["a class of their own"])
    model = autoencoder_of(encoder)
    path = tmp_path / f"model.{kind}"
    halves = open_model(write_h5(path, model, as_keras_2(model)) if kind == "h5" else write_archive(path, model))
    assert [output.shape for output in halves.encoder.outputs] == [(None, 3), (None, 3)]
    decoder = model.get_layer("decoder")
    given = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    np.testing.assert_allclose(halves.encoder(given)[0], encoder(given)[0], atol=1e-6)
    np.testing.assert_allclose(halves.decoder(encoder(given)[0]), decoder(encoder(given)[0]), atol=1e-6)


def test_names_say_where_the_mean_comes_second(tmp_path: Path) -> None:
    model = encoder_of(SAMPLERS["a class of their own"], names=("z_log_sigma", "z_mu"))
    halves = open_model(write_archive(tmp_path / "model.keras", model))
    np.testing.assert_allclose(computed(halves.encoder), computed(head(model, "z_mu")), atol=1e-6)


def test_structure_is_enough_without_names(tmp_path: Path) -> None:
    class Blend(layers.Layer):
        def call(self, tensors: Any) -> Any:
            return tensors[0] + tensors[1]

    model = encoder_of(lambda one, other: Blend()([one, other]), names=("dense_a", "dense_b"))
    halves = open_model(write_archive(tmp_path / "model.keras", model))
    np.testing.assert_allclose(computed(halves.encoder), computed(head(model, "dense_a")), atol=1e-6)


def unlike(one: Any, other: Any) -> Any:
    class Gate(layers.Layer):
        def call(self, tensors: Any) -> Any:
            return tensors[0] * tensors[1]

    return Gate()([layers.Dense(3, name="a")(one), layers.Activation("relu", name="b")(other)])


@pytest.mark.parametrize(("sampler", "name"), [
    (lambda one, other: Weighted(name="weighted")([one, other]), "weighted"),
    (unlike, "gate"),
])  # fmt: skip
def test_what_is_no_sampling_is_refused(tmp_path: Path, sampler: Callable[[Any, Any], Any], name: str) -> None:
    model = encoder_of(sampler, names=("one", "two"))
    with pytest.raises(ModelError, match=f"layer '{name}") as refusal:
        read_keras(write_archive(tmp_path / "model.keras", model))
    assert f"--replace-layer {name}" in refusal.value.hint


@pytest.mark.parametrize("function", ["random.normal", "random.uniform"])
def test_random_functions_of_tensorflow_become_their_mean(tmp_path: Path, function: str) -> None:
    """mean + exp(log-variance) · noise, written with plain functions, as TensorFlow 2.4 to 2.15 keep it."""
    model = encoder_of(lambda mean, logvar: layers.Add(name="z")([mean, logvar]))
    config = as_keras_2(model)
    entries = config["config"]["layers"]
    entries[-1:] = [
        operation("tf.shape", "compat.v1.shape", [["mean", 0, 0, {}]]),
        operation("tf.random", function, [["tf.shape", 0, 0, {}]]),
        operation("tf.exp", "math.exp", [["logvar", 0, 0, {}]]),
        operation("tf.mul", "math.multiply", [["tf.exp", 0, 0, {"y": ["tf.random", 0, 0], "name": None}]]),
        operation("tf.add", "__operators__.add", [["mean", 0, 0, {"b": ["tf.mul", 0, 0]}]]),
    ]
    config["config"]["output_layers"] = [["tf.add", 0, 0]]
    entries[-1]["inbound_nodes"] = [[["mean", 0, 0, {"b": ["tf.mul", 0, 0]}]]]
    found = read_keras(write_h5(tmp_path / "model.h5", model, config))
    noise = 0.5 if "uniform" in function else 0.0
    given = np.ones((2, 6), np.float32)
    mean, logvar, _ = model(given)
    np.testing.assert_allclose(found.models["model"](given), mean + np.exp(logvar) * noise, atol=1e-6)
    assert any("draws random numbers" in notice for notice in found.notices)


def test_single_operations_of_tensorflow(tmp_path: Path) -> None:
    """The same, as TensorFlow 2.0 to 2.3 keep it: one layer for each operation, its constants beside it."""
    model = encoder_of(lambda mean, logvar: layers.Add(name="z")([mean, logvar]))
    config = as_keras_2(model)
    config["config"]["layers"][-1:] = [
        single("shape", "Shape", [["mean", 0, 0, {}]], out_type="DT_INT32"),
        single("noise", "RandomStandardNormal", [["shape", 0, 0, {}]], kind="dtype", T="DT_INT32"),
        single("half", "Mul", [["logvar", 0, 0, {}]], constants={"1": 0.5}),
        single("exp", "Exp", [["half", 0, 0, {}]]),
        single("product", "Mul", [["exp", 0, 0, {}], ["noise", 0, 0, {}]]),
        single("two", "AddV2", [["mean", 0, 0, {}]], constants={"0": 2.0}),
        single("sum", "AddV2", [["two", 0, 0, {}], ["product", 0, 0, {}]]),
    ]
    config["config"]["output_layers"] = [["sum", 0, 0]]
    found = read_keras(write_h5(tmp_path / "model.h5", model, config, "2.2.4-tf"))
    given = np.ones((2, 6), np.float32)
    np.testing.assert_allclose(found.models["model"](given), model(given)[0] + 2.0, atol=1e-6)
    assert sum("draws random numbers" in notice for notice in found.notices) == 1


def single(
    name: str, op: str, node: list[Any], constants: dict[str, Any] | None = None, kind: str = "T", **types: str
) -> dict[str, Any]:
    inputs = ["a"] * (len(node) + len(constants or {}))
    attributes = {key: {"type": value} for key, value in {kind: "DT_FLOAT", **types}.items()}
    definition = {"name": name, "op": op, "input": inputs, "attr": attributes}
    config = {"name": name, "trainable": True, "dtype": "float32", "node_def": definition, "constants": constants or {}}
    return {"class_name": "TensorFlowOpLayer", "name": name, "config": config, "inbound_nodes": [node]}


@pytest.mark.parametrize(("kind", "called"), [("TFOpLambda", "io.read_file"), ("TensorFlowOpLayer", "ReadFile")])
def test_functions_that_could_do_more_than_compute_are_refused(tmp_path: Path, kind: str, called: str) -> None:
    model = encoder_of(lambda mean, logvar: layers.Add(name="z")([mean, logvar]))
    config = as_keras_2(model)
    node = [["mean", 0, 0, {}]]
    entry = operation("own", called, node) if kind == "TFOpLambda" else single("own", called, node)
    config["config"]["layers"][-1] = entry
    config["config"]["output_layers"] = [["own", 0, 0]]
    with pytest.raises(ModelError, match=f"'own' calls .*{called}") as refusal:
        read_keras(write_h5(tmp_path / "model.h5", model, config))
    assert "--replace-layer own=" in refusal.value.hint


def operation(name: str, function: str, node: list[Any]) -> dict[str, Any]:
    config = {"name": name, "trainable": True, "dtype": "float32", "function": function}
    return {"class_name": "TFOpLambda", "name": name, "config": config, "inbound_nodes": [node]}


class Whole(keras.Model):
    """A model class that writes its halves into its configuration, and is not known where it is read."""

    def __init__(self, encoder: keras.Model, decoder: keras.Model, **others: Any) -> None:
        super().__init__(**others)
        self.encoder, self.decoder = encoder, decoder

    def call(self, given: Any) -> Any:
        return self.decoder(self.encoder(given)[2])

    def get_config(self) -> dict[str, Any]:
        halves = {"encoder": self.encoder, "decoder": self.decoder}
        return {**super().get_config(), **{k: keras.saving.serialize_keras_object(v) for k, v in halves.items()}}


def test_a_class_without_its_code_is_taken_apart(tmp_path: Path) -> None:
    encoder = encoder_of(SAMPLERS["a class of their own"])
    code = keras.Input((3,))
    decoder = scrambled(keras.Model(code, layers.Dense(6)(code), name="decoder"))
    model = Whole(encoder, decoder)
    model(np.ones((1, 6), np.float32))
    halves = open_model(write_archive(tmp_path / "model.keras", model))
    np.testing.assert_allclose(computed(halves.encoder), computed(head(encoder, "mean")), atol=1e-6)
    np.testing.assert_allclose(computed(halves.decoder), computed(decoder), atol=1e-6)


def test_a_class_that_keeps_its_layers_to_itself_is_refused(tmp_path: Path) -> None:
    class Secret(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(3)

        def call(self, given: Any) -> Any:
            return self.dense(given)

        def get_config(self) -> dict[str, Any]:
            return {"width": 3}

    model = Secret()
    model(np.ones((1, 3), np.float32))
    with pytest.raises(ModelError, match="'Secret'") as refusal:
        open_model(write_archive(tmp_path / "model.keras", model))
    assert "--custom module:Secret" in refusal.value.hint
