"""conv1d and conv2d: strided convolutions to a flat latent, or for images to a map of it; mirrored back."""

from __future__ import annotations

import math
from typing import Any

from aetool.config import Conv1dModel, Conv2dModel
from aetool.models import linear
from aetool.models.layers import Layers
from aetool.models.layers_convolutional import (
    ConvModel,
    blocks,
    convolve,
    double,
    double_last,
    halve,
    keep,
    shrink_patches,
)
from aetool_runtime.errors import UsageError

__all__ = ["check", "decode", "encode", "map_channels"]


def map_channels(model: ConvModel) -> int:
    """Channels of the latent where it is a map, else 0."""
    return model.latent_map if isinstance(model, Conv2dModel) else 0


def encode(layers: Layers, tensor: Any, model: ConvModel, growth: int = 1) -> Any:
    """[batch, *sizes, channels] → [batch, latent], or [batch, *sizes · growth / 2^k, latent_map].

    Args:
        growth: how many times larger than what is encoded it shall become: so many halvings are done already.
    """
    done, image = growth.bit_length() - 1, tensor
    for number, filters in enumerate(model.filters):
        if number == 0 and isinstance(model, Conv2dModel) and model.patch > 1:
            tensor = shrink_patches(layers, tensor, filters, model)
        else:
            tensor = (keep if number < done else halve)(layers, tensor, filters, model)
        tensor = blocks(layers, tensor, filters, model)
    if isinstance(model, Conv2dModel) and model.linear_path:
        restored = convolve(layers, tensor, model.latent_map, model, zero=True)
        return layers.add(linear.analyze(layers, image, model.latent_map, linear.downsampling(model)), restored)
    if map_channels(model):
        return convolve(layers, tensor, map_channels(model), model)
    return layers.dense(layers.flatten(tensor), model.latent, "linear")


def decode(layers: Layers, tensor: Any, model: ConvModel, sample_shape: tuple[int, ...]) -> Any:
    """What ``encode`` returned → [batch, *sizes, channels]."""
    filters, latent = list(model.filters), tensor
    if map_channels(model):
        tensor = convolve(layers, tensor, filters[-1], model)
        tensor = layers.activate(tensor, model.activation, batch_norm=model.batch_norm)
    else:
        smallest = (*(size // 2 ** len(filters) for size in sample_shape[:-1]), filters[-1])
        tensor = layers.reshape(layers.dense(tensor, math.prod(smallest), model.activation), smallest)
    tensor = blocks(layers, tensor, filters[-1], model)
    for count in reversed(filters[:-1]):
        tensor = blocks(layers, double(layers, tensor, count, model), count, model)
    tensor = double_last(layers, tensor, sample_shape[-1], model)
    if isinstance(model, Conv2dModel) and model.linear_path:
        return layers.add(linear.synthesize(layers, latent, sample_shape, linear.downsampling(model)), tensor)
    return tensor


def check(model: ConvModel, shape: tuple[int, ...], growth: int = 1) -> None:
    """Convolutions that halve need a rank and sizes that can be halved, and enough of them to grow by ``growth``.

    Raises:
        UsageError: says what the family takes.
    """
    names = ("time", "channels") if isinstance(model, Conv1dModel) else ("height", "width", "channels")
    factor = linear.downsampling(model) if isinstance(model, Conv2dModel) else 2 ** len(model.filters)
    if len(shape) != len(names):
        raise UsageError(
            f"samples of shape {list(shape)} do not fit the family {model.family}",
            expected=f"[{', '.join(names)}]",
            hint="set [data] sample_shape, or choose another family",
        )
    if any(size % factor for size in shape[:-1]):
        raise UsageError(
            f"samples of shape {list(shape)} cannot be {_shrunk(model)}",
            expected=f"{' and '.join(names[:-1])} in multiples of {factor}",
            hint="use fewer [model] filters, or another [data] sample_shape",
        )
    if growth > factor:
        raise UsageError(
            f"{len(model.filters)} convolutions cannot make an image {growth} times larger",
            expected=f"[model] filters with {growth.bit_length() - 1} values or more",
        )


def _shrunk(model: ConvModel) -> str:
    if isinstance(model, Conv2dModel) and model.patch > 1:
        return f"cut into patches of {model.patch} pixels and halved {len(model.filters) - 1} times"
    return f"halved {len(model.filters)} times"
