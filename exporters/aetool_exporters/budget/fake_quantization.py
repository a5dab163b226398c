"""A model that computes as if it were quantized, while it is trained; gradients pass straight through the rounding.

Weights have one symmetric scale per output channel (or one for all), 8 bits; activations one range per tensor, 8 bits,
at the outputs of layers, where converters do not fuse them away (Jacob et al., "Quantization and Training of Neural
Networks for Efficient Integer-Arithmetic-Only Inference", 2018; Bengio et al., "Estimating or Propagating Gradients
Through Stochastic Neurons", 2013).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from aetool_exporters.multiply_adds import FREE, kind_of

__all__ = ["Kernel", "Range", "kernels_of", "quantized_outputs", "rounded", "step_of", "tracked_outputs"]

_FUSED = ("BatchNormalization", "ReLU")
_TRANSPOSED = ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
_DEPTHWISE = ("DepthwiseConv1D", "DepthwiseConv2D")
_STEPS = 127


@dataclass(frozen=True)
class Kernel:
    """A weight that is rounded.

    Args:
        variable: of Keras.
        axes: which one scale holds for.
    """

    variable: Any
    axes: tuple[int, ...]


@dataclass
class Range:
    """The least and the greatest value that a tensor took."""

    least: float = 0.0
    greatest: float = 0.0

    def add(self, tensor: Any) -> None:
        self.least = min(self.least, float(tf.reduce_min(tensor)))
        self.greatest = max(self.greatest, float(tf.reduce_max(tensor)))

    def rounded(self, tensor: Any) -> Any:
        """To 8 bits between the two; the gradient is 1 inside and 0 outside."""
        if self.least == self.greatest:
            return tensor
        return tf.quantization.fake_quant_with_min_max_args(tensor, self.least, self.greatest)


def kernels_of(layers: Iterable[Any], float_layers: Collection[str], *, per_channel: bool = True) -> list[Kernel]:
    """The weights with more than one axis, but for tables that are looked up in.

    Args:
        per_channel: one scale for each output channel instead of one for the whole.
    """
    kernels = {}
    for layer in layers:
        if layer.name in float_layers or kind_of(layer) == "Embedding":
            continue
        for variable in layer.trainable_variables:
            if len(variable.shape) > 1:
                axes = _axes(layer, variable) if per_channel else tuple(range(len(variable.shape)))
                kernels[id(variable)] = Kernel(variable, axes)
    return list(kernels.values())


def _axes(layer: Any, variable: Any) -> tuple[int, ...]:
    """All axes but the one of the output channels."""
    rank = len(variable.shape)
    if kind_of(layer) in _TRANSPOSED:
        return (*range(rank - 2), rank - 1)
    if kind_of(layer) in _DEPTHWISE or variable.name == "depthwise_kernel":
        return tuple(range(rank - 2))
    return tuple(range(rank - 1))


def rounded(value: Any, axes: tuple[int, ...]) -> Any:
    """A weight as 8 bits would have it.

    Args:
        axes: which one scale holds for; see ``Kernel``.
    """
    scale = step_of(value, axes)
    return tf.round(tf.math.divide_no_nan(value, scale)) * scale


def step_of(value: Any, axes: tuple[int, ...]) -> Any:
    """The distance of two neighbouring values of a rounded weight, one for each channel."""
    return tf.reduce_max(tf.abs(value), axis=axes, keepdims=True) / _STEPS


@contextmanager
def tracked_outputs(layers: Iterable[Any], ranges: dict[int, Range]) -> Iterator[None]:
    """Inside, the ranges of what layers return are widened to hold all that they return: ``id(layer)`` → range."""

    def track(layer: Any, tensor: Any) -> Any:
        ranges.setdefault(id(layer), Range()).add(tensor)
        return tensor

    with _passed_through(layers, track):
        yield


@contextmanager
def quantized_outputs(layers: Iterable[Any], ranges: dict[int, Range]) -> Iterator[None]:
    """Inside, what layers return is rounded within the ranges that were tracked."""
    with _passed_through(layers, lambda layer, tensor: ranges[id(layer)].rounded(tensor)):
        yield


@contextmanager
def _passed_through(layers: Iterable[Any], change: Callable[[Any, Any], Any]) -> Iterator[None]:
    changed = [layer for layer in layers if _returns_values(layer)]
    for layer in changed:
        vars(layer)["call"] = _changed_call(layer, change)
    try:
        yield
    finally:
        for layer in changed:
            del vars(layer)["call"]


def _changed_call(layer: Any, change: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    original = layer.call

    @functools.wraps(original)
    def call(*arguments: Any, **options: Any) -> Any:
        result = original(*arguments, **options)
        return change(layer, result) if _is_real(result) else result

    return call


def _is_real(result: Any) -> bool:
    return not isinstance(result, Sequence | dict) and result.dtype == tf.float32


def _returns_values(layer: Any) -> bool:
    """Whether what it returns is there in the quantized graph: new values, and no operation that swallows it."""
    if kind_of(layer) in FREE or "call" in vars(layer):
        return False
    followers = {kind_of(node.operation) for node in layer._outbound_nodes}
    return not (len(layer._outbound_nodes) == 1 and followers <= set(_FUSED))
