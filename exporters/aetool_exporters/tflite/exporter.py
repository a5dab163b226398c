"""The exporter of the format ``tflite``: one file, a signature per role, a fixed batch of 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from aetool_exporters.lazy_files import LazyFiles
from aetool_exporters.metadata import PREFIX, describe
from aetool_exporters.precision import check_precision
from aetool_exporters.reference import Reference
from aetool_exporters.request import Exported, ExportRequest
from aetool_exporters.tflite.signatures import Signature, signatures
from aetool_runtime.errors import ConversionError, DependencyError
from aetool_runtime.parity import DEFAULT_TOLERANCES
from aetool_runtime.specs import PRECISIONS, Artifact, TensorSpec

if TYPE_CHECKING:
    from aetool_exporters.tflite.reduced import FloatCore

__all__ = ["TfliteExporter"]


LARGEST = 2**31 - 2**20
"""Bytes of weights that a FlatBuffer is too small for."""


class TfliteExporter:
    """Keras → TFLite through a SavedModel. See ``Exporter``.

    The float graph of the last reference is kept: TensorFlow is asked once for all precisions below float32.

    Attributes:
        operation_layers: path of a file of reduced precision that was made → graph → for each of its operations the
            Keras layer that it came from, or "". For ``microcontroller.obstacles``.
    """

    format = "tflite"
    precisions: tuple[str, ...] = PRECISIONS

    def __init__(self) -> None:
        self.operation_layers: dict[str, dict[str, list[str]]] = {}
        self._last: tuple[Reference, tuple[int, ...], FloatCore] | None = None

    def export(self, reference: Reference, request: ExportRequest) -> Exported:
        """Convert every role into the one file ``tflite/model.PRECISION.tflite``.

        Raises:
            UsageError: a precision that this exporter does not have, or ``int8`` or ``int16x8`` without data.
            UnsupportedOperatorError: an operation without a TFLite counterpart; names it, and the layer where known.
            ConversionError: a free dimension besides the batch, the converter failed, or integers cannot stand for the
                model's input or output.
            InputError: calibration data that do not fit.
            DependencyError: the ``export`` extra is not installed.
        """
        check_precision(self.format, self.precisions, request.precision)
        _check_weights(reference)
        wanted = signatures(reference, request.sample_shape)
        for signature in wanted:
            for spec in (signature.interface.given, *signature.interface.returned):
                _check_sizes(spec)
        path = _path(request)
        try:
            if request.precision == "float32":
                return self._at_float32(reference, request, wanted)
            data, wanted, notices = self._build(reference, request, wanted)
        except ImportError as error:
            raise DependencyError(
                f"TFLite cannot be written here ({error})", hint="pip install 'aetool[export]'"
            ) from error
        artifacts = tuple(_artifact(signature, path, request.precision) for signature in wanted)
        return Exported(artifacts, {path: data}, notices)

    def _at_float32(self, reference: Reference, request: ExportRequest, wanted: tuple[Signature, ...]) -> Exported:
        from aetool_exporters.tflite.build import build

        packed, path = build(reference, wanted, describe(reference, request, reference.roles)), _path(request)
        artifacts = tuple(_artifact(signature, path, request.precision) for signature in wanted)
        if not packed.large:
            return Exported(artifacts, {path: packed.write()})
        return Exported(
            artifacts,
            LazyFiles({path: packed.write}),
            on_trial=lambda artifact: packed.alone(artifact.signature or "").write(),
        )

    def _build(
        self, reference: Reference, request: ExportRequest, wanted: tuple[Signature, ...]
    ) -> tuple[bytes, tuple[Signature, ...], tuple[str, ...]]:
        from aetool_exporters.tflite.build import finish
        from aetool_exporters.tflite.reduced import reduce

        metadata = describe(reference, request, reference.roles)
        core = self._core(reference, request.sample_shape, wanted)
        made = reduce(core, reference, wanted, request.precision, request.quantization)
        described = _with_types(metadata, made.signatures)
        data = finish(made.model, made.signatures, described, named=False)
        self.operation_layers[_path(request)] = {
            graph.name: [made.layers.get(id(operator), "") for operator in graph.operators or ()]
            for graph in made.model.subgraphs
        }
        return data, made.signatures, made.notices

    def _core(self, reference: Reference, sample_shape: tuple[int, ...], wanted: tuple[Signature, ...]) -> FloatCore:
        from aetool_exporters.tflite.reduced import float_core

        if self._last is None or self._last[0] is not reference or self._last[1] != sample_shape:
            self._last = (reference, sample_shape, float_core(reference, wanted))
        return self._last[2]


def _path(request: ExportRequest) -> str:
    return f"tflite/model.{request.precision}.tflite"


def _with_types(metadata: Mapping[str, str], wanted: tuple[Signature, ...]) -> dict[str, str]:
    """With the types that tensors of integers have in place of the model's."""
    specs = [spec for signature in wanted for spec in (signature.interface.given, *signature.interface.returned)]
    integers = {f"{PREFIX}tensor.{spec.name}": spec.dtype for spec in specs if spec.quantization is not None}
    return {key: integers[key] + text[text.index("[") :] if key in integers else text for key, text in metadata.items()}


def _check_weights(reference: Reference) -> None:
    """The way to every precision leads through a file at float32."""
    size = 4 * sum(reference.parameters.values())
    if size >= LARGEST:
        raise ConversionError(
            f"the weights take {size:,} bytes",
            expected="less than 2 GiB, which is what a TFLite file holds",
            hint="leave TFLite out: --onnx",
        )


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
