"""Keras → TFLite."""

from aetool_exporters.tflite.exporter import TfliteExporter

__all__ = ["TfliteExporter"]
