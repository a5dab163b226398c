"""aetool's exporters: Keras models to ONNX and TFLite, verified, in a bundle.

    from aetool_exporters import export

    export(encoder, decoder, "model.aepkg", samples=Samples.of(held_out))

TensorFlow and the converters are imported where they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aetool_exporters.cases import Samples
from aetool_exporters.pipeline import ExportOptions, export
from aetool_exporters.reference import Reference
from aetool_exporters.verification import verify

if TYPE_CHECKING:
    from aetool_exporters.callback import ExportBest

__all__ = ["ExportBest", "ExportOptions", "Reference", "Samples", "export", "verify"]


def __getattr__(name: str) -> Any:
    """``ExportBest`` is a class of Keras, which is imported when it is asked for."""
    if name != "ExportBest":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from aetool_exporters.callback import ExportBest

    return ExportBest
