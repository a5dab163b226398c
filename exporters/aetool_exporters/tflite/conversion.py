"""Keras → TFLite by TensorFlow's converter.

The way leads through a SavedModel: the converter's other entrances lose the variables of Keras 3, and write files that
compute garbage.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from aetool_exporters.extremes import plain_extremes
from aetool_exporters.layers import layer_of
from aetool_exporters.reason import reason
from aetool_exporters.reference import Reference
from aetool_exporters.tflite.flatbuffer import read, write
from aetool_exporters.tflite.large_kernels import LargeKernel, given_from_outside, large_kernels, put_in
from aetool_exporters.tflite.quiet import quiet
from aetool_exporters.tflite.signatures import Signature
from aetool_exporters.tflite.tracing import tflite_layers
from aetool_runtime.errors import AetoolError, ConversionError, UnsupportedOperatorError

__all__ = ["convert", "convert_model"]

_UNMAPPED = re.compile(r"'tf\.(?P<op>\w+)' op is neither a custom op nor a flex op")
_NODE = re.compile(r'"(?P<path>[^"@]+)@')


def convert(reference: Reference, wanted: tuple[Signature, ...], layers: Collection[str]) -> bytes:
    """``convert_model``, folded, as a file."""
    return write(convert_model(reference, wanted, layers, folded=True))


def convert_model(
    reference: Reference, wanted: tuple[Signature, ...], layers: Collection[str], *, folded: bool = False
) -> Any:
    """What TensorFlow's converter makes of a reference, with builtin operations only, as a ``ModelT``.

    Args:
        layers: names of Keras layers, to say which one an operation came from.
        folded: fold factors and summands into large kernels, too: integers are made of these.

    Raises:
        UnsupportedOperatorError: an operation that TFLite does not have.
        ConversionError: anything else that the converter stumbled over.
    """
    kernels = large_kernels(reference)
    model = _converted_without(reference, wanted, kernels) if kernels else None
    if model is not None and put_in(model, kernels, folded=folded):
        return model
    try:
        return read(_converted(partial(_save, reference, wanted), reference, wanted))
    except AetoolError:
        raise
    except Exception as error:  # Keras, TensorFlow and the converter each raise their own
        raise _translated(error, layers) from error


def _converted_without(reference: Reference, wanted: tuple[Signature, ...], kernels: Sequence[LargeKernel]) -> Any:
    """``None`` where this fails: the other way may not, or says what is wrong."""
    try:
        return read(_converted(partial(_save_without, reference, wanted, kernels), reference, wanted))
    except Exception:
        return None


def _converted(save: Callable[[str], None], reference: Reference, wanted: tuple[Signature, ...]) -> bytes:
    with (
        tempfile.TemporaryDirectory(prefix="aetool-") as folder,
        quiet(),
        plain_extremes(reference),
        tflite_layers(reference),
    ):
        save(folder)
        keys = [signature.key for signature in wanted]
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=keys)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        converter.allow_custom_ops = False
        data: bytes = converter.convert()
    return data


def _save(reference: Reference, wanted: tuple[Signature, ...], folder: str) -> None:
    archive = keras.export.ExportArchive()
    for model in reference.models:
        archive.track(model)
    for signature in wanted:
        archive.add_endpoint(signature.key, _endpoint(reference, signature), input_signature=[_spec(signature)])
    archive.write_out(folder, verbose=False)


def _endpoint(reference: Reference, signature: Signature) -> Callable[[Any], dict[str, Any]]:
    return lambda tensor: reference.trace(signature.role, tensor)


def _save_without(
    reference: Reference, wanted: tuple[Signature, ...], kernels: Sequence[LargeKernel], folder: str
) -> None:
    """With the large kernels as inputs instead of variables."""
    module = tf.Module()
    left_out = {id(kernel.layer.kernel) for kernel in kernels}
    variables = [variable for model in reference.models for variable in model.variables]
    module.held = [variable.value for variable in variables if id(variable) not in left_out]
    given = [tf.TensorSpec(kernel.layer.kernel.shape, tf.float32, name=kernel.name) for kernel in kernels]
    signatures = {}
    for signature in wanted:
        function = tf.function(
            _endpoint_without(reference, signature, kernels), input_signature=[_spec(signature), *given]
        )
        signatures[signature.key] = function.get_concrete_function()
    tf.saved_model.save(module, folder, signatures=signatures)


def _endpoint_without(
    reference: Reference, signature: Signature, kernels: Sequence[LargeKernel]
) -> Callable[..., dict[str, Any]]:
    def endpoint(tensor: Any, *values: Any) -> dict[str, Any]:
        with given_from_outside(kernels, values):
            return reference.trace(signature.role, tensor)

    return endpoint


def _spec(signature: Signature) -> Any:
    given = signature.interface.given
    return tf.TensorSpec(given.shape, given.dtype, name=given.name)


def _translated(error: Exception, layers: Collection[str]) -> ConversionError:
    message = str(error)
    unmapped = _UNMAPPED.search(message)
    if unmapped is None:
        return ConversionError(
            f"TensorFlow's converter failed ({reason(error)})",
            hint="replace the layer that is named, or leave TFLite out",
        )
    path, layer = _place(message[: unmapped.start()], layers)
    where = f"layer {layer!r}, node {path!r}" if layer else f"node {path!r}" if path else ""
    return UnsupportedOperatorError(
        f"{unmapped['op']} has no counterpart among TFLite's builtin operations",
        where=where,
        hint="replace the layer, or leave TFLite out",
    )


def _place(message: str, layers: Collection[str]) -> tuple[str, str]:
    """The last node that the converter names before it complains, and the layer that the node came from."""
    paths = [match["path"] for match in _NODE.finditer(message.rpartition("error: loc")[2])]
    for path in paths:
        layer = layer_of(path, layers)
        if layer:
            return path, layer
    return (paths[0] if paths else ""), ""
