"""dense: fully connected layers on flat samples."""

from __future__ import annotations

import math
from typing import Any

from aetool.config import DenseModel
from aetool.models.layers import Layers

__all__ = ["decode", "encode"]


def encode(layers: Layers, tensor: Any, model: DenseModel) -> Any:
    """[batch, *sample_shape] → [batch, latent]."""
    tensor = layers.flatten(tensor)
    for width in model.hidden:
        tensor = layers.dense(tensor, width, model.activation)
    return layers.dense(tensor, model.latent, model.latent_activation)


def decode(layers: Layers, tensor: Any, model: DenseModel, sample_shape: tuple[int, ...]) -> Any:
    """[batch, latent] → [batch, *sample_shape]."""
    for width in reversed(model.hidden):
        tensor = layers.dense(tensor, width, model.activation)
    tensor = layers.dense(tensor, math.prod(sample_shape), model.output_activation)
    return layers.reshape(tensor, sample_shape)
