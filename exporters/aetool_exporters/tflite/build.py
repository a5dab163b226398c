"""A reference → the bytes of a TFLite file: convert, check, put in canonical form, describe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aetool_exporters.layers import layer_names
from aetool_exporters.reference import Reference
from aetool_exporters.tflite.canonical import canonicalize
from aetool_exporters.tflite.conversion import convert_model
from aetool_exporters.tflite.flatbuffer import Packed, pack, write
from aetool_exporters.tflite.inspection import check_operators, check_signatures
from aetool_exporters.tflite.signatures import Signature

__all__ = ["build", "finish"]


def build(reference: Reference, wanted: tuple[Signature, ...], metadata: Mapping[str, str]) -> Packed:
    """The float32 TFLite file of a reference.

    Raises:
        UnsupportedOperatorError: an operation without a TFLite counterpart.
        ConversionError: the converter failed, or lost weights or names.
    """
    model = convert_model(reference, wanted, layer_names(reference))
    return pack(_finished(model, wanted, metadata, named=True))


def finish(model: Any, wanted: tuple[Signature, ...], metadata: Mapping[str, str], *, named: bool = True) -> bytes:
    """Check a ``ModelT``, put it in canonical form and write it; see ``canonicalize``.

    Raises:
        UnsupportedOperatorError: an operation that not every engine has.
        ConversionError: it lost weights or names.
    """
    return write(_finished(model, wanted, metadata, named=named))


def _finished(model: Any, wanted: tuple[Signature, ...], metadata: Mapping[str, str], *, named: bool) -> Any:
    check_operators(model)
    check_signatures(model, wanted)
    canonicalize(model, [signature.key for signature in wanted], metadata, named=named)
    return model
