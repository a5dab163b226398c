"""What an exporter is given and what it gives back: the plug-in point ``aetool.exporters``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from aetool_exporters.reference import Reference
from aetool_runtime.specs import Array, Artifact

__all__ = [
    "CALIBRATION_METHODS",
    "Calibration",
    "DerivedExporter",
    "ExportRequest",
    "Exported",
    "Exporter",
    "QuantizationOptions",
]

CALIBRATION_METHODS = ("minmax", "entropy", "percentile", "mse")


@dataclass(frozen=True)
class Calibration:
    """The data that the ranges of activations are measured on, and how.

    Args:
        batches: gives the data anew at every call: raw samples [n ≥ 1, …], as the encoder takes them. Read as a stream,
            never held as a whole.
        method: one of ``CALIBRATION_METHODS``: the whole range met; the range of least Kullback-Leibler divergence; all
            but the outermost share of the values; the range of least squared error.
    """

    batches: Callable[[], Iterator[Array]]
    method: str = "minmax"


@dataclass(frozen=True)
class QuantizationOptions:
    """How a precision below float32 is reached; ``float32`` and ``float16`` ignore it.

    Args:
        calibration: required for ``int8`` and ``int16x8``.
        per_channel: one scale for each output channel of a kernel instead of one for the whole.
        integer_io: graphs take and return the integers themselves, for devices without floating point.
        float_layers: names of Keras layers that stay in float32.
    """

    calibration: Calibration | None = None
    per_channel: bool = True
    integer_io: bool = False
    float_layers: frozenset[str] = frozenset()


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
    quantization: QuantizationOptions = field(default_factory=QuantizationOptions)


@dataclass(frozen=True)
class Exported:
    """What an exporter made, in memory.

    Args:
        artifacts: one per role.
        files: path in the bundle → bytes; every artifact's path is a key.
        notices: what the user should know, one sentence each, such as a layer that stays in float32 and why.
        on_trial: for an artifact in a file of many graphs that is too large for an engine to get all of them ready: the
            file's bytes, but that its other graphs compute nothing. ``None`` where the file itself is tried.
    """

    artifacts: tuple[Artifact, ...]
    files: Mapping[str, bytes] = field(repr=False)
    notices: tuple[str, ...] = ()
    on_trial: Callable[[Artifact], bytes] | None = field(default=None, repr=False)

    def tried(self, artifact: Artifact) -> Callable[[str], bytes]:
        """Path → bytes, as an engine is given them to try an artifact."""
        special = self.on_trial
        if special is None:
            return self.files.__getitem__
        return lambda path: special(artifact) if path == artifact.path else self.files[path]


class Exporter(Protocol):
    """Turns a Keras reference and a request into artifacts. Made without arguments.

    One exporter serves all precisions of an export, and the many trials of a search: it may keep the float graph of the
    reference it saw last, so that TensorFlow is asked once.
    """

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


@runtime_checkable
class DerivedExporter(Exporter, Protocol):
    """An exporter that rewrites the files of another format.

    Attributes:
        based_on: the name of that format.
    """

    based_on: str

    def derive_from(self, source: Exporter) -> None:
        """From now on take the files from ``source``, which the same export asks for the other format, too.

        Without this call they are made by an exporter of its own.
        """
        ...
