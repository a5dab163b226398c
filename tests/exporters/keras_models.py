"""The Keras models that both exporters are held to: small, and with every weight away from its initial value.

Each builder makes a ``Reference`` with the same weights in every process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers

from aetool_exporters.reference import Reference
from aetool_runtime.specs import Normalization

__all__ = ["MODELS", "Block", "compose", "oddball", "sample"]

Block = list[Any]


def compose(
    shape: tuple[int, ...],
    encoder: Block,
    decoder: Block | None,
    *,
    normalization: Normalization | None = None,
    dtype: str = "float32",
) -> Reference:
    """Encoder and decoder from lists of layers, with random weights."""
    given = keras.Input(shape, dtype=dtype)
    encoding = _chain(given, encoder)
    decoding = None
    if decoder is not None:
        latent = keras.Input(encoding.output.shape[1:])
        decoding = _scrambled(_chain(latent, decoder))
    return Reference(_scrambled(encoding), decoding, normalization or Normalization())


def sample(reference: Reference, count: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """Random raw inputs [count, …]: normal, or integers below 16 for tokens."""
    generator = np.random.default_rng(seed)
    shape = (count, *reference.given.sample_shape)
    if reference.given.dtype.startswith("int"):
        return generator.integers(0, 16, shape).astype(reference.given.dtype)
    raw = reference.normalization.invert(generator.normal(size=shape))
    return np.ascontiguousarray(raw, np.float32)


def _chain(given: Any, block: Block) -> Any:
    tensor = given
    for layer in block:
        tensor = layer(tensor)
    return keras.Model(given, tensor)


def _scrambled(model: Any) -> Any:
    """Random weights: zero biases and unit scales would hide a dropped bias or a mis-folded normalization."""
    generator = np.random.default_rng(7)
    for weight in model.weights:
        if len(weight.shape) > 1:
            weight.assign(generator.normal(size=weight.shape) / np.sqrt(np.prod(weight.shape[:-1])))
        else:
            weight.assign(generator.uniform(0.2, 0.9, weight.shape))
    return model


def dense() -> Reference:
    return compose(
        (784,),
        [layers.Dense(64, "relu"), layers.Dense(32, "relu")],
        [layers.Dense(64, "relu"), layers.Dense(784, "sigmoid")],
    )


def dense_batch_norm() -> Reference:
    return compose(
        (24,),
        [layers.Dense(16), layers.BatchNormalization(), layers.ReLU(), layers.Dense(4)],
        [layers.Dense(16), layers.BatchNormalization(), layers.ReLU(), layers.Dense(24)],
    )


def conv_2d() -> Reference:
    return compose(
        (16, 16, 3),
        [
            layers.Conv2D(8, 3, strides=2, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(4, 3, strides=2, padding="same"),
            layers.Flatten(),
            layers.Dense(10),
        ],
        [
            layers.Dense(64, "relu"),
            layers.Reshape((4, 4, 4)),
            layers.Conv2DTranspose(8, 3, strides=2, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2DTranspose(3, 3, strides=2, padding="same", activation="sigmoid"),
        ],
    )


def conv_1d() -> Reference:
    return compose(
        (32, 2),
        [
            layers.Conv1D(8, 5, strides=2, padding="same", activation="relu"),
            layers.Conv1D(2, 5, strides=2, padding="same"),
        ],
        [
            layers.Conv1DTranspose(8, 5, strides=2, padding="same", activation="relu"),
            layers.Conv1DTranspose(2, 5, strides=2, padding="same"),
        ],
    )


def upsampling() -> Reference:
    return compose(
        (8, 8, 1),
        [layers.Conv2D(4, 3, padding="same", activation="relu"), layers.MaxPooling2D(2)],
        [layers.Conv2D(4, 3, padding="same"), layers.UpSampling2D(2), layers.Conv2D(1, 3, padding="same")],
    )


def gelu() -> Reference:
    return compose((12,), [layers.Dense(16, "gelu"), layers.Dense(3)], [layers.Dense(16, "celu"), layers.Dense(12)])


def leaky_and_parametric() -> Reference:
    return compose(
        (12,),
        [layers.Dense(16), layers.LeakyReLU(0.1), layers.Dense(3)],
        [layers.Dense(16), layers.PReLU(), layers.Dense(12), layers.ELU()],
    )


def layer_norm() -> Reference:
    return compose(
        (12,),
        [layers.Dense(16), layers.LayerNormalization(), layers.Activation("silu"), layers.Dense(3)],
        [layers.Dense(16, "tanh"), layers.LayerNormalization(), layers.Dense(12)],
    )


def training_only() -> Reference:
    return compose(
        (12,),
        [layers.GaussianNoise(0.5), layers.Dense(16, "relu"), layers.Dropout(0.5), layers.Dense(3)],
        [layers.Dense(16, "relu"), layers.AlphaDropout(0.5), layers.GaussianDropout(0.5), layers.Dense(12)],
    )


def normalized_per_channel() -> Reference:
    return compose(
        (16, 2),
        [layers.Conv1D(4, 3, padding="same", activation="relu"), layers.Flatten(), layers.Dense(5)],
        [layers.Dense(32, "relu"), layers.Reshape((16, 2)), layers.Conv1D(2, 3, padding="same")],
        normalization=Normalization((-300.0, 12.5), (80.0, 0.25)),
    )


def small_signal_on_a_large_offset() -> Reference:
    """The spread is 1e-4 of the offset, as of a position in degrees."""
    return compose(
        (12,),
        [layers.Dense(8, "relu"), layers.Dense(3)],
        [layers.Dense(12)],
        normalization=Normalization((48.2,), (4.8e-3,)),
    )


def normalized_at_once() -> Reference:
    return compose((12,), [layers.Dense(3)], [layers.Dense(12)], normalization=Normalization((100.0,), (25.0,)))


def encoder_only() -> Reference:
    return compose((12,), [layers.Dense(8, "relu"), layers.Dense(3)], None)


def decoder_only() -> Reference:
    model = _chain(keras.Input((3,)), [layers.Dense(8, "relu"), layers.Dense(12)])
    return Reference(None, _scrambled(model), Normalization())


def lstm() -> Reference:
    return compose(
        (10, 3),
        [layers.LSTM(6)],
        [layers.RepeatVector(10), layers.LSTM(6, return_sequences=True), layers.TimeDistributed(layers.Dense(3))],
    )


def gru() -> Reference:
    return compose((10, 3), [layers.GRU(6)], [layers.RepeatVector(10), layers.GRU(3, return_sequences=True)])


def tokens() -> Reference:
    return compose((6,), [layers.Embedding(16, 4), layers.Flatten(), layers.Dense(3)], [layers.Dense(6)], dtype="int32")


def oddball() -> Reference:
    """A model with an operation that neither format has."""

    class InverseErf(layers.Layer):
        def call(self, tensor: Any) -> Any:
            import tensorflow as tf

            return tf.math.erfinv(tensor)

    return compose((8,), [layers.Dense(4, "tanh"), InverseErf(name="oddball")], [layers.Dense(8)])


def variational() -> Reference:
    """An encoder that gives mean and log-variance."""
    given = keras.Input((12,))
    tensor = layers.Dense(8, "tanh")(given)
    encoder = keras.Model(given, [layers.Dense(3, name="mean")(tensor), layers.Dense(3, name="logvar")(tensor)])
    decoder = _chain(keras.Input((3,)), [layers.Dense(12)])
    return Reference(_scrambled(encoder), _scrambled(decoder), Normalization())


def codes() -> Reference:
    """Integer latents: the nearest entry of a codebook, and back."""
    given = keras.Input((12,))
    scores = layers.Dense(8)(layers.Reshape((3, 4))(layers.Dense(12)(given)))
    encoder = keras.Model(given, keras.ops.argmax(scores, axis=-1))
    chosen = keras.Input((3,), dtype="int32")
    decoder = _chain(chosen, [layers.Embedding(8, 4), layers.Flatten(), layers.Dense(12)])
    return Reference(_scrambled(encoder), _scrambled(decoder), Normalization())


MODELS: dict[str, Callable[[], Reference]] = {
    builder.__name__: builder
    for builder in (
        dense,
        dense_batch_norm,
        conv_2d,
        conv_1d,
        upsampling,
        gelu,
        leaky_and_parametric,
        layer_norm,
        training_only,
        normalized_per_channel,
        normalized_at_once,
        small_signal_on_a_large_offset,
        encoder_only,
        decoder_only,
        lstm,
        gru,
        tokens,
        variational,
        codes,
    )
}
