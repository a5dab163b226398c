"""Does an artifact go into the bundle? Runs what was exported on every engine here and holds it against Keras.

``float32`` must compute what Keras computes, value by value. A reduced precision computes something near it: it must
keep a signal-to-noise ratio, below which a graph has collapsed rather than lost precision, and every engine must agree
with what the artifact itself returned here. Those outputs travel with it, for the device's self-test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from aetool_exporters.cases import HELD_OUT, Suite, golden_subset
from aetool_exporters.request import Exported
from aetool_runtime.backends import available_backends, load_graph
from aetool_runtime.errors import DependencyError
from aetool_runtime.selftest import Case, Check, Trial, check_artifacts
from aetool_runtime.specs import Artifact

__all__ = ["EXACT", "LEAST_SNR", "Judge", "Verdict", "key_of"]

EXACT = "float32"
"""The precision that is held against Keras value by value."""

LEAST_SNR: Mapping[str, float] = {"float16": 40.0, "int16x8": 20.0, "dynamic_range": 10.0, "int8": 10.0}
"""Of a role's own output on held-out data, dB. 10 dB: the error is a third of what the output varies by."""

# Fewer than the bundle's: they come once for each artifact, and are compared with what is all but equal.
_OWN = (HELD_OUT, "zeros", "maximum", "latent maximum")
_OWN_SAMPLES = 4


@dataclass
class Verdict:
    """What passed, what did not, every check on the way, and the golden vectors that artifacts bring themselves."""

    passed: list[Exported] = field(default_factory=list)
    failed: list[Exported] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    own_cases: dict[tuple[str, str, str], tuple[Case, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Judge:
    """Holds exported files against Keras.

    Args:
        suite: what Keras computes.
        golden: the same for the samples that may travel in the bundle.
        on_check: is told of every check as it is done.
    """

    suite: Suite
    golden: Suite
    on_check: Callable[[Check], None] = lambda check: None

    def judge(self, exported: Exported, verdict: Verdict) -> None:
        """Try every artifact; the whole passes or fails.

        Raises:
            DependencyError: no engine is here to try one with.
        """
        own = {key_of(a): self._own_cases(a, exported.files.__getitem__) for a in exported.artifacts}
        checks = []
        for artifact in exported.artifacts:
            for check in check_artifacts(
                [artifact],
                exported.tried(artifact),
                lambda artifact: self._trial(artifact, own[key_of(artifact)]),
                self.suite.scales,
            ):
                self.on_check(check)
                checks.append(check)
        _refuse_untried(exported.artifacts, checks)
        settled = replace(exported, artifacts=tuple(_with_snr(a, checks) for a in exported.artifacts))
        verdict.checks += [replace(c, artifact=_with_snr(c.artifact, checks)) for c in checks]
        (verdict.passed if all(check.passed for check in checks) else verdict.failed).append(settled)
        verdict.own_cases |= own

    def _own_cases(self, artifact: Artifact, read: Callable[[str], bytes]) -> tuple[Case, ...]:
        """What the artifact itself makes of the golden inputs, on the first engine here."""
        backends = available_backends(artifact.format)
        if artifact.precision == EXACT or not backends:
            return ()
        graph = load_graph(backends[0], artifact, read, device="cpu", threads=1)
        spec = artifact.inputs[0]
        try:
            cases = []
            for case in golden_subset(self.golden):
                if case.name not in _OWN or spec.name not in case.tensors:
                    continue
                given = spec.stored(case.tensors[spec.name][:_OWN_SAMPLES])
                outputs = zip(artifact.outputs, graph.run(given), strict=True)
                cases.append(Case(case.name, {spec.name: given, **{output.name: met for output, met in outputs}}))
        finally:
            graph.close()
        return tuple(cases)

    def _trial(self, artifact: Artifact, own: Sequence[Case]) -> Trial:
        if artifact.precision == EXACT:
            return Trial(self.suite.cases)
        least = LEAST_SNR.get(artifact.precision, 0.0)
        return Trial(own, self.suite.held_out, {artifact.outputs[0].name: least})


def key_of(artifact: Artifact) -> tuple[str, str, str]:
    """What an artifact is, whatever was found out about it."""
    return artifact.role, artifact.format, artifact.precision


def _with_snr(artifact: Artifact, checks: Sequence[Check]) -> Artifact:
    """With the least ratio that any engine here reached, in tenths of a dB."""
    met: dict[str, float] = {}
    for check in checks:
        if key_of(check.artifact) == key_of(artifact):
            for outcome in check.fidelity:
                met[outcome.tensor] = round(min(outcome.snr, met.get(outcome.tensor, outcome.snr)), 1)
    return replace(artifact, snr=met) if met else artifact


def _refuse_untried(artifacts: Sequence[Artifact], checks: Sequence[Check]) -> None:
    tried = {key_of(check.artifact) for check in checks}
    untried = [artifact for artifact in artifacts if key_of(artifact) not in tried]
    if untried:
        raise DependencyError(
            f"no backend is here to verify {untried[0].format} with, and nothing is shipped unverified",
            hint="pip install 'aetool[cpu]' for ONNX, 'aetool[litert]' for TFLite, or leave the format out",
        )
