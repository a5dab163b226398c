"""Fewer and faster nodes, by onnxslim."""

from __future__ import annotations

import logging

import onnx

from aetool_exporters.onnx.validity import check
from aetool_exporters.onnx.weights import Weights
from aetool_exporters.reference import Interface
from aetool_runtime.errors import ConversionError

__all__ = ["simplify"]


def simplify(model: onnx.ModelProto, wanted: Interface, weights: Weights) -> onnx.ModelProto:
    """The model with constants folded and nodes fused; the model as it was where that does not stay valid.

    Nothing is lost by going on with the model as it was: the same function, computed more slowly. So it is where sizes
    besides the batch are free: what onnxslim makes of their arithmetic differed from run to run, and was wrong in one.
    """
    if None in wanted.given.shape[1:]:
        return model
    import onnxslim

    try:
        slim: onnx.ModelProto = weights.fleshed(onnxslim.slim(weights.skeleton(model)))
        check(slim, wanted, weights)
    except ConversionError as error:
        return _unslimmed(model, error.what)
    except Exception as error:  # onnxslim raises whatever its passes run into
        return _unslimmed(model, f"{type(error).__name__}: {error}")
    return slim


def _unslimmed(original: onnx.ModelProto, reason: str) -> onnx.ModelProto:
    logging.getLogger(__name__).info("onnxslim left out: %s", reason)
    return original
