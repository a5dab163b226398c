"""Keras → ONNX by tf2onnx, with what it gets wrong put right."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import onnx
import tensorflow as tf
import tf2onnx

from aetool_exporters.extremes import plain_extremes
from aetool_exporters.onnx.handlers import HANDLERS
from aetool_exporters.onnx.tracing import onnx_layers
from aetool_exporters.onnx.weights import Weights, large_variables
from aetool_exporters.reason import reason
from aetool_exporters.reference import Reference
from aetool_runtime.errors import AetoolError, ConversionError
from aetool_runtime.specs import Array, Role

__all__ = ["convert"]

_FAILED = "Failed to convert node"


def convert(reference: Reference, role: Role, opset: int) -> tuple[onnx.ModelProto, Weights]:
    """The graph of a role as tf2onnx writes it: named as in the reference, perhaps with operations left unmapped.

    Its large weights stand beside it. Those of plain layers the converters never saw: they copy what they see, many
    times, and cannot hold 2 GiB.

    Raises:
        ConversionError: Keras could not be traced, or tf2onnx failed.
    """
    shown = large_variables(reference, role)
    function = _traceable(reference, role, shown)
    try:
        with _watched_log() as complaints, plain_extremes(reference), onnx_layers(reference):
            model, _ = tf2onnx.convert.from_function(
                function,
                input_signature=function.input_signature,
                opset=opset,
                custom_op_handlers={name: (handler, []) for name, handler in HANDLERS.items()},
            )
    except AetoolError:
        raise
    except Exception as error:
        raise _failure(role, reason(error)) from error
    broken = [complaint for complaint in complaints if complaint.startswith(_FAILED)]
    if broken:
        raise _failure(role, broken[0].splitlines()[0])
    _embed_captured_constants(model, function.get_concrete_function())
    weights = Weights.taken_from(model)
    for tensor in list(model.graph.input):
        if tensor.name in shown:
            model.graph.initializer.append(weights.store(tensor.name, _shared(shown[tensor.name])))
            model.graph.input.remove(tensor)
    return model, weights


def _shared(variable: Any) -> Array:
    """A variable's values, not copied."""
    return np.asarray(tf.convert_to_tensor(variable.value))


def _traceable(reference: Reference, role: Role, shown: Mapping[str, Any]) -> Any:
    """A function of the role's input, and of the variables that are to be inputs."""
    given = reference.interface(role).given
    signature = [tf.TensorSpec(given.shape, given.dtype, name=given.name)]
    signature += [tf.TensorSpec(variable.shape, variable.dtype, name=name) for name, variable in shown.items()]

    def traced(tensor: Any, *values: Any) -> dict[str, Any]:
        if not values:
            return reference.trace(role, tensor)
        with keras.StatelessScope(state_mapping=list(zip(shown.values(), values, strict=True))):
            return reference.trace(role, tensor)

    return tf.function(traced, input_signature=signature)


def _failure(role: Role, why: str) -> ConversionError:
    return ConversionError(
        f"tf2onnx could not convert it ({why})",
        where=role,
        hint="replace the layer that is named, or leave ONNX out",
    )


def _embed_captured_constants(model: onnx.ModelProto, function: Any) -> None:
    """Turn the inputs that tf2onnx makes of eager tensors captured by a layer back into constants."""
    captured = {inner.name: outer for outer, inner in function.graph.captures if outer.dtype != tf.resource}
    kept = [tensor for tensor in model.graph.input if tensor.name not in captured]
    for tensor in model.graph.input:
        if tensor.name in captured:
            value = np.asarray(captured[tensor.name])
            model.graph.initializer.append(onnx.numpy_helper.from_array(value, tensor.name))
    del model.graph.input[:]
    model.graph.input.extend(kept)


@contextmanager
def _watched_log() -> Iterator[list[str]]:
    """Collect what tf2onnx logs as errors, in place of printing it: it reports failures in no other way."""
    logger = logging.getLogger("tf2onnx")
    complaints: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: complaints.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    propagated, logger.propagate = logger.propagate, False
    try:
        yield complaints
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagated
