"""The exporter of the format ``ort``: the ONNX files once more, as ONNX Runtime's small builds read them."""

from __future__ import annotations

from dataclasses import replace

from aetool_exporters.onnx import OnnxExporter
from aetool_exporters.reference import Reference
from aetool_exporters.request import Exported, Exporter, ExportRequest
from aetool_runtime.errors import ConversionError, DependencyError

__all__ = ["OrtExporter"]


class OrtExporter:
    """ONNX → ORT. See ``DerivedExporter``.

    Beside the graphs stands the list of operations, with their types, that a build of ONNX Runtime for them needs:
    ``--include_ops_by_config`` of its build script takes it.
    """

    format = "ort"
    precisions = OnnxExporter.precisions
    based_on = OnnxExporter.format

    def __init__(self) -> None:
        self._source: Exporter = OnnxExporter()

    def derive_from(self, source: Exporter) -> None:
        """See ``DerivedExporter``."""
        self._source = source

    def export(self, reference: Reference, request: ExportRequest) -> Exported:
        """Convert every role to ``ort/ROLE.PRECISION.ort``.

        Raises:
            UsageError, UnsupportedOperatorError, ConversionError: see ``OnnxExporter``; or the graph is too large.
            DependencyError: ONNX Runtime is not installed.
        """
        try:
            from aetool_exporters.ort.conversion import convert, required_operators
        except ImportError as error:
            hint = "pip install 'aetool[cpu,export]'"
            raise DependencyError(f"ORT files cannot be written here ({error})", hint=hint) from error
        found = self._source.export(reference, request)
        if any(artifact.external_data for artifact in found.artifacts):
            raise ConversionError(
                "the graph takes 2 GiB or more", expected="less, which is what an ORT file holds", hint="leave ORT out"
            )
        files = {_path(artifact.path): convert(found.files[artifact.path]) for artifact in found.artifacts}
        operators = required_operators(list(files.values()))
        artifacts = tuple(
            replace(artifact, format=self.format, path=_path(artifact.path)) for artifact in found.artifacts
        )
        config = f"ort/required_operators.{request.precision}.config"
        return Exported(artifacts, {**files, config: operators}, found.notices)


def _path(path: str) -> str:
    return "ort/" + path.removeprefix("onnx/").removesuffix(".onnx") + ".ort"
