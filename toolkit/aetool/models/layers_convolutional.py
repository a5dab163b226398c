"""Convolutions that halve and double: the pieces of the families that have them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from aetool.config import Conv1dModel, Conv2dModel
from aetool.models.layers import Layers

__all__ = ["ConvModel", "blocks", "convolve", "double", "double_last", "halve", "keep", "shrink_patches"]

ConvModel: TypeAlias = Conv1dModel | Conv2dModel


def halve(layers: Layers, tensor: Any, filters: int, model: ConvModel) -> Any:
    """A convolution of stride 2: [batch, *sizes, c] → [batch, *sizes / 2, filters]."""
    tensor = convolve(layers, tensor, filters, model, strides=2)
    return layers.activate(tensor, model.activation, batch_norm=model.batch_norm)


def shrink_patches(layers: Layers, tensor: Any, filters: int, model: Conv2dModel) -> Any:
    """The first convolution, of stride ``patch``: [batch, *sizes, c] → [batch, *sizes / patch, filters]."""
    import keras

    sizes = (model.kernel * model.patch, model.patch)
    tensor = _apply(layers, keras.layers.Conv2D, "conv", tensor, filters, sizes, False)
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
    zero = isinstance(model, Conv2dModel) and model.linear_path
    return layers.activate(_enlarge(layers, tensor, channels, model, last=True, zero=zero), model.output_activation)


def convolve(
    layers: Layers, tensor: Any, filters: int, model: ConvModel, *, strides: int = 1, zero: bool = False
) -> Any:
    """A convolution without activation: [batch, *sizes, c] → [batch, *sizes / strides, filters].

    Args:
        zero: with weights that start at zero.
    """
    import keras

    kind = keras.layers.Conv1D if model.family == "conv1d" else keras.layers.Conv2D
    return _apply(layers, kind, "conv", tensor, filters, (model.kernel, strides), zero)


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


def _enlarge(
    layers: Layers, tensor: Any, filters: int, model: ConvModel, *, last: bool = False, zero: bool = False
) -> Any:
    """Twice the size, or the last time as large as the patches."""
    import keras

    patch = model.patch if last and isinstance(model, Conv2dModel) else 1
    if isinstance(model, Conv2dModel) and model.upsampling == "resize":
        return convolve(layers, _resize(layers, tensor), filters, model, zero=zero)
    kind = keras.layers.Conv1DTranspose if model.family == "conv1d" else keras.layers.Conv2DTranspose
    sizes = (model.kernel, 2) if patch == 1 else (model.kernel * patch, patch)
    return _apply(layers, kind, "conv_transpose", tensor, filters, sizes, zero)


def _resize(layers: Layers, tensor: Any) -> Any:
    """Each pixel four times. Of the two layers that do so, ``Resizing`` becomes one operation when exported."""
    import keras

    height, width = tensor.shape[1:3]
    name = layers.name("resize")
    if height is None:
        return keras.layers.UpSampling2D(name=name)(tensor)
    return keras.layers.Resizing(2 * height, 2 * width, interpolation="nearest", name=name)(tensor)


def _apply(
    layers: Layers, kind: Callable[..., Any], name: str, tensor: Any, filters: int, sizes: tuple[int, int], zero: bool
) -> Any:
    """``sizes``: the kernel's, and the stride."""
    kernel, stride = sizes
    layer = kind(
        filters,
        kernel,
        strides=stride,
        padding="same",
        kernel_initializer=layers.initializer(zero=zero),
        name=layers.name(name),
    )
    return layer(tensor)
