"""The device's self-test: every artifact on every backend and device that is here, against the golden vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aetool_runtime.backends import Backend, available_backends
from aetool_runtime.bundle import Bundle
from aetool_runtime.errors import AetoolError, BackendError
from aetool_runtime.manifest import GoldenTensor
from aetool_runtime.parity import ParityReport, compare, worst
from aetool_runtime.specs import Array, Artifact, OutputScale, TensorSpec, format_shape

__all__ = ["Case", "Check", "check_artifacts", "golden_cases", "self_test"]


@dataclass(frozen=True)
class Case:
    """Inputs with what the reference computes for them: tensor name → [samples, …]."""

    name: str
    tensors: Mapping[str, Array]


@dataclass(frozen=True)
class Check:
    """An artifact's outcome on one backend and device.

    Args:
        reports: one per case and output; empty when it could not run.
        error: why it could not run, else ``None``.
    """

    artifact: Artifact
    backend: str
    device: str
    reports: tuple[ParityReport, ...]
    error: AetoolError | None = None

    @property
    def passed(self) -> bool:
        return self.error is None and bool(self.reports) and all(report.passed for report in self.reports)

    @property
    def worst(self) -> ParityReport | None:
        """The report that is nearest to failing; ``None`` when there is none."""
        return worst(self.reports) if self.reports else None


def golden_cases(bundle: Bundle) -> list[Case]:
    """The golden vectors of a bundle, as arrays."""
    golden = bundle.manifest.golden
    data = bundle.read(golden.path)
    return [
        Case(case.name, {name: _array(data, tensor) for name, tensor in case.tensors.items()}) for case in golden.cases
    ]


def self_test(bundle: Bundle) -> list[Check]:
    """Check every artifact, on everything here that runs it, against the bundle's golden vectors."""
    return list(
        check_artifacts(bundle.manifest.artifacts, bundle.read, golden_cases(bundle), bundle.manifest.golden.scales)
    )


def check_artifacts(
    artifacts: Sequence[Artifact],
    read: Callable[[str], bytes],
    cases: Sequence[Case],
    scales: Mapping[str, OutputScale],
) -> Iterator[Check]:
    """Run artifacts on every backend and device that is here and compare them with the cases.

    Args:
        read: an artifact's path → its bytes.
        scales: output name → the unit that it is compared in.
    """
    for artifact in artifacts:
        data = read(artifact.path)
        for backend in available_backends(artifact.format):
            for device in backend.devices():
                yield _check(artifact, data, backend, device, cases, scales)


def _check(
    artifact: Artifact,
    data: bytes,
    backend: Backend,
    device: str,
    cases: Sequence[Case],
    scales: Mapping[str, OutputScale],
) -> Check:
    try:
        graph = backend.load(data, artifact, device=device, threads=1)
        try:
            reports = [report for case in cases for report in _compare(artifact, graph.run, case, scales)]
        finally:
            graph.close()
    except AetoolError as error:
        return Check(artifact, backend.name, device, (), error)
    return Check(artifact, backend.name, device, tuple(reports))


def _compare(
    artifact: Artifact, run: Callable[[Array], tuple[Array, ...]], case: Case, scales: Mapping[str, OutputScale]
) -> list[ParityReport]:
    given = case.tensors.get(artifact.inputs[0].name)
    if given is None or any(output.name not in case.tensors for output in artifact.outputs):
        return []
    _refuse_other(given, artifact.inputs[0], f"{artifact}, golden case {case.name!r}")
    outputs = run(given)
    for spec, met in zip(artifact.outputs, outputs, strict=True):
        _refuse_other(met, spec, f"{artifact}, output of golden case {case.name!r}")
    return [
        compare(case.tensors[spec.name], met, scales[spec.name], artifact.tolerance, case=case.name, tensor=spec.name)
        for spec, met in zip(artifact.outputs, outputs, strict=True)
    ]


def _refuse_other(array: Array, spec: TensorSpec, where: str) -> None:
    """Numbers alone do not tell whether an artifact is what the manifest says: callers go by its types and shapes."""
    if not spec.takes(array.dtype.name, array.shape):
        raise BackendError(
            f"{spec.name} is {array.dtype.name}{format_shape(array.shape)}",
            where=where,
            expected=f"{spec.dtype}{format_shape((None, *spec.sample_shape))}, as the manifest says",
            hint="export the model again",
        )


def _array(data: bytes, tensor: GoldenTensor) -> Array:
    kind = np.dtype(tensor.dtype).newbyteorder("<")
    count = tensor.bytes // kind.itemsize
    values = np.frombuffer(data, kind, count, tensor.offset).reshape(tensor.shape)
    return values.astype(tensor.dtype)
