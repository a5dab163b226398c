"""While Keras is traced: ``argmax`` and ``argmin`` without their look at the sign of zero.

Keras tells −0.0 from 0.0 by the bits of a number, with operations that neither ONNX nor TFLite has. Only where two
values are 0.0 and −0.0, and the largest, does it make a difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf
from keras.src.ops.numpy import Argmax, Argmin

from aetool_exporters.reference import Reference

__all__ = ["plain_extremes"]

_PLAIN: dict[type, Callable[..., Any]] = {Argmax: tf.argmax, Argmin: tf.argmin}


@contextmanager
def plain_extremes(reference: Reference) -> Iterator[None]:
    """Inside, ``argmax`` and ``argmin`` along one axis of encoder and decoder are plain; afterwards as ever."""
    replaced = [operation for model in reference.models for operation in _operations(model) if _fits(operation)]
    for operation in replaced:
        vars(operation)["call"] = _plain(_PLAIN[type(operation)], operation.axis)
    try:
        yield
    finally:
        for operation in replaced:
            del vars(operation)["call"]


def _operations(model: Any) -> list[Any]:
    """The operations of a model and of the models in it, each once."""
    found = {
        id(operation): operation for layer in model._flatten_layers() for operation in getattr(layer, "_operations", ())
    }
    return list(found.values())


def _fits(operation: Any) -> bool:
    return (
        type(operation) in _PLAIN
        and operation.axis is not None
        and not operation.keepdims
        and "call" not in vars(operation)
    )


def _plain(find: Callable[..., Any], axis: int) -> Callable[[Any], Any]:
    return lambda values: find(values, axis=axis, output_type=tf.int32)
