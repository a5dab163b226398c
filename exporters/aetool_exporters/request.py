"""What an exporter is given and what it gives back: the plug-in point ``aetool.exporters``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from aetool_exporters.reference import Reference
from aetool_runtime.specs import Artifact

__all__ = ["ExportRequest", "Exported", "Exporter"]


@dataclass(frozen=True)
class ExportRequest:
    """What the user asked for.

    Args:
        name: the model's name, for metadata.
        precision: see ``aetool_runtime.specs.PRECISIONS``.
        opset: of ONNX's default domain; other formats ignore it.
        sample_shape: of the samples that the artifacts are tried on, without the batch; formats that cannot have free
            dimensions take these sizes for them. () where it is not known.
    """

    name: str
    precision: str = "float32"
    opset: int = 17
    sample_shape: tuple[int, ...] = ()


@dataclass(frozen=True)
class Exported:
    """What an exporter made, in memory.

    Args:
        artifacts: one per role.
        files: path in the bundle → bytes; every artifact's path is a key.
    """

    artifacts: tuple[Artifact, ...]
    files: Mapping[str, bytes] = field(repr=False)


class Exporter(Protocol):
    """Turns a Keras reference and a request into artifacts. Stateless; made without arguments."""

    format: str
    precisions: tuple[str, ...]

    def export(self, reference: Reference, request: ExportRequest) -> Exported:
        """Convert every role that ``reference`` has.

        The same reference and request give the same bytes in every process.

        Raises:
            UnsupportedOperatorError: an operation without a counterpart; names it, and the layer where known.
            ConversionError: anything else that the converter could not do.
        """
        ...
