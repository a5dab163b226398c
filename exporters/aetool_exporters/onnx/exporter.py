"""The exporter of the format ``onnx``: one file per role, with a free batch dimension."""

from __future__ import annotations

from aetool_exporters.metadata import describe
from aetool_exporters.precision import check_precision
from aetool_exporters.reference import Reference
from aetool_exporters.request import Exported, ExportRequest
from aetool_runtime.errors import DependencyError, UsageError
from aetool_runtime.parity import DEFAULT_TOLERANCES
from aetool_runtime.specs import Artifact, Role

__all__ = ["OPSETS", "OnnxExporter"]

OPSETS = range(13, 19)
"""From the first with per-channel quantization to the last that the converter knows."""


class OnnxExporter:
    """Keras → ONNX through TensorFlow's graph. See ``Exporter``."""

    format = "onnx"
    precisions: tuple[str, ...] = ("float32",)

    def export(self, reference: Reference, request: ExportRequest) -> Exported:
        """Convert every role to ``onnx/ROLE.PRECISION.onnx``.

        Raises:
            UsageError: a precision or opset that this exporter does not have.
            UnsupportedOperatorError: an operation without an ONNX counterpart; names it, and the layer where known.
            ConversionError: the converter failed, or its result is not valid ONNX.
            DependencyError: the ``export`` extra is not installed.
        """
        check_precision(self.format, self.precisions, request.precision)
        _check_opset(request.opset)
        artifacts = tuple(_artifact(reference, request, role) for role in reference.roles)
        files = {artifact.path: _file(reference, request, artifact.role) for artifact in artifacts}
        return Exported(artifacts, files)


def _check_opset(opset: int) -> None:
    if opset not in OPSETS:
        raise UsageError(
            f"ONNX opset {opset} cannot be written",
            expected=f"one from {OPSETS[0]} to {OPSETS[-1]}",
            hint="17 runs on every ONNX Runtime since 1.12",
        )


def _artifact(reference: Reference, request: ExportRequest, role: Role) -> Artifact:
    interface = reference.interface(role)
    return Artifact(
        role=role,
        format="onnx",
        precision=request.precision,
        path=f"onnx/{role}.{request.precision}.onnx",
        inputs=(interface.given,),
        outputs=interface.returned,
        tolerance=DEFAULT_TOLERANCES[request.precision],
        opset=request.opset,
    )


def _file(reference: Reference, request: ExportRequest, role: Role) -> bytes:
    try:
        from aetool_exporters.onnx.build import build
    except ImportError as error:
        raise DependencyError(f"ONNX cannot be written here ({error})", hint="pip install 'aetool[export]'") from error
    return build(reference, role, request.opset, describe(reference, request, (role,)))
