"""Keras → TFLite by TensorFlow's converter.

The way leads through a SavedModel: the converter's other entrances lose the variables of Keras 3, and write files that
compute garbage.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Collection
from typing import Any

import keras
import tensorflow as tf

from aetool_exporters.extremes import plain_extremes
from aetool_exporters.layers import layer_of
from aetool_exporters.reason import reason
from aetool_exporters.reference import Reference
from aetool_exporters.tflite.quiet import quiet
from aetool_exporters.tflite.signatures import Signature
from aetool_runtime.errors import AetoolError, ConversionError, UnsupportedOperatorError

__all__ = ["convert"]

_UNMAPPED = re.compile(r"'tf\.(?P<op>\w+)' op is neither a custom op nor a flex op")
_NODE = re.compile(r'"(?P<path>[^"@]+)@')


def convert(reference: Reference, wanted: tuple[Signature, ...], layers: Collection[str]) -> bytes:
    """What TensorFlow's converter makes of a reference, with builtin operations only.

    Args:
        layers: names of Keras layers, to say which one an operation came from.

    Raises:
        UnsupportedOperatorError: an operation that TFLite does not have.
        ConversionError: anything else that the converter stumbled over.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="aetool-") as folder, quiet(), plain_extremes(reference):
            _saved_model(reference, wanted).write_out(folder, verbose=False)
            keys = [signature.key for signature in wanted]
            converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=keys)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
            converter.allow_custom_ops = False
            data: bytes = converter.convert()
    except AetoolError:
        raise
    except Exception as error:  # Keras, TensorFlow and the converter each raise their own
        raise _translated(error, layers) from error
    return data


def _saved_model(reference: Reference, wanted: tuple[Signature, ...]) -> Any:
    archive = keras.export.ExportArchive()
    for model in reference.models:
        archive.track(model)
    for signature in wanted:
        given = signature.interface.given
        spec = tf.TensorSpec(given.shape, given.dtype, name=given.name)
        archive.add_endpoint(signature.key, _endpoint(reference, signature), input_signature=[spec])
    return archive


def _endpoint(reference: Reference, signature: Signature) -> Callable[[Any], dict[str, Any]]:
    return lambda tensor: reference.trace(signature.role, tensor)


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
