"""Layers that are traced as the one operation that ONNX has for them, instead of as what Keras makes of them.

- ``Dense`` on more than two dimensions is one product, without reshaping to two and back.
- ``Embedding`` is one ``Gather``, which counts negative indices from the end as Keras does.
- ``RepeatVector`` and ``UpSampling`` repeat at once, the latter as ``Resize``.
- ``TimeDistributed`` works on all steps at once, as if they were samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

__all__ = ["PLAIN", "REPEATS_KEY"]

REPEATS_KEY = "_aetool_repeats"
"""Attribute of a traced operation that repeats pixels: how often, downwards and to the right."""


def _dense_call(layer: Any) -> Callable[..., Any] | None:
    original = layer.call
    if layer.lora_enabled or layer.quantization_mode is not None:
        return None

    def call(inputs: Any, training: bool | None = None) -> Any:
        if inputs.shape.rank == 2:
            return original(inputs, training=training)
        product = tf.matmul(inputs, tf.convert_to_tensor(layer.kernel))
        product = product if layer.bias is None else product + tf.convert_to_tensor(layer.bias)
        return product if layer.activation is None else layer.activation(product)

    return call


def _embedding_call(layer: Any) -> Callable[..., Any] | None:
    if layer.lora_enabled or layer.quantization_mode is not None:
        return None

    def call(inputs: Any) -> Any:
        indices = inputs if inputs.dtype in (tf.int32, tf.int64) else tf.cast(inputs, tf.int32)
        return tf.cast(tf.gather(tf.convert_to_tensor(layer.embeddings), indices), layer.compute_dtype)

    return call


def _repeat_call(layer: Any) -> Callable[..., Any]:
    return lambda inputs: tf.tile(tf.expand_dims(inputs, 1), [1, layer.n, 1])


def _upsampling_2d_call(layer: Any) -> Callable[..., Any] | None:
    if layer.interpolation != "nearest" or layer.data_format != "channels_last":
        return None
    return lambda inputs: _repeated(inputs, layer.size)


def _upsampling_1d_call(layer: Any) -> Callable[..., Any]:
    return lambda inputs: tf.squeeze(_repeated(tf.expand_dims(inputs, 1), (1, layer.size)), [1])


def _repeated(images: Any, repeats: tuple[int, int]) -> Any:
    """Each pixel of [batch, height, width, channels] so often downwards and to the right."""
    sizes = tf.shape(images)[1:3] * tf.constant(repeats)
    traced = tf.raw_ops.ResizeNearestNeighbor(images=images, size=sizes)
    known = [None if size is None else size * times for size, times in zip(images.shape[1:3], repeats, strict=True)]
    values = tf.compat.v1.AttrValue.ListValue(i=repeats)
    traced.op._set_attr(REPEATS_KEY, tf.compat.v1.AttrValue(list=values))
    traced.set_shape([images.shape[0], *known, images.shape[3]])
    return traced


def _time_distributed_call(layer: Any) -> Callable[..., Any] | None:
    """Samples do not meet in a layer of Keras while it does not train, so steps may be samples."""
    inner = layer.layer
    if not type(inner).__module__.startswith("keras."):
        return None
    original = layer.call

    def call(inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if type(inner) is keras.layers.Dense:
            return inner.call(inputs)
        if training or (mask is not None and inner._call_has_mask_arg) or None in inputs.shape[2:]:
            return original(inputs, training=training, mask=mask)
        outputs = inner.call(tf.reshape(inputs, [-1, *inputs.shape[2:]]))
        steps = tf.shape(inputs)[1] if inputs.shape[1] is None else inputs.shape[1]
        return tf.reshape(outputs, [-1, steps, *outputs.shape[1:]])

    return call


PLAIN: Mapping[type, Callable[[Any], Callable[..., Any] | None]] = {
    keras.layers.Dense: _dense_call,
    keras.layers.Embedding: _embedding_call,
    keras.layers.RepeatVector: _repeat_call,
    keras.layers.TimeDistributed: _time_distributed_call,
    keras.layers.UpSampling1D: _upsampling_1d_call,
    keras.layers.UpSampling2D: _upsampling_2d_call,
}
"""Layer class → what gives a layer's new ``call``, or ``None`` where it is to stay."""
