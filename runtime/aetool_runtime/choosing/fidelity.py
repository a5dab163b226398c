"""What a candidate's numbers are worth here, by the bundle's golden vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aetool_runtime.backends import Graph
from aetool_runtime.bundle import Bundle
from aetool_runtime.parity import compare, signal_to_noise
from aetool_runtime.runner import Runner, as_real
from aetool_runtime.selftest import Case, compare_cases, golden_cases
from aetool_runtime.specs import Array, Artifact

__all__ = ["Fidelity", "check_parity", "first_input", "reconstruction_fidelity"]


@dataclass(frozen=True)
class Fidelity:
    """How near a reconstruction is to the model's own, dB; ``None`` where the bundle has no golden samples for it.

    Args:
        psnr: against the range of the model's values.
        snr: against their spread; FORMAT.md, section 3.
    """

    psnr: float | None = None
    snr: float | None = None


def check_parity(bundle: Bundle, artifacts: Sequence[Artifact], graphs: Sequence[Graph]) -> float:
    """The largest share of its tolerance that any value uses in the self-test; inf where nothing could be compared.

    Raises:
        BackendError: the engine failed.
    """
    scales, shares = bundle.manifest.golden.scales, []
    for artifact, graph in zip(artifacts, graphs, strict=True):
        reports = compare_cases(artifact, graph.run, golden_cases(bundle, artifact), scales)
        if not reports:
            return math.inf
        shares += [report.smallest.atol / report.tolerance.atol for report in reports]
    return max(shares)


def reconstruction_fidelity(bundle: Bundle, artifacts: Sequence[Artifact], runners: Sequence[Runner]) -> Fidelity:
    """Run golden samples through all graphs, one after the other, and hold the end against what the model made."""
    first, last = artifacts[0].inputs[0], artifacts[-1].outputs[0]
    for case in golden_cases(bundle):
        given, expected = case.tensors.get(first.name), case.tensors.get(last.name)
        if given is None or expected is None:
            continue
        met = given
        for runner in runners:
            met = runner.run(met)[0]
        scale = bundle.manifest.golden.scales[last.name]
        report = compare(expected, met, scale, artifacts[-1].tolerance, case=case.name, tensor=last.name)
        return Fidelity(report.psnr, signal_to_noise(expected, met, scale))
    return Fidelity()


def first_input(bundle: Bundle, batch_size: int) -> Array:
    """A batch to time with: golden samples, repeated; zeros where the bundle has none."""
    name = "input" if any(a.inputs[0].name == "input" for a in bundle.manifest.artifacts) else "latent"
    spec = bundle.manifest.tensor(name)
    assert spec is not None
    rows = _rows(golden_cases(bundle), name)
    if rows is None:
        rows = np.zeros((1, *(size or 1 for size in spec.sample_shape)), as_real(spec).dtype)
    return np.ascontiguousarray(np.resize(rows, (batch_size, *rows.shape[1:])))


def _rows(cases: Sequence[Case], name: str) -> Array | None:
    return next((case.tensors[name] for case in cases if name in case.tensors), None)
