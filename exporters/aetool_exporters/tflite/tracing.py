"""While Keras is traced for TFLite: layers that repeat pixels or steps do it by one operation.

What Keras makes of them is a chain of ``TILE`` and ``RESHAPE``, of which microcontrollers' engines lack the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from aetool_exporters.reference import Reference

__all__ = ["repeats_exactly", "tflite_layers"]


@contextmanager
def tflite_layers(reference: Reference) -> Iterator[None]:
    """Inside, the layers of encoder and decoder are called in the way that converts well; afterwards as ever."""
    layers = {id(layer): layer for model in reference.models for layer in model._flatten_layers()}
    calls = {key: call for key, layer in layers.items() if (call := _call_for(layer))}
    for key, call in calls.items():
        vars(layers[key])["call"] = call
    try:
        yield
    finally:
        for key in calls:
            del vars(layers[key])["call"]


def _call_for(layer: Any) -> Callable[[Any], Any] | None:
    if "call" in vars(layer):
        return None
    original = layer.call
    if type(layer) is keras.layers.UpSampling1D:
        return lambda inputs: _repeated_steps(inputs, layer.size, original)
    if type(layer) is not keras.layers.UpSampling2D:
        return None
    if layer.interpolation != "nearest" or layer.data_format != "channels_last":
        return None
    return lambda inputs: _repeated(inputs, layer.size, original)


def _repeated_steps(steps: Any, times: int, otherwise: Callable[[Any], Any]) -> Any:
    """[batch, steps, channels]: as rows of pixels, which is what a convolution in one dimension makes of them, too."""
    if not _fits(steps, (1,), (times,)):
        return otherwise(steps)
    return tf.squeeze(_repeated(tf.expand_dims(steps, 1), (1, times), otherwise), [1])


def _repeated(images: Any, times: tuple[int, int], otherwise: Callable[[Any], Any]) -> Any:
    """[batch, height, width, channels]: each pixel so often downwards and to the right."""
    if not _fits(images, (1, 2), times):
        return otherwise(images)
    size = [images.shape[1] * times[0], images.shape[2] * times[1]]
    return tf.raw_ops.ResizeNearestNeighbor(images=images, size=size)


def _fits(tensor: Any, axes: tuple[int, ...], times: tuple[int, ...]) -> bool:
    sizes = [tensor.shape[axis] for axis in axes]
    return tensor.dtype == tf.float32 and all(
        size is not None and repeats_exactly(size, count) for size, count in zip(sizes, times, strict=True)
    )


def repeats_exactly(size: int, times: int) -> bool:
    """Whether a resize to ``times`` the size takes every value so often: engines scale indices in float32.

    Without half pixels' centres, which not every engine looks at.
    """
    places = np.arange(size * times, dtype=np.float32)
    return np.array_equal(
        np.floor(places * (np.float32(size) / np.float32(size * times))), np.arange(size * times) // times
    )
