"""Decoders of every layer that integers express, and of some that they do not: small, with random weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers

from aetool_exporters.reference import Reference
from aetool_runtime.specs import Normalization

__all__ = ["EXPRESSED", "REFUSED", "decoder_reference", "latents_for"]

Shape = tuple[int | None, ...]
Build = Callable[[Any], Any]


def chain(*block: Any) -> Build:
    def build(tensor: Any) -> Any:
        for layer in block:
            tensor = layer(tensor)
        return tensor

    return build


def residual(tensor: Any) -> Any:
    inner = layers.Conv2D(6, 3, padding="same", activation="relu")(tensor)
    inner = layers.BatchNormalization()(layers.Conv2D(5, 3, padding="same")(inner))
    return layers.Conv2D(2, 1)(layers.ReLU()(layers.Add()([tensor, inner])))


def two_paths(tensor: Any) -> Any:
    """As in training for rate: a linear path beside a network."""
    linear = layers.Conv2DTranspose(3, 4, strides=4)(tensor)
    inner = layers.Conv2D(8, 3, padding="same", activation="leaky_relu")(tensor)
    return layers.Add()([linear, layers.Conv2DTranspose(3, 12, strides=4, padding="same")(inner)])


def three_added(tensor: Any) -> Any:
    return layers.Dense(3)(layers.Add()([layers.Dense(7)(tensor), layers.Dense(7, "tanh")(tensor), tensor]))


def beside(tensor: Any) -> Any:
    return layers.Dense(4)(layers.Concatenate()([tensor, layers.Dense(3, "relu")(tensor), layers.Dense(2)(tensor)]))


def latent_alone(tensor: Any) -> Any:
    """What reads the latent is no weight: one unit must do for all its channels."""
    return layers.Dense(4)(layers.Concatenate()([layers.ReLU()(tensor), tensor]))


def nested(tensor: Any) -> Any:
    inner = keras.Sequential([keras.Input((7,)), layers.Dense(9, "relu"), layers.Dropout(0.5)])
    return layers.Dense(4)(inner(tensor))


EXPRESSED: dict[str, tuple[Shape, Build]] = {
    "dense": ((7,), chain(layers.Dense(20, "relu"), layers.Dense(12))),
    **{
        name: ((7,), chain(layers.Dense(20, name), layers.Dense(12)))
        for name in ("leaky_relu", "elu", "tanh", "sigmoid", "silu", "softplus", "gelu", "relu6", "selu")
    },
    "sigmoid at the end": ((7,), chain(layers.Dense(12), layers.Dense(8, "sigmoid"))),
    "relu at the end": ((7,), chain(layers.Dense(12, "relu"), layers.Reshape((4, 3)))),
    "layers of activation": ((7,), chain(layers.Dense(12), layers.LeakyReLU(), layers.Dense(9), layers.ReLU(3.0),
                                         layers.Dense(9), layers.ELU(), layers.Dense(3))),
    "conv1d": ((8, 3), chain(layers.Conv1D(6, 5, padding="same", activation="relu"), layers.Conv1D(2, 3))),
    "conv1d, strided": ((9, 3), chain(layers.Conv1D(6, 4, strides=2, padding="same"))),
    "conv1d, causal and dilated": ((9, 3), chain(layers.Conv1D(6, 3, dilation_rate=2, padding="causal"))),
    "conv1d, groups": ((9, 4), chain(layers.Conv1D(6, 3, groups=2, padding="same"))),
    "conv2d": ((6, 5, 3), chain(layers.Conv2D(6, 3, padding="same", activation="relu"), layers.Conv2D(2, (2, 3)))),
    "conv1d transposed": ((5, 3), chain(layers.Conv1DTranspose(6, 7, strides=2, padding="same", activation="relu"),
                                        layers.Conv1DTranspose(2, 4, strides=3))),
    "conv2d transposed": ((3, 4, 3), chain(layers.Conv2DTranspose(6, 3, strides=2, padding="same", activation="relu"),
                                           layers.Conv2DTranspose(2, 5, strides=(2, 1), padding="same"))),
    "a kernel smaller than its stride": ((3, 4, 3), chain(layers.Conv2DTranspose(2, 1, strides=2, padding="same"))),
    "batch normalization, folded": ((7,), chain(layers.Dense(12), layers.BatchNormalization(), layers.ReLU(),
                                                layers.Dense(4))),
    "batch normalization, by itself": ((5, 3), chain(layers.Conv1D(6, 3, activation="relu", padding="same"),
                                                     layers.BatchNormalization(), layers.Conv1D(2, 3, padding="same"))),
    "batch normalization at once": ((7,), chain(layers.BatchNormalization(), layers.Dense(4))),
    "rescaling": ((7,), chain(layers.Dense(12, "tanh"), layers.Rescaling(-3.0, 0.5), layers.Dense(4))),
    "upsampling": ((3, 4, 2), chain(layers.UpSampling2D((2, 3)), layers.Conv2D(4, 3, padding="same"))),
    "upsampling in time": ((4, 2), chain(layers.UpSampling1D(3), layers.Conv1D(4, 3, padding="same"))),
    "resizing": ((3, 4, 2), chain(layers.Conv2D(3, 3), layers.Resizing(2, 6, "nearest"), layers.Conv2D(4, 1))),
    "repeated": ((5,), chain(layers.RepeatVector(6), layers.Conv1D(3, 3, padding="same"))),
    "reshaped": ((12,), chain(layers.Dense(24, "relu"), layers.Reshape((2, -1, 4)), layers.Conv2D(3, 2),
                              layers.Flatten(), layers.Dense(5))),
    "cropped and padded": ((6, 6, 2), chain(layers.ZeroPadding2D(((1, 0), (2, 1))), layers.Conv2D(3, 3),
                                            layers.ZeroPadding2D(1), layers.ReLU(),
                                            layers.Cropping2D(((0, 1), (2, 0))))),
    "cropped and padded in time": ((6, 2), chain(layers.ZeroPadding1D(2), layers.Conv1D(3, 3, padding="same"),
                                                 layers.Cropping1D((1, 2)))),
    "a residual block": ((6, 5, 5), residual),
    "a linear path beside a network": ((3, 4, 6), two_paths),
    "three summands": ((7,), three_added),
    "side by side": ((7,), beside),
    "a latent that no weights read": ((7,), latent_alone),
    "nested models": ((7,), nested),
    "free sizes": ((None, None, 4), chain(layers.Conv2D(6, 3, padding="same", activation="relu"),
                                          layers.UpSampling2D(2),
                                          layers.Conv2DTranspose(2, 4, strides=2, padding="same"))),
}  # fmt: skip

REFUSED: dict[str, tuple[Shape, Build, str]] = {
    "recurrent": ((5, 3), chain(layers.LSTM(4, name="memory")), "memory (LSTM)"),
    "attention": ((5, 4), lambda t: layers.MultiHeadAttention(2, 2, name="looks")(t, t), "looks (MultiHeadAttention)"),
    "softmax": ((5,), chain(layers.Dense(4, "softmax", name="classes")), "softmax of the layer classes"),
    "layer normalization": ((5,), chain(layers.LayerNormalization(name="evens")), "evens (LayerNormalization)"),
    "interpolation": ((4, 4, 2), chain(layers.UpSampling2D(2, interpolation="bilinear", name="blurs")), "blurs"),
    "another axis": ((4, 3), lambda t: layers.Concatenate(axis=1, name="longer")([t, t]), "longer"),
    "a stride over a free size": (
        (None, 3), chain(layers.Conv1D(2, 3, strides=2, padding="same", name="skips")), "skips",
    ),
}  # fmt: skip


def decoder_reference(shape: Shape, build: Build, normalization: Normalization | None = None) -> Reference:
    """A decoder alone, every weight away from its initial value."""
    given = keras.Input(shape)
    decoder = keras.Model(given, build(given))
    generator = np.random.default_rng(7)
    for variable in decoder.variables:
        if len(variable.shape) > 1:
            variable.assign(generator.normal(size=variable.shape) / np.sqrt(np.prod(variable.shape[:-1])))
        elif variable.name == "gamma":
            variable.assign(generator.uniform(0.5, 1.5, variable.shape) * generator.choice([-1, 1], variable.shape))
        elif variable.name == "moving_variance":
            variable.assign(generator.uniform(0.5, 2.0, variable.shape))
        elif "seed" not in variable.path:
            variable.assign(generator.normal(0, 0.5, variable.shape))
    return Reference(None, decoder, normalization or Normalization())


def latents_for(reference: Reference, count: int = 64, seed: int = 1) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Normal, each channel of another size."""
    generator = np.random.default_rng(seed)
    shape = [size or 6 for size in reference.latent.sample_shape]
    return generator.normal(size=(count, *shape)) * np.geomspace(0.5, 4.0, shape[-1])
