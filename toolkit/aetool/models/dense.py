"""dense: fully connected layers on flat samples."""

from __future__ import annotations

import math
from typing import Any

from aetool.config import DenseModel
from aetool.models import linear
from aetool.models.layers import Layers

__all__ = ["decode", "encode"]


def encode(layers: Layers, tensor: Any, model: DenseModel) -> Any:
    """[batch, *sample_shape] → [batch, latent]."""
    flat = tensor = layers.flatten(tensor)
    for width in model.hidden:
        tensor = layers.dense(tensor, width, model.activation)
    latent = layers.dense(tensor, model.latent, model.latent_activation, zero=model.linear_path)
    return layers.add(linear.analyze(layers, flat, model.latent, 0), latent) if model.linear_path else latent


def decode(layers: Layers, tensor: Any, model: DenseModel, sample_shape: tuple[int, ...]) -> Any:
    """[batch, latent] → [batch, *sample_shape]."""
    latent = tensor
    for width in reversed(model.hidden):
        tensor = layers.dense(tensor, width, model.activation)
    tensor = layers.dense(tensor, math.prod(sample_shape), model.output_activation, zero=model.linear_path)
    if model.linear_path:
        tensor = layers.add(linear.synthesize(layers, latent, sample_shape, 0), tensor)
    return layers.reshape(tensor, sample_shape)
