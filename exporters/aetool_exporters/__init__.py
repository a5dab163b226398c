"""aetool's exporters: Keras models to ONNX and TFLite, verified, in a bundle.

    from aetool_exporters import export

    export(encoder, decoder, "model.aepkg", samples=Samples.of(held_out))

TensorFlow and the converters are imported where they are used.
"""

from aetool_exporters.cases import Samples
from aetool_exporters.pipeline import ExportOptions, export
from aetool_exporters.reference import Reference
from aetool_exporters.verification import verify

__all__ = ["ExportOptions", "Reference", "Samples", "export", "verify"]
