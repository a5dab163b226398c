"""Keras → ONNX → ONNX Runtime's own format, for its small builds, which read nothing else."""

from aetool_exporters.ort.exporter import OrtExporter

__all__ = ["OrtExporter"]
