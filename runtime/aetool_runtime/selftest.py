"""The device's self-test: every artifact on every backend and device that is here, against the golden vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from aetool_runtime.backends import Backend, available_backends, load_graph
from aetool_runtime.bundle import Bundle
from aetool_runtime.errors import AetoolError, BackendError
from aetool_runtime.golden import GoldenCase, GoldenTensor
from aetool_runtime.parity import MAX_SNR, ParityReport, compare, signal_to_noise, worst
from aetool_runtime.specs import Array, Artifact, OutputScale, TensorSpec, format_shape

__all__ = ["Case", "Check", "Fidelity", "Trial", "check_artifacts", "compare_cases", "golden_cases", "self_test"]


@dataclass(frozen=True)
class Case:
    """Inputs with what the reference computes for them: tensor name → [samples, …]."""

    name: str
    tensors: Mapping[str, Array]


@dataclass(frozen=True)
class Trial:
    """What an artifact is held against.

    Args:
        cases: with exact expectations, compared by parity.
        truth: what Keras computes, for an artifact that is only near it: compared as a whole, in dB; else ``None``.
        least_snr: output → the signal-to-noise ratio that it must reach on ``truth``, dB; others are only measured.
    """

    cases: Sequence[Case]
    truth: Case | None = None
    least_snr: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Fidelity:
    """How near an output of an artifact of reduced precision is to the model's.

    Args:
        tensor: the output's name.
        snr: signal-to-noise ratio, dB.
        least: what it must reach.
    """

    tensor: str
    snr: float
    least: float

    @property
    def passed(self) -> bool:
        return self.snr >= self.least

    def __str__(self) -> str:
        return f"{self.tensor}: signal-to-noise {self.snr:.1f} dB against Keras, at least {self.least:.1f} dB wanted"


@dataclass(frozen=True)
class Check:
    """An artifact's outcome on one backend and device.

    Args:
        reports: one per case and output; empty when it could not run.
        error: why it could not run, else ``None``.
        fidelity: one per output, where it was held against the model as a whole.
    """

    artifact: Artifact
    backend: str
    device: str
    reports: tuple[ParityReport, ...]
    error: AetoolError | None = None
    fidelity: tuple[Fidelity, ...] = ()

    @property
    def passed(self) -> bool:
        passed = [outcome.passed for outcome in self.reports] + [outcome.passed for outcome in self.fidelity]
        return self.error is None and bool(passed) and all(passed)

    @property
    def worst(self) -> ParityReport | None:
        """The report that is nearest to failing; ``None`` when there is none."""
        return worst(self.reports) if self.reports else None


def golden_cases(bundle: Bundle, artifact: Artifact | None = None) -> list[Case]:
    """The golden vectors of a bundle as arrays; of an artifact that has its own, those."""
    return _cases_of(bundle, artifact, bundle.read(bundle.manifest.golden.path))


def _cases_of(bundle: Bundle, artifact: Artifact | None, data: bytes) -> list[Case]:
    cases: Sequence[GoldenCase] = (artifact.cases if artifact else ()) or bundle.manifest.golden.cases
    return [Case(case.name, {name: _array(data, tensor) for name, tensor in case.tensors.items()}) for case in cases]


def self_test(bundle: Bundle) -> list[Check]:
    """Check every artifact, on everything here that runs it, against the bundle's golden vectors."""

    data = bundle.read(bundle.manifest.golden.path)

    def trial(artifact: Artifact) -> Trial:
        return Trial(_cases_of(bundle, artifact, data))

    return list(check_artifacts(bundle.manifest.artifacts, bundle.read, trial, bundle.manifest.golden.scales))


def check_artifacts(
    artifacts: Sequence[Artifact],
    read: Callable[[str], bytes],
    trial_of: Callable[[Artifact], Trial],
    scales: Mapping[str, OutputScale],
) -> Iterator[Check]:
    """Run artifacts on every backend and device that is here and compare them.

    Args:
        read: an artifact's path → its bytes.
        trial_of: what an artifact is held against.
        scales: output name → the unit that it is compared in.
    """
    for artifact in artifacts:
        trial = trial_of(artifact)
        for backend in available_backends(artifact.format):
            for device in backend.devices():
                yield _check(artifact, read, backend, device, trial, scales)


def _check(
    artifact: Artifact,
    read: Callable[[str], bytes],
    backend: Backend,
    device: str,
    trial: Trial,
    scales: Mapping[str, OutputScale],
) -> Check:
    try:
        graph = load_graph(backend, artifact, read, device=device, threads=1)
        try:
            reports = compare_cases(artifact, graph.run, trial.cases, scales)
            fidelity = _fidelity(artifact, graph.run, trial, scales)
        finally:
            graph.close()
    except AetoolError as error:
        return Check(artifact, backend.name, device, (), error)
    return Check(artifact, backend.name, device, tuple(reports), fidelity=fidelity)


def compare_cases(
    artifact: Artifact,
    run: Callable[[Array], tuple[Array, ...]],
    cases: Sequence[Case],
    scales: Mapping[str, OutputScale],
) -> list[ParityReport]:
    """Run the cases that hold the artifact's input and outputs: a report for each and each output.

    Raises:
        BackendError: the engine failed, or what it returns is not what the manifest says.
    """
    return [report for case in cases for report in _compare(artifact, run, case, scales)]


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
        compare(
            spec.real(case.tensors[spec.name]),
            spec.real(met),
            scales[spec.name],
            artifact.tolerance,
            case=case.name,
            tensor=spec.name,
        )
        for spec, met in zip(artifact.outputs, outputs, strict=True)
    ]


def _fidelity(
    artifact: Artifact, run: Callable[[Array], tuple[Array, ...]], trial: Trial, scales: Mapping[str, OutputScale]
) -> tuple[Fidelity, ...]:
    if trial.truth is None:
        return ()
    outputs = run(artifact.inputs[0].stored(trial.truth.tensors[artifact.inputs[0].name]))
    return tuple(
        Fidelity(
            spec.name,
            signal_to_noise(trial.truth.tensors[spec.name], spec.real(met), scales[spec.name]),
            trial.least_snr.get(spec.name, -MAX_SNR),
        )
        for spec, met in zip(artifact.outputs, outputs, strict=True)
    )


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
