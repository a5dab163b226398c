"""Rewrites of a converted graph that leave out what computes nothing: each exact but for the order of rounding."""

from aetool_exporters.onnx.cleaning.clean import clean

__all__ = ["clean"]
