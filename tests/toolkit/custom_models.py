"""Models as a user writes them, for the family custom."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers


@keras.saving.register_keras_serializable(package="tests")
class Scaled(layers.Layer):
    """A custom layer with a weight of its own."""

    def build(self, shape: Any) -> None:
        self.factor = self.add_weight(shape=(shape[-1],), initializer="ones", name="factor")

    def call(self, tensor: Any) -> Any:
        return tensor * self.factor


def scaled(sample_shape: tuple[int, ...], latent: int = 4) -> tuple[Any, Any]:
    values = 1
    for size in sample_shape:
        values *= size
    encoder = keras.Sequential(
        [keras.Input(sample_shape), layers.Flatten(), layers.Dense(8, "tanh"), Scaled(), layers.Dense(latent)]
    )
    decoder = keras.Sequential(
        [keras.Input((latent,)), layers.Dense(8, "tanh"), layers.Dense(values), layers.Reshape(sample_shape)]
    )
    return encoder, decoder


class Attributes:
    """The other way to return both."""

    def __init__(self, sample_shape: tuple[int, ...]) -> None:
        self.encoder, self.decoder = scaled(sample_shape)


def one_half(sample_shape: tuple[int, ...]) -> Any:
    return scaled(sample_shape)[0]


def names(sample_shape: tuple[int, ...]) -> Any:
    return "encoder", "decoder"


def raising(sample_shape: tuple[int, ...]) -> Any:
    raise LookupError("no weights today")


def other_input(sample_shape: tuple[int, ...]) -> Any:
    return scaled((*sample_shape, 2))


def other_latent(sample_shape: tuple[int, ...]) -> Any:
    return scaled(sample_shape)[0], scaled(sample_shape, latent=3)[1]


def other_output(sample_shape: tuple[int, ...]) -> Any:
    return scaled(sample_shape)[0], scaled((7,))[1]


def unbuilt(sample_shape: tuple[int, ...]) -> Any:
    return keras.Sequential([layers.Dense(3)]), keras.Sequential([layers.Dense(3)])


def two_outputs(sample_shape: tuple[int, ...]) -> Any:
    encoder, decoder = scaled(sample_shape)
    return keras.Model(encoder.inputs, [encoder.outputs[0], encoder.outputs[0]]), decoder
