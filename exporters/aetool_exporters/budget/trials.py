"""Makes and measures candidates of one format, each once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property

from aetool_exporters.budget.candidates import Candidate
from aetool_exporters.budget.frontier import Trial, pareto
from aetool_exporters.budget.meter import Meter, Quality
from aetool_exporters.judgement import Judge, Verdict
from aetool_exporters.reference import Reference
from aetool_exporters.request import Exported, Exporter, ExportRequest
from aetool_runtime.errors import ConversionError, DependencyError, ParityError, UnavailableError

__all__ = ["FLOAT", "Bench", "Observer"]

FLOAT = Candidate("float32")
Observer = Callable[[str, Trial], None]
_SHELF_BYTES = 256 << 20


class Bench:
    """Where candidates of one format are exported and measured.

    Attributes:
        tuned: the model with fine-tuned weights, which candidates that want them need.
        settled: the verdict on the last candidate that passed verification.

    Args:
        exporter: makes them.
        original: the model.
        request: the rest of what is asked for.
        meter: measures.
        judge: verifies what is to be delivered.
        on_trial: is told of each trial, with the format.
    """

    def __init__(
        self,
        exporter: Exporter,
        original: Reference,
        request: ExportRequest,
        meter: Meter,
        judge: Judge,
        on_trial: Observer,
    ) -> None:
        self.meter = meter
        self.format = exporter.format
        self.tuned: Reference | None = None
        self.settled = Verdict()
        self.trials: list[Trial] = []
        self._exporter = exporter
        self._original = original
        self._request = request
        self._judge = replace(judge, on_check=lambda check: None)
        self._on_trial = on_trial
        self._known: dict[Candidate, Trial] = {}
        self._qualities: dict[str, Quality] = {}
        self._shelf: dict[Candidate, Exported] = {}

    def trial(self, candidate: Candidate) -> Trial:
        """Export and measure; what cannot be converted or run is a trial with an error.

        Raises:
            DependencyError: a package is missing.
        """
        if candidate not in self._known:
            trial = self._made(candidate)
            self._known[candidate] = trial
            self.trials.append(trial)
            self._on_trial(self.format, trial)
        return self._known[candidate]

    def known(self, candidate: Candidate) -> bool:
        """Whether asking for it takes no time."""
        return candidate in self._known

    @cached_property
    def baseline(self) -> Trial | None:
        """The float32 artifacts, where the format has them and they can be made."""
        if FLOAT.precision not in self._exporter.precisions:
            return None
        trial = self._made(FLOAT)
        return None if trial.quality is None else trial

    def export(self, candidate: Candidate) -> Exported:
        """Its files: off the shelf, or made again."""
        return self._shelf.get(candidate) or self._export(candidate)

    @property
    def shelf(self) -> Mapping[Candidate, Exported]:
        """The Pareto set and the float32 artifacts, as far as they fit into 256 MiB."""
        return self._shelf

    def verified(self, candidate: Candidate) -> Trial:
        """Its trial after verification: with an error where it computes something else than the model."""
        verdict, exported = Verdict(), self.export(candidate)
        self._judge.judge(exported, verdict)
        if verdict.passed:
            self.settled = verdict
            return self._known[candidate]
        refused = replace(self._known[candidate], error=ParityError(f"fails verification: {_why(verdict)}"))
        self.trials[self.trials.index(self._known[candidate])] = refused
        self._known[candidate] = refused
        self._on_trial(self.format, refused)
        return refused

    def _made(self, candidate: Candidate) -> Trial:
        try:
            exported = self._export(candidate)
            digest = _digest(exported)
            trial = Trial(candidate, _size(exported), self._quality(exported, digest), digest=digest)
        except DependencyError:
            raise
        except (ConversionError, UnavailableError) as error:
            return Trial(candidate, error=error)
        self._put(trial, exported)
        return trial

    def _export(self, candidate: Candidate) -> Exported:
        reference = self._original
        if candidate.tuned:
            assert self.tuned is not None
            reference = self.tuned
        options = candidate.options(self._request.quantization)
        return self._exporter.export(
            reference, replace(self._request, precision=candidate.precision, quantization=options)
        )

    def _put(self, trial: Trial, exported: Exported) -> None:
        """On the shelf, and what it beats off it."""
        points = {point.candidate for point in pareto([*self.trials, trial])} | {FLOAT}
        self._shelf = {candidate: held for candidate, held in self._shelf.items() if candidate in points}
        taken = sum(map(_size, self._shelf.values()))
        if trial.candidate in points and taken + trial.size <= _SHELF_BYTES:
            self._shelf[trial.candidate] = exported

    def _quality(self, exported: Exported, digest: str) -> Quality:
        """The same files need not run again."""
        if digest not in self._qualities:
            self._qualities[digest] = self.meter.measure(exported)
        return self._qualities[digest]


def _why(verdict: Verdict) -> str:
    failed = next(check for check in verdict.checks if not check.passed)
    missed = [str(outcome) for outcome in failed.fidelity if not outcome.passed]
    why = failed.error.what if failed.error is not None else (missed or [str(failed.worst)])[0]
    return f"{failed.artifact} on {failed.backend}/{failed.device}: {why}"


def _size(exported: Exported) -> int:
    return sum(map(len, exported.files.values()))


def _digest(exported: Exported) -> str:
    digest = hashlib.sha256()
    for path in sorted(exported.files):
        digest.update(hashlib.sha256(exported.files[path]).digest())
    return digest.hexdigest()
