"""The families: dense for any samples, conv1d for windows, conv2d for images. The latent is always a flat vector."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from aetool.config import Conv1dModel, Conv2dModel, DenseModel, ModelConfig
from aetool.models.autoencoder import KerasAutoencoder
from aetool.models.backend import import_keras
from aetool.models.layers import Layers
from aetool_runtime.errors import UsageError

__all__ = ["build_autoencoder"]


def build_autoencoder(model: ModelConfig, sample_shape: tuple[int, ...], seed: int) -> KerasAutoencoder:
    """Build an untrained autoencoder; the same arguments give the same initial weights.

    Args:
        model: the family and its sizes.
        sample_shape: without the batch dimension.
        seed: of the initial weights.

    Raises:
        UsageError: the family does not take samples of that shape; says what it takes.
        DependencyError: Keras or TensorFlow is not installed.
    """
    keras = import_keras()
    seeds = np.random.default_rng(seed)
    inputs = keras.Input(sample_shape, name="input")
    latent = keras.Input((model.latent,), name="latent")
    encoder, decoder = Layers("encoder", seeds), Layers("decoder", seeds)
    if isinstance(model, DenseModel):
        outputs = _dense_encoder(encoder, inputs, model), _dense_decoder(decoder, latent, model, sample_shape)
    else:
        _check_sizes(model, sample_shape)
        outputs = _conv_encoder(encoder, inputs, model), _conv_decoder(decoder, latent, model, sample_shape)
    return KerasAutoencoder(
        keras.Model(inputs, outputs[0], name="encoder"), keras.Model(latent, outputs[1], name="decoder")
    )


def _dense_encoder(layers: Layers, tensor: Any, model: DenseModel) -> Any:
    tensor = layers.flatten(tensor)
    for width in model.hidden:
        tensor = layers.dense(tensor, width, model.activation)
    return layers.dense(tensor, model.latent, model.latent_activation)


def _dense_decoder(layers: Layers, tensor: Any, model: DenseModel, sample_shape: tuple[int, ...]) -> Any:
    for width in reversed(model.hidden):
        tensor = layers.dense(tensor, width, model.activation)
    tensor = layers.dense(tensor, math.prod(sample_shape), model.output_activation)
    return layers.reshape(tensor, sample_shape)


def _conv_encoder(layers: Layers, tensor: Any, model: Conv1dModel | Conv2dModel) -> Any:
    for filters in model.filters:
        tensor = layers.halve(tensor, filters, model)
    return layers.dense(layers.flatten(tensor), model.latent, "linear")


def _conv_decoder(layers: Layers, tensor: Any, model: Conv1dModel | Conv2dModel, sample_shape: tuple[int, ...]) -> Any:
    *sizes, channels = sample_shape
    smallest = (*(size // 2 ** len(model.filters) for size in sizes), model.filters[-1])
    tensor = layers.reshape(layers.dense(tensor, math.prod(smallest), model.activation), smallest)
    for filters in reversed(model.filters[:-1]):
        tensor = layers.double(tensor, filters, model)
    return layers.double_last(tensor, channels, model)


def _check_sizes(model: Conv1dModel | Conv2dModel, sample_shape: tuple[int, ...]) -> None:
    """Convolutions that halve need a rank and sizes that can be halved."""
    names = ("time", "channels") if isinstance(model, Conv1dModel) else ("height", "width", "channels")
    factor = 2 ** len(model.filters)
    if len(sample_shape) != len(names):
        raise UsageError(
            f"samples of shape {list(sample_shape)} do not fit the family {model.family}",
            expected=f"[{', '.join(names)}]",
            hint="set [data] sample_shape, or choose another family",
        )
    if any(size % factor for size in sample_shape[:-1]):
        raise UsageError(
            f"samples of shape {list(sample_shape)} cannot be halved {len(model.filters)} times",
            expected=f"{' and '.join(names[:-1])} in multiples of {factor}",
            hint="use fewer [model] filters, or another [data] sample_shape",
        )
