"""A reference → the bytes of a TFLite file: convert, check, put in canonical form, describe."""

from __future__ import annotations

from collections.abc import Mapping

from aetool_exporters.layers import layer_names
from aetool_exporters.reference import Reference
from aetool_exporters.tflite.canonical import canonicalize
from aetool_exporters.tflite.conversion import convert
from aetool_exporters.tflite.flatbuffer import read, write
from aetool_exporters.tflite.inspection import check_operators, check_signatures
from aetool_exporters.tflite.signatures import Signature

__all__ = ["build"]


def build(reference: Reference, wanted: tuple[Signature, ...], metadata: Mapping[str, str]) -> bytes:
    """The TFLite file of a reference.

    Raises:
        UnsupportedOperatorError: an operation without a TFLite counterpart.
        ConversionError: the converter failed, or lost weights or names.
    """
    model = read(convert(reference, wanted, layer_names(reference)))
    check_operators(model)
    check_signatures(model, wanted)
    canonicalize(model, [signature.key for signature in wanted], metadata)
    return write(model)
