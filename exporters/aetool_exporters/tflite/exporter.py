"""The exporter of the format ``tflite``: one file, a signature per role, a fixed batch of 1."""

from __future__ import annotations

from aetool_exporters.metadata import describe
from aetool_exporters.precision import check_precision
from aetool_exporters.reference import Reference
from aetool_exporters.request import Exported, ExportRequest
from aetool_exporters.tflite.signatures import Signature, signatures
from aetool_runtime.errors import ConversionError, DependencyError
from aetool_runtime.parity import DEFAULT_TOLERANCES
from aetool_runtime.specs import Artifact, TensorSpec

__all__ = ["TfliteExporter"]


class TfliteExporter:
    """Keras → TFLite through a SavedModel. See ``Exporter``."""

    format = "tflite"
    precisions: tuple[str, ...] = ("float32",)

    def export(self, reference: Reference, request: ExportRequest) -> Exported:
        """Convert every role into the one file ``tflite/model.PRECISION.tflite``.

        Raises:
            UsageError: a precision that this exporter does not have.
            UnsupportedOperatorError: an operation without a TFLite counterpart; names it, and the layer where known.
            ConversionError: a free dimension besides the batch, or the converter failed.
            DependencyError: the ``export`` extra is not installed.
        """
        check_precision(self.format, self.precisions, request.precision)
        wanted = signatures(reference, request.sample_shape)
        for signature in wanted:
            for spec in (signature.interface.given, *signature.interface.returned):
                _check_sizes(spec)
        path = f"tflite/model.{request.precision}.tflite"
        artifacts = tuple(_artifact(signature, path, request.precision) for signature in wanted)
        return Exported(artifacts, {path: _file(reference, request, wanted)})


def _check_sizes(spec: TensorSpec) -> None:
    if None in spec.shape:
        raise ConversionError(
            f"{spec} has a free dimension besides the batch",
            expected="fixed sizes, which TFLite needs",
            hint="give samples, whose sizes it then has, or leave TFLite out",
        )


def _artifact(signature: Signature, path: str, precision: str) -> Artifact:
    return Artifact(
        role=signature.role,
        format="tflite",
        precision=precision,
        path=path,
        inputs=(signature.interface.given,),
        outputs=signature.interface.returned,
        tolerance=DEFAULT_TOLERANCES[precision],
        signature=signature.key,
    )


def _file(reference: Reference, request: ExportRequest, wanted: tuple[Signature, ...]) -> bytes:
    try:
        from aetool_exporters.tflite.build import build
    except ImportError as error:
        raise DependencyError(
            f"TFLite cannot be written here ({error})", hint="pip install 'aetool[export]'"
        ) from error
    return build(reference, wanted, describe(reference, request, reference.roles))
