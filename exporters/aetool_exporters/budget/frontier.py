"""What a search found: every trial, and those that no other one beats in both bytes and quality."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aetool_exporters.budget.budget import Budget
from aetool_exporters.budget.candidates import Candidate
from aetool_exporters.budget.meter import Quality
from aetool_runtime.errors import AetoolError

__all__ = ["FRONTIER_HEADER", "Frontier", "Trial", "frontier_json", "frontier_rows", "pareto", "trial_line"]

FRONTIER_HEADER = ("format", "candidate", "bytes", "of float32", "quality", "lost", "µs a call", "verdict")


@dataclass(frozen=True)
class Trial:
    """A candidate, exported and measured.

    Args:
        size: bytes of all its files.
        quality: on the held-out data; ``None`` where there is none to measure.
        error: why it could not be made, measured or verified, else ``None``.
        digest: of its files: choices that make no difference have the same.
    """

    candidate: Candidate
    size: int = 0
    quality: Quality | None = None
    error: AetoolError | None = None
    digest: str = ""

    @property
    def key(self) -> tuple[int, float, float, tuple[int, str]]:
        """Smaller is better: bytes, then quality; the rest makes the order the same every time."""
        assert self.quality is not None
        return (self.size, self.quality.loss, -self.quality.snr, self.candidate.order)


def trial_line(trial: Trial, budget: Budget) -> str:
    """A trial in one line, for those who watch the search."""
    if trial.quality is None:
        return f"{trial.candidate}: {'nothing to measure' if trial.error is None else trial.error.what}"
    value, loss = budget.text(trial.quality.value), budget.text(trial.quality.loss)
    failed = "" if trial.error is None else f"; {trial.error.what}"
    return f"{trial.candidate}: {trial.size:,} bytes, {budget.name} {value}, {loss} lost{failed}"


@dataclass(frozen=True)
class Frontier:
    """Of one format.

    Args:
        budget: what was asked for.
        value: of the float model, by the budget's metric.
        limit: the largest loss that is accepted, in the metric's unit.
        samples: how many were held out.
        baseline: the format's float32 artifacts, for comparison; ``None`` where it has none.
        trials: in the order in which they were made.
        complete: the search came to its end before its time was up.
        chosen: what is delivered; ``None`` where nothing keeps the budget.
        latency: candidate → seconds of a call with one sample, of those worth a look. Decides nothing.
    """

    format: str
    budget: Budget
    value: float
    limit: float
    samples: int
    baseline: Trial | None
    trials: tuple[Trial, ...]
    complete: bool
    chosen: Candidate | None = None
    latency: Mapping[Candidate, float] = field(default_factory=dict)

    @property
    def measured(self) -> list[Trial]:
        """Those with a quality, the smallest first."""
        return _measured(self.trials)

    @property
    def points(self) -> list[Trial]:
        """The Pareto set; see ``pareto``."""
        return pareto(self.trials)

    @property
    def within(self) -> list[Trial]:
        """Those that keep the budget, the smallest first."""
        return [trial for trial in self.measured if trial.error is None and _loss(trial) <= self.limit]

    @property
    def best(self) -> Trial | None:
        """The one that loses least."""
        return min(self.measured, key=lambda trial: (_loss(trial), trial.key), default=None)


def pareto(trials: Iterable[Trial]) -> list[Trial]:
    """The smallest first, each better than all before it."""
    points: list[Trial] = []
    least = math.inf
    for trial in _measured(trials):
        if _loss(trial) < least:
            points.append(trial)
            least = _loss(trial)
    return points


def frontier_rows(frontier: Frontier) -> Iterator[tuple[str, ...]]:
    """What is worth a look as cells below ``FRONTIER_HEADER``: the smallest first, float32 last."""
    baseline = frontier.baseline
    for trial in [*_listed(frontier), *([baseline] if baseline else [])]:
        assert trial.quality is not None
        seconds = frontier.latency.get(trial.candidate)
        yield (
            frontier.format,
            str(trial.candidate),
            f"{trial.size:,}",
            f"{trial.size / baseline.size:.2f}×" if baseline else "-",
            frontier.budget.text(trial.quality.value),
            frontier.budget.text(trial.quality.loss),
            "-" if seconds is None else f"{1e6 * seconds:.0f}",
            _verdict(frontier, trial),
        )


def frontier_json(frontier: Frontier, *, timed: bool) -> dict[str, Any]:
    """As a JSON document, infinities as null.

    Args:
        timed: with latencies, which are others every time.
    """
    return {
        "format": frontier.format,
        "budget": str(frontier.budget),
        "model": frontier.value,
        "limit": frontier.limit,
        "samples": frontier.samples,
        "float32_bytes": frontier.baseline.size if frontier.baseline else None,
        "tried": len(frontier.trials),
        "complete": frontier.complete,
        "frontier": [_trial_json(frontier, trial, timed) for trial in _listed(frontier)],
    }


def _measured(trials: Iterable[Trial]) -> list[Trial]:
    return sorted((trial for trial in trials if trial.quality is not None), key=lambda trial: trial.key)


def _listed(frontier: Frontier) -> list[Trial]:
    """The Pareto set, and what is delivered, should it not be in it."""
    points = frontier.points
    chosen = [t for t in frontier.measured if t.candidate == frontier.chosen and t not in points]
    return sorted([*points, *chosen], key=lambda trial: trial.key)


def _trial_json(frontier: Frontier, trial: Trial, timed: bool) -> dict[str, Any]:
    candidate, quality = trial.candidate, trial.quality
    assert quality is not None
    seconds = {"latency": frontier.latency.get(candidate)} if timed else {}
    return {
        "precision": candidate.precision,
        "calibration": candidate.method or None,
        "per_channel": candidate.per_channel,
        "float_layers": sorted(candidate.float_layers),
        "fine_tuned": candidate.tuned,
        "bytes": trial.size,
        "quality": _finite(quality.value),
        "loss": _finite(quality.loss),
        **seconds,
        "verdict": _verdict(frontier, trial),
    }


def _verdict(frontier: Frontier, trial: Trial) -> str:
    if trial is frontier.baseline:
        return "float32"
    if trial.candidate == frontier.chosen:
        return "delivered"
    if trial.error is not None:
        return "not verified"
    return "kept" if _loss(trial) <= frontier.limit else "missed"


def _loss(trial: Trial) -> float:
    return math.inf if trial.quality is None else trial.quality.loss


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
