"""An autoencoder that int8 wrecks in one layer: what flows into it, and its weights, differ in scale by a factor 10^4."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from aetool_exporters.reference import Reference
from aetool_runtime.specs import Array, Normalization

VALUES, WIDTH, LATENT = 32, 64, 8
WILD = "wild"


def wild_reference() -> Reference:
    """32 → 64 → 8 → 64 → 32, linear: the projection onto the space that ``wild_samples`` are near to.

    The layer ``spread`` stretches its outputs by 10^-2 … 10^2, the layer ``wild`` undoes it.
    """
    rng = np.random.default_rng(11)
    basis = _basis()
    mixed, widened = (np.linalg.qr(rng.normal(size=(WIDTH, LATENT)))[0].T for _ in range(2))
    stretch = 10.0 ** rng.uniform(-2, 2, WIDTH)
    encoder = _linear("encoder", {"spread": basis.T @ mixed * stretch, WILD: (mixed / stretch).T})
    decoder = _linear("decoder", {"widen": widened, "restore": widened.T @ basis})
    return Reference(encoder, decoder, Normalization())


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
