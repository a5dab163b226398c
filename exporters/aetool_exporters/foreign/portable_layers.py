"""Layers of Keras that compute the same with operations that ONNX and TFLite have. Imports Keras and TensorFlow.

They are called like the layers that they stand for, so that weights find them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

__all__ = ["channels_first", "portable_class"]


def portable_class(kind: str, config: dict[str, Any]) -> type | None:
    """The class for a layer that TFLite or ONNX cannot have as Keras computes it; ``None`` for all others."""
    if kind in _POOLS:
        return _pooling(kind)
    if kind in ("Conv1D", "Conv2D", "Conv3D") and config.get("groups", 1) > 1:
        return _grouped(kind)
    if kind in ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose") and _leaves_gaps(config):
        return _gapped(kind)
    return None


def _leaves_gaps(config: dict[str, Any]) -> bool:
    """The kernel is smaller than the stride, so that some values are the bias alone."""
    rank = len(config["kernel_size"]) if isinstance(config["kernel_size"], (list, tuple)) else 0
    sizes, steps = (value if rank else [value] for value in (config["kernel_size"], config["strides"]))
    below = [size < step for size, step in zip(sizes, steps, strict=False)]
    fits = all(size <= step for size, step in zip(sizes, steps, strict=False))
    return any(below) and fits and config.get("padding") == "same" and config.get("output_padding") is None


def _gapped(kind: str) -> type:
    """A transposed convolution whose kernel is smaller than its stride: tf2onnx writes negative paddings for it.

    The kernel, filled up with zeros to the size of the stride, covers the output exactly.
    """
    base = getattr(keras.layers, kind)

    class Gapped(base):  # type: ignore[misc, valid-type]
        def call(self, inputs: Any) -> Any:
            missing = [(0, step - size) for size, step in zip(self.kernel_size, self.strides, strict=True)]
            kernel = keras.ops.pad(self.kernel, [*missing, (0, 0), (0, 0)])
            made = keras.ops.conv_transpose(inputs, kernel, strides=list(self.strides), padding="valid")
            return _finished(self, made)

    Gapped.__name__ = kind
    return Gapped


_POOLS: dict[str, Callable[..., Any]] = {
    "AveragePooling3D": tf.nn.avg_pool2d,
    "MaxPooling3D": tf.nn.max_pool2d,
}


def _pooling(kind: str) -> type:
    """Pooling in three dimensions, which TFLite lacks: in two, then in the third."""
    base, pool = getattr(keras.layers, kind), _POOLS[kind]

    class Pooling(base):  # type: ignore[misc, valid-type]
        def call(self, inputs: Any) -> Any:
            if None in inputs.shape[1:]:
                return super().call(inputs)
            depth, height, width, channels = inputs.shape[1:]
            padding, size, steps = self.padding.upper(), self.pool_size, self.strides
            flat = pool(tf.reshape(inputs, (-1, height, width, channels)), size[1:], steps[1:], padding)
            height, width = flat.shape[1:3]
            deep = tf.reshape(flat, (-1, depth, height * width, channels))
            deep = pool(deep, (size[0], 1), (steps[0], 1), padding)
            return tf.reshape(deep, (-1, deep.shape[1], height, width, channels))

    Pooling.__name__ = kind
    return Pooling


def _grouped(kind: str) -> type:
    """A convolution of groups of channels, which Keras compiles for CPUs and tf2onnx cannot look into: one for each."""
    base = getattr(keras.layers, kind)

    class Grouped(base):  # type: ignore[misc, valid-type]
        def call(self, inputs: Any) -> Any:
            padding = self.padding
            if padding == "causal":
                inputs, padding = keras.ops.pad(inputs, self._compute_causal_padding()), "valid"
            pairs = zip(tf.split(inputs, self.groups, -1), tf.split(self.kernel, self.groups, -1), strict=True)
            how = {"strides": list(self.strides), "padding": padding, "dilation_rate": self.dilation_rate}
            made = tf.concat([keras.ops.conv(part, kernel, **how) for part, kernel in pairs], -1)
            return _finished(self, made)

    Grouped.__name__ = kind
    return Grouped


def _finished(layer: Any, values: Any) -> Any:
    """With bias and activation."""
    values = values + layer.bias if layer.use_bias else values
    return values if layer.activation is None else layer.activation(values)


def channels_first(kind: type) -> type:
    """A layer class for data [batch, channels, …] that computes on [batch, …, channels], which CPUs can.

    The weights are the same ones in both layouts.
    """

    class ChannelsFirst(kind):  # type: ignore[misc]
        def build(self, input_shape: Any) -> None:
            super().build(_channels_last(input_shape))
            self.input_spec = None

        def call(self, inputs: Any, **kwargs: Any) -> Any:
            rank = len(inputs.shape)
            moved = super().call(keras.ops.transpose(inputs, (0, *range(2, rank), 1)), **kwargs)
            return keras.ops.transpose(moved, (0, rank - 1, *range(1, rank - 1)))

        def compute_output_shape(self, input_shape: Any) -> Any:
            shape = super().compute_output_shape(_channels_last(input_shape))
            return (shape[0], shape[-1], *shape[1:-1])

    ChannelsFirst.__name__ = kind.__name__
    return ChannelsFirst


def _channels_last(shape: Any) -> tuple[int | None, ...]:
    return (shape[0], *shape[2:], shape[1])
