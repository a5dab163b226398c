"""Dense layers and convolutions of Keras as linear nodes: kernels turned, strides and paddings in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from aetool_exporters.compression.building import Shape
from aetool_exporters.compression.nodes import Floats, InexpressibleError, Linear

__all__ = ["read_linear"]

Pair = tuple[int, int]


def read_linear(name: str, layer: Any, value: int, given: Shape) -> Linear:
    """A layer without its activation.

    Args:
        value: what it reads, of the shape ``given``.

    Raises:
        InexpressibleError: a padding that depends on a free size, another order of dimensions, …
    """
    kind = type(layer).__name__
    weights = np.asarray(layer.kernel, np.float64)
    if kind == "Dense":
        return Linear(name, (value,), "dense", weights, _bias(layer, weights.shape[1]))
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise InexpressibleError(f"{name}: channels before the places")
    weights = _dilated(weights, layer.dilation_rate)
    if kind.endswith("Transpose"):
        return _transposed(name, layer, value, np.moveaxis(weights, -1, -2))
    weights = _ungrouped(weights, layer.groups)
    margins = tuple(
        _padding(name, layer, *sizes) for sizes in zip(given[:-1], weights.shape, layer.strides, strict=False)
    )
    return Linear(name, (value,), "conv", weights, _bias(layer, weights.shape[-1]), tuple(layer.strides), margins)


def _transposed(name: str, layer: Any, value: int, weights: Floats) -> Linear:
    """With the whole output where the kernel is smaller than the stride: zeros make it as large."""
    if getattr(layer, "output_padding", None) is not None:
        raise InexpressibleError(f"{name}: an output padding")
    stride = tuple(layer.strides)
    kernel = weights.shape[: len(stride)]
    fill = [(0, max(0, s - k)) for k, s in zip(kernel, stride, strict=True)]
    weights = np.pad(weights, [*fill, (0, 0), (0, 0)])
    crop = tuple(
        _crop(max(0, k - s)) if layer.padding == "same" else (0, 0) for k, s in zip(kernel, stride, strict=True)
    )
    return Linear(name, (value,), "conv_transposed", weights, _bias(layer, weights.shape[-1]), stride, crop)


def _crop(total: int) -> Pair:
    return total // 2, total - total // 2


def _padding(name: str, layer: Any, size: int | None, kernel: int, stride: int) -> Pair:
    """What TensorFlow pads: ⌈size / stride⌋ places, the larger part behind."""
    if layer.padding == "valid":
        return 0, 0
    if layer.padding == "causal":
        return kernel - 1, 0
    if size is None and stride > 1:
        raise InexpressibleError(f"{name}: a padding that depends on a free size")
    places = 1 if size is None else -(-size // stride)
    return _crop(max(0, (places - 1) * stride + kernel - (1 if size is None else size)))


def _dilated(weights: Floats, rates: Sequence[int]) -> Floats:
    """A kernel with zeros between its places."""
    if all(rate == 1 for rate in rates):
        return weights
    kernel = weights.shape[: len(rates)]
    sizes = [(k - 1) * rate + 1 for k, rate in zip(kernel, rates, strict=True)]
    wide = np.zeros((*sizes, *weights.shape[len(rates) :]))
    wide[tuple(slice(None, None, rate) for rate in rates)] = weights
    return wide


def _ungrouped(weights: Floats, groups: int) -> Floats:
    """[k…, I / groups, O] → [k…, I, O], zero between groups."""
    if groups == 1:
        return weights
    size, share = weights.shape[-2], weights.shape[-1] // groups
    whole = np.zeros((*weights.shape[:-2], size * groups, weights.shape[-1]))
    for group in range(groups):
        columns = slice(group * share, (group + 1) * share)
        whole[..., group * size : (group + 1) * size, columns] = weights[..., columns]
    return whole


def _bias(layer: Any, channels: int) -> Floats:
    return np.asarray(layer.bias, np.float64) if layer.use_bias else np.zeros(channels)
