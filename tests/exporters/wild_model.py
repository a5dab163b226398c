"""An autoencoder that int8 wrecks in one layer: what flows into it is a small signal on a large offset."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from aetool_exporters.reference import Reference
from aetool_runtime.specs import Array, Normalization

VALUES, WIDTH, LATENT = 32, 64, 8
OFFSET = 200.0  # of a signal with a standard deviation of 0.35
WILD = "wild"


def wild_reference() -> Reference:
    """32 → 64 → 8 → 64 → 32, linear: the projection onto the space that ``wild_samples`` are near to.

    The layer ``lift`` adds an offset to its outputs, which are the input of the layer ``wild``; that takes it away.
    """
    rng = np.random.default_rng(11)
    basis = _basis()
    mixed, widened = (np.linalg.qr(rng.normal(size=(WIDTH, LATENT)))[0].T for _ in range(2))
    encoder = _linear("encoder", {"lift": basis.T @ mixed, WILD: mixed.T})
    encoder.get_layer("lift").bias.assign(np.full(WIDTH, OFFSET))
    encoder.get_layer(WILD).bias.assign(-OFFSET * mixed.sum(axis=1))
    decoder = _linear("decoder", {"widen": widened, "restore": widened.T @ basis})
    return Reference(encoder, decoder, Normalization())


def wild_autoencoder() -> Any:
    """The same as one Keras model."""
    reference = wild_reference()
    assert reference.encoder is not None
    assert reference.decoder is not None
    given = keras.Input((VALUES,))
    tensor = given
    for model in reference.models:
        for layer in model.layers[1:]:
            tensor = layer(tensor)
    return keras.Model(given, tensor)


def wild_samples(count: int, seed: int) -> Array:
    """[count, 32]: on an 8-dimensional space but for a little noise, so that the model reaches about 40 dB."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(count, LATENT)) @ _basis() + 0.03 * rng.normal(size=(count, VALUES))
    return values.astype(np.float32)


def _basis() -> Array:
    """[8, 32] with orthonormal rows."""
    return np.linalg.qr(np.random.default_rng(10).normal(size=(VALUES, LATENT)))[0].T


def _linear(name: str, kernels: dict[str, Array]) -> Any:
    given = keras.Input((len(next(iter(kernels.values()))),))
    tensor = given
    for layer, kernel in kernels.items():
        tensor = keras.layers.Dense(kernel.shape[1], name=layer)(tensor)
    model = keras.Model(given, tensor, name=name)
    for layer, kernel in kernels.items():
        model.get_layer(layer).kernel.assign(kernel)
    return model
