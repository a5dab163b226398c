"""One role of a reference → the bytes of an ONNX file: convert, check, clean, simplify, canonicalize, check again."""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from aetool_exporters.layers import layer_names
from aetool_exporters.onnx.canonical import canonicalize, serialize
from aetool_exporters.onnx.cleaning import clean
from aetool_exporters.onnx.conversion import convert
from aetool_exporters.onnx.interface import set_interface
from aetool_exporters.onnx.refusal import refuse_unsupported
from aetool_exporters.onnx.simplification import simplify
from aetool_exporters.onnx.validity import check
from aetool_exporters.onnx.weights import Weights
from aetool_exporters.reference import Reference
from aetool_runtime.specs import Role

__all__ = ["build"]


def build(reference: Reference, role: Role, opset: int, metadata: Mapping[str, str]) -> bytes:
    """The serialized ONNX graph of a role.

    Raises:
        UnsupportedOperatorError: an operation without an ONNX counterpart.
        ConversionError: the converter failed, or its result is not valid.
    """
    wanted = reference.interface(role)
    model = convert(reference, role, opset)
    refuse_unsupported(model, layer_names(reference))
    set_interface(model, wanted)
    weights = Weights()
    model = simplify(model, wanted)
    clean(model, weights)
    onnx.helper.set_model_props(model, dict(metadata))
    model = canonicalize(model)
    check(model, wanted)
    return serialize(model)
