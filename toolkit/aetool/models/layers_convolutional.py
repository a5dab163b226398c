"""Convolutions that halve and double: the pieces of the families that have them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from aetool.config import Conv1dModel, Conv2dModel
from aetool.models.layers import Layers

__all__ = ["ConvModel", "blocks", "convolve", "double", "double_last", "halve", "keep"]

ConvModel: TypeAlias = Conv1dModel | Conv2dModel


def halve(layers: Layers, tensor: Any, filters: int, model: ConvModel) -> Any:
    """A convolution of stride 2: [batch, *sizes, c] → [batch, *sizes / 2, filters]."""
    tensor = convolve(layers, tensor, filters, model, strides=2)
    return layers.activate(tensor, model.activation, batch_norm=model.batch_norm)


def keep(layers: Layers, tensor: Any, filters: int, model: ConvModel) -> Any:
    """The same at stride 1: [batch, *sizes, c] → [batch, *sizes, filters]."""
    return layers.activate(convolve(layers, tensor, filters, model), model.activation, batch_norm=model.batch_norm)


def double(layers: Layers, tensor: Any, filters: int, model: ConvModel) -> Any:
    """Twice the size: [batch, *sizes, c] → [batch, *sizes · 2, filters]."""
    tensor = _enlarge(layers, tensor, filters, model)
    return layers.activate(tensor, model.activation, batch_norm=model.batch_norm)


def double_last(layers: Layers, tensor: Any, channels: int, model: ConvModel) -> Any:
    """The decoder's last one: the output activation, and no batch normalization before it."""
    return layers.activate(_enlarge(layers, tensor, channels, model), model.output_activation)


def convolve(layers: Layers, tensor: Any, filters: int, model: ConvModel, *, strides: int = 1) -> Any:
    """A convolution without activation: [batch, *sizes, c] → [batch, *sizes / strides, filters]."""
    import keras

    kind = keras.layers.Conv1D if model.family == "conv1d" else keras.layers.Conv2D
    return _apply(layers, kind, "conv", tensor, filters, model, strides)


def blocks(layers: Layers, tensor: Any, filters: int, model: ConvModel) -> Any:
    """Residual blocks (He 2016), as many as the model wants: [batch, *sizes, filters] → the same shape."""
    import keras

    for _ in range(model.residual):
        inner = convolve(layers, tensor, filters, model)
        inner = layers.activate(inner, model.activation, batch_norm=model.batch_norm)
        inner = layers.activate(convolve(layers, inner, filters, model), "linear", batch_norm=model.batch_norm)
        tensor = keras.layers.Add(name=layers.name("add"))([tensor, inner])
        tensor = layers.activate(tensor, model.activation)
    return tensor


def _enlarge(layers: Layers, tensor: Any, filters: int, model: ConvModel) -> Any:
    import keras

    if isinstance(model, Conv2dModel) and model.upsampling == "resize":
        return convolve(layers, _resize(layers, tensor), filters, model)
    kind = keras.layers.Conv1DTranspose if model.family == "conv1d" else keras.layers.Conv2DTranspose
    return _apply(layers, kind, "conv_transpose", tensor, filters, model, 2)


def _resize(layers: Layers, tensor: Any) -> Any:
    """Each pixel four times. Of the two layers that do so, ``Resizing`` becomes one operation when exported."""
    import keras

    height, width = tensor.shape[1:3]
    name = layers.name("resize")
    if height is None:
        return keras.layers.UpSampling2D(name=name)(tensor)
    return keras.layers.Resizing(2 * height, 2 * width, interpolation="nearest", name=name)(tensor)


def _apply(
    layers: Layers, kind: Callable[..., Any], name: str, tensor: Any, filters: int, model: ConvModel, strides: int
) -> Any:
    layer = kind(
        filters,
        model.kernel,
        strides=strides,
        padding="same",
        kernel_initializer=layers.initializer(),
        name=layers.name(name),
    )
    return layer(tensor)
