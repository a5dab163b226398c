"""The exporter of the format ``onnx``: one file per role, with a free batch dimension."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from aetool_exporters.lazy_files import LazyFiles
from aetool_exporters.metadata import PREFIX, describe
from aetool_exporters.precision import check_precision
from aetool_exporters.reference import Interface, Reference
from aetool_exporters.request import Exported, ExportRequest
from aetool_runtime.errors import DependencyError, UsageError
from aetool_runtime.parity import DEFAULT_TOLERANCES
from aetool_runtime.specs import Artifact, Quantization, Role, TensorSpec, format_shape

if TYPE_CHECKING:
    from aetool_exporters.onnx.build import FloatGraph

__all__ = ["OPSETS", "OnnxExporter"]

OPSETS = range(13, 19)
"""From the first with per-channel quantization to the last that the converter knows."""


class OnnxExporter:
    """Keras → ONNX through TensorFlow's graph. See ``Exporter``."""

    format = "onnx"
    precisions: tuple[str, ...] = ("float32", "float16", "dynamic_range", "int8")

    def __init__(self, limit: int = 2**31 - 2**20) -> None:
        """``limit``: bytes from which on a graph's weights stand in a file beside it; a protobuf is below 2 GiB."""
        self.limit = limit
        self._last: tuple[Reference, ExportRequest, dict[Role, FloatGraph]] | None = None

    def export(self, reference: Reference, request: ExportRequest) -> Exported:
        """Convert every role to ``onnx/ROLE.PRECISION.onnx``.

        Raises:
            UsageError: a precision or opset that this exporter does not have, int8 without data to calibrate with, or
                an unknown layer to keep in float32.
            UnsupportedOperatorError: an operation without an ONNX counterpart; names it, and the layer where known.
            ConversionError: the converter failed, or its result is not valid ONNX.
            DependencyError: the ``export`` extra is not installed; for int8, ONNX Runtime either.
        """
        check_precision(self.format, self.precisions, request.precision)
        _check_opset(request.opset)
        graphs = self._float_graphs(reference, request)
        if request.precision == "float32":
            interfaces = {role: reference.interface(role) for role in graphs}
            artifacts = tuple(_artifact(role, request, interface) for role, interface in interfaces.items())
            return _at_float32(graphs, artifacts, self.limit)
        return _reduced(graphs, reference, request)

    def _float_graphs(self, reference: Reference, request: ExportRequest) -> dict[Role, FloatGraph]:
        """The float32 graphs, kept for other precisions of the same model: TensorFlow is asked once."""
        at_float32 = ExportRequest(request.name, opset=request.opset)
        if self._last is not None and self._last[0] is reference and self._last[1] == at_float32:
            return self._last[2]
        try:
            from aetool_exporters.onnx.build import build
        except ImportError as error:
            hint = "pip install 'aetool[export]'"
            raise DependencyError(f"ONNX cannot be written here ({error})", hint=hint) from error
        graphs = {
            role: build(reference, role, request.opset, describe(reference, at_float32, (role,)))
            for role in reference.roles
        }
        self._last = (reference, at_float32, graphs)
        return graphs


def _at_float32(graphs: Mapping[Role, FloatGraph], artifacts: Sequence[Artifact], limit: int) -> Exported:
    """Files that are written when they are asked for, one at a time."""
    made: dict[str, Callable[[], bytes]] = {}
    placed = []
    for artifact in artifacts:
        files = graphs[artifact.role].files(artifact.path, limit)
        beside = next((path for path in files if path != artifact.path), None)
        placed.append(replace(artifact, external_data=beside))
        made |= files
    return Exported(tuple(placed), LazyFiles(made))


def _reduced(graphs: Mapping[Role, FloatGraph], reference: Reference, request: ExportRequest) -> Exported:
    from aetool_exporters.onnx.build import finish
    from aetool_exporters.onnx.quantization.reduction import reduce

    reduced, notices = reduce(graphs, request.precision, request.quantization)
    artifacts, files = [], {}
    for role, graph in reduced.items():
        interface = _with_integers(reference.interface(role), graph.quantized)
        artifact = _artifact(role, request, interface)
        metadata = describe(reference, request, (role,)) | _tensor_entries(interface)
        files[artifact.path] = finish(graph.model, interface, metadata)
        artifacts.append(artifact)
    return Exported(tuple(artifacts), files, notices)


def _check_opset(opset: int) -> None:
    if opset not in OPSETS:
        raise UsageError(
            f"ONNX opset {opset} cannot be written",
            expected=f"one from {OPSETS[0]} to {OPSETS[-1]}",
            hint="17 runs on every ONNX Runtime since 1.12",
        )


def _artifact(role: Role, request: ExportRequest, interface: Interface) -> Artifact:
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


def _with_integers(interface: Interface, quantized: Mapping[str, Quantization]) -> Interface:
    def spec(tensor: TensorSpec) -> TensorSpec:
        if tensor.name not in quantized:
            return tensor
        return replace(tensor, dtype="uint8", quantization=quantized[tensor.name])

    return Interface(spec(interface.given), tuple(map(spec, interface.returned)))


def _tensor_entries(interface: Interface) -> dict[str, str]:
    """The metadata of tensors whose type differs from the reference's."""
    specs = (interface.given, *interface.returned)
    return {f"{PREFIX}tensor.{spec.name}": spec.dtype + format_shape(spec.shape) for spec in specs}
