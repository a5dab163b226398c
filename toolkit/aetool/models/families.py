"""The families: dense for any samples, conv1d for windows, conv2d for images. The latent is always a flat vector."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from aetool.config import Conv1dModel, Conv2dModel, DenseModel, LatentConfig, ModelConfig, PlainLatent
from aetool.models.autoencoder import KerasAutoencoder
from aetool.models.backend import import_keras
from aetool.models.latents import LatentEnds
from aetool.models.layers import Layers
from aetool_runtime.errors import UsageError

__all__ = ["build_autoencoder"]


def build_autoencoder(
    model: ModelConfig,
    sample_shape: tuple[int, ...],
    seed: int,
    *,
    latent: LatentConfig | None = None,
    input_shape: tuple[int, ...] | None = None,
) -> KerasAutoencoder:
    """Build an untrained autoencoder; the same arguments give the same initial weights.

    Args:
        model: the family and its sizes.
        sample_shape: what the decoder returns, without the batch dimension.
        seed: of the initial weights.
        latent: what is between the halves; a plain one where it is left out.
        input_shape: what the encoder takes, where it is not a sample.

    Raises:
        UsageError: the family does not take samples of that shape, or the latent not what it computes; says what.
        DependencyError: Keras or TensorFlow is not installed.
    """
    keras = import_keras()
    seeds = np.random.default_rng(seed)
    ends = LatentEnds(latent or PlainLatent(), seeds)
    inputs = keras.Input(input_shape or sample_shape, name="input")
    wide = replace(model, latent=model.latent * ends.heads)
    encoded = ends.encoded(_encode(Layers("encoder", seeds), inputs, wide))
    entry, tensor = ends.decoded()
    decoded = _decode(Layers("decoder", seeds), tensor, model, sample_shape)
    return ends.autoencoder(keras.Model(inputs, encoded, name="encoder"), keras.Model(entry, decoded, name="decoder"))


def _encode(layers: Layers, tensor: Any, model: ModelConfig) -> Any:
    if isinstance(model, DenseModel):
        return _dense_encoder(layers, tensor, model)
    _check_sizes(model, tuple(tensor.shape[1:]))
    return _conv_encoder(layers, tensor, model)


def _decode(layers: Layers, tensor: Any, model: ModelConfig, sample_shape: tuple[int, ...]) -> Any:
    if isinstance(model, DenseModel):
        return _dense_decoder(layers, tensor, model, sample_shape)
    _check_sizes(model, sample_shape)
    return _conv_decoder(layers, tensor, model, sample_shape)


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
