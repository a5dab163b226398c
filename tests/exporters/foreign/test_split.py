"""Where a model is cut in two, and where it is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from aetool_exporters.foreign.split import split_autoencoder
from aetool_runtime.errors import ModelError


def sequential(*blocks: Any, shape: tuple[int, ...] = (12,)) -> keras.Model:
    return keras.Sequential([keras.Input(shape), *blocks])


def dense() -> keras.Model:
    return sequential(
        layers.Dense(8, "relu", name="down"),
        layers.Dense(3, name="middle"),
        layers.Dense(8, "relu", name="up"),
        layers.Dense(12, name="out"),
    )


def activated() -> keras.Model:
    return sequential(
        layers.Dense(3, name="middle"),
        layers.BatchNormalization(name="norm"),
        layers.ReLU(name="relu"),
        layers.Dropout(0.5, name="drop"),
        layers.Dense(12, name="out"),
    )


def convolutional() -> keras.Model:
    return sequential(
        layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="down"),
        layers.Flatten(name="flat"),
        layers.Dense(6, name="middle"),
        layers.Dense(64, name="widen"),
        layers.Reshape((4, 4, 4), name="unflat"),
        layers.Conv2DTranspose(1, 3, strides=2, padding="same", name="up"),
        shape=(8, 8, 1),
    )


def reshaped() -> keras.Model:
    """The latent is the vector, not the map that the decoder makes of it."""
    return sequential(
        layers.Flatten(name="flat"),
        layers.Dense(8, name="middle"),
        layers.Reshape((2, 2, 2), name="unflat"),
        layers.Conv2DTranspose(1, 3, strides=2, padding="same", name="up"),
        shape=(4, 4, 1),
    )


def skipping() -> keras.Model:
    """A residual connection inside the encoder, and none past the latent."""
    given = keras.Input((12,))
    wide = layers.Dense(12, "relu", name="wide")(given)
    summed = layers.Add(name="add")([given, wide])
    middle = layers.Dense(4, name="middle")(summed)
    return keras.Model(given, layers.Dense(12, name="out")(middle))


def operations() -> keras.Model:
    """Plain operations between layers."""
    given = keras.Input((12,))
    middle = layers.Dense(4, name="middle")(given * 2.0 - 1.0)
    return keras.Model(given, layers.Dense(12, name="out")(keras.ops.tanh(middle)))


def nested() -> keras.Model:
    encoder = sequential(layers.Dense(8, name="a"), layers.Dense(3, name="b"))
    encoder.name = "encoder"
    decoder = sequential(layers.Dense(3, name="c"), layers.Dense(12, name="d"), shape=(3,))
    decoder.name = "decoder"
    given = keras.Input((12,))
    return keras.Model(given, decoder(encoder(given)))


def nested_in_sequential() -> keras.Model:
    inner = dense()
    inner.name = "inner"
    return sequential(inner)


def listed() -> keras.Model:
    """A nested model that was given its output as a list."""
    given = keras.Input((12,))
    encoder = keras.Model(given, [layers.Dense(3, name="middle")(given)], name="encoder")
    outer = keras.Input((12,))
    return keras.Model(outer, layers.Dense(12, name="out")(encoder(outer)[0]))


def recurrent() -> keras.Model:
    return sequential(
        layers.LSTM(5, name="middle"),
        layers.RepeatVector(10, name="repeat"),
        layers.LSTM(3, return_sequences=True, name="out"),
        shape=(10, 3),
    )


def stateful_outputs() -> keras.Model:
    """A layer with several outputs, of which one is used."""
    given = keras.Input((10, 3))
    middle, *_ = layers.LSTM(5, return_state=True, name="middle")(given)
    return keras.Model(given, layers.GRU(3, return_sequences=True, name="out")(layers.RepeatVector(10)(middle)))


TABLE: list[tuple[Callable[[], keras.Model], str, tuple[int, ...]]] = [
    (dense, "middle", (3,)),
    (activated, "drop", (3,)),
    (convolutional, "middle", (6,)),
    (reshaped, "middle", (8,)),
    (skipping, "middle", (4,)),
    (operations, "tanh", (4,)),
    (nested, "encoder/b", (3,)),
    (nested_in_sequential, "inner/middle", (3,)),
    (listed, "encoder/middle", (3,)),
    (recurrent, "middle", (5,)),
    (stateful_outputs, "middle", (5,)),
]


def random_input(model: keras.Model) -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).normal(size=(3, *model.input_shape[1:])).astype(np.float32)


@pytest.mark.parametrize(("build", "latent", "shape"), TABLE)
def test_the_narrowest_place(build: Callable[[], keras.Model], latent: str, shape: tuple[int, ...]) -> None:
    model = build()
    encoder, decoder, name, _ = split_autoencoder(model)
    assert name.startswith(latent)
    assert encoder.output_shape == decoder.input_shape == (None, *shape)
    given = random_input(model)
    whole = np.asarray(model(given, training=False))
    halves = np.asarray(decoder(encoder(given, training=False), training=False))
    np.testing.assert_allclose(halves, whole, atol=1e-6)


def test_the_halves_share_the_weights() -> None:
    model = dense()
    encoder, decoder, *_ = split_autoencoder(model)
    for weight in model.weights:
        weight.assign(np.random.default_rng(2).normal(size=weight.shape))
    given = random_input(model)
    np.testing.assert_allclose(decoder(encoder(given)), model(given), atol=1e-6)
    assert encoder.count_params() + decoder.count_params() == model.count_params()


@pytest.mark.parametrize(("build", "named", "shape"), [
    (dense, "down", (8,)),
    (dense, "up", (8,)),
    (activated, "middle", (3,)),
    (nested, "encoder", (3,)),
    (nested, "c", (3,)),
    (nested, "decoder/c", (3,)),
    (nested_in_sequential, "inner/up", (8,)),
])  # fmt: skip
def test_a_layer_by_name(build: Callable[[], keras.Model], named: str, shape: tuple[int, ...]) -> None:
    encoder, _, name, _ = split_autoencoder(build(), named)
    assert named in name
    assert encoder.output_shape == (None, *shape)


def test_one_bottleneck_of_several_layers_is_cut_after_the_first_and_names_the_others() -> None:
    model = sequential(layers.Dense(3, name="one"), layers.Dense(3, name="two"), layers.Dense(12))
    split = split_autoencoder(model)
    assert (split.latent, split.equals) == ("one", ("two",))


def test_bottlenecks_apart_are_listed() -> None:
    model = sequential(
        layers.Dense(3, name="one"), layers.Dense(8, name="wide"), layers.Dense(3, name="two"), layers.Dense(12)
    )
    with pytest.raises(ModelError) as refusal:
        split_autoencoder(model)
    assert "one [batch, 3], two [batch, 3]" in refusal.value.what
    assert "--latent one" in refusal.value.hint
    assert split_autoencoder(model, "two").latent == "two"


def test_an_unknown_layer_gets_a_suggestion() -> None:
    with pytest.raises(ModelError) as refusal:
        split_autoencoder(dense(), "midle")
    assert "'midle'" in refusal.value.what
    assert "middle [batch, 3]" in refusal.value.expected
    assert refusal.value.hint == "did you mean 'middle'?"


def test_a_name_that_two_nested_models_use() -> None:
    given = keras.Input((12,))
    one = sequential(layers.Dense(6, name="same"))
    two = sequential(layers.Dense(5, name="same"), shape=(6,))
    one.name, two.name = "one", "two"
    model = keras.Model(given, layers.Dense(12)(two(one(given))))
    with pytest.raises(ModelError, match="may mean one/same"):
        split_autoencoder(model, "same")
    assert split_autoencoder(model, "two/same").latent == "two/same"
    assert [layer.name for layer in (*one.layers, *two.layers)] == ["same", "same"]


@pytest.mark.parametrize(("build", "layer"), [(skipping, "wide"), (dense, "out")])
def test_where_a_model_cannot_be_cut(build: Callable[[], keras.Model], layer: str) -> None:
    with pytest.raises(ModelError) as refusal:
        split_autoencoder(build(), layer)
    assert "cannot be cut" in refusal.value.what
    assert "middle" in refusal.value.expected


def test_a_network_with_skips_past_its_middle_has_no_latent() -> None:
    given = keras.Input((12,))
    middle = layers.Dense(3, name="middle")(given)
    model = keras.Model(given, layers.Add()([given, layers.Dense(12)(middle)]))
    with pytest.raises(ModelError, match="no layer's output"):
        split_autoencoder(model)


def test_several_inputs_are_refused() -> None:
    one, two = keras.Input((3,)), keras.Input((3,))
    with pytest.raises(ModelError, match="2 inputs"):
        split_autoencoder(keras.Model([one, two], layers.Add()([one, two])))


class Subclassed(keras.Model):
    def call(self, tensor: Any) -> Any:
        return tensor


def test_a_subclass_is_refused() -> None:
    with pytest.raises(ModelError, match="Subclassed"):
        split_autoencoder(Subclassed())


def test_a_model_without_an_input_shape_is_refused() -> None:
    with pytest.raises(ModelError, match="no input shape"):
        split_autoencoder(keras.Sequential([layers.Dense(3)]))


class Sampling(layers.Layer):
    def call(self, tensor: Any) -> Any:
        return tensor + keras.random.normal(keras.ops.shape(tensor))


def test_a_model_that_is_never_twice_the_same_is_refused() -> None:
    with pytest.raises(ModelError, match="random"):
        split_autoencoder(sequential(layers.Dense(3, name="middle"), Sampling(), layers.Dense(12)), "middle")
