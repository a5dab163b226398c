"""Keras → ONNX."""

from aetool_exporters.onnx.exporter import OnnxExporter

__all__ = ["OnnxExporter"]
