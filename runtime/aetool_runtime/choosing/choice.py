"""The fastest candidate that computes what it should."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from aetool_runtime.bundle import Bundle
from aetool_runtime.choosing.cache import load_answer, machine, store_answer, versions
from aetool_runtime.choosing.candidates import EXACT, Candidate, Wish, find_candidates
from aetool_runtime.choosing.measuring import Clock, Measurement, measure
from aetool_runtime.errors import BackendError

__all__ = ["Choice", "Wish", "choose", "pick", "remember", "slower_reductions"]

_EQUAL = 1.01  # times the best median: nearer than what a second measurement would tell apart


@dataclass(frozen=True)
class Choice:
    """What was chosen, and why.

    Args:
        candidate: the winner.
        batch_size: samples of the calls that it was chosen for.
        p50: the median of the seconds a call took.
        measured: how many candidates were timed.
        measurements: what was measured just now; empty where the answer was kept from an earlier time.
    """

    candidate: Candidate
    batch_size: int
    p50: float
    measured: int
    measurements: tuple[Measurement, ...] = ()

    @property
    def kept(self) -> bool:
        """Whether the answer is from an earlier time."""
        return not self.measurements

    def __str__(self) -> str:
        source = "as measured earlier" if self.kept else "as measured now"
        return (
            f"auto: {self.candidate}: {self.p50 * 1e6:,.1f} µs a call of {self.batch_size:,}, "
            f"the fastest of {self.measured}, {source}"
        )


def choose(bundle: Bundle, wish: Wish, *, budget: float, clock: Clock = time.perf_counter) -> Choice:
    """The kept answer, or a measured one.

    Args:
        budget: about how many seconds measuring may take.
        clock: seconds.

    Raises:
        UsageError, DeviceError, BackendError: see ``find_candidates``; no candidate runs, or none passes its self-test.
    """
    candidates = find_candidates(bundle, wish)
    question = _question(bundle, wish, candidates)
    kept = _parse(load_answer(question), candidates, wish)
    if kept is not None:
        return kept
    measurements = measure(bundle, candidates, batch_size=wish.batch_size, budget=budget, clock=clock)
    choice = _choice(bundle, wish, measurements)
    _store(question, choice)
    return choice


def remember(bundle: Bundle, wish: Wish, measurements: Sequence[Measurement]) -> Choice:
    """The winner for a wish, of measurements of all its candidates and perhaps others; kept as its answer.

    Raises:
        UsageError, DeviceError, BackendError: see ``choose``.
    """
    candidates = find_candidates(bundle, wish)
    choice = _choice(bundle, wish, [met for met in measurements if met.candidate in candidates])
    _store(_question(bundle, wish, candidates), choice)
    return choice


def pick(measurements: Sequence[Measurement]) -> Measurement | None:
    """The first of the fastest that count, with the fewest threads; ``None`` where none counts."""
    counting = [m for m in measurements if m.p50 is not None and not m.problem]
    if not counting:
        return None
    best = min(m.p50 for m in counting if m.p50 is not None)
    equal = [m for m in counting if m.p50 is not None and m.p50 <= _EQUAL * best]
    return min(equal, key=lambda m: m.candidate.threads or 1 << 16)


def slower_reductions(
    measurements: Sequence[Measurement], exact: str = "float32"
) -> list[tuple[Measurement, Measurement]]:
    """Pairs (reduced, exact) of the same backend and device where the reduced precision is the slower one here.

    Of each precision the fastest number of threads counts.
    """
    best: dict[tuple[str, str, str], Measurement] = {}
    for met in measurements:
        key = (met.candidate.backend, met.candidate.device, met.candidate.precision)
        if met.p50 is not None and (key not in best or met.p50 < (best[key].p50 or 0)):
            best[key] = met
    pairs = [(met, best.get((backend, device, EXACT))) for (backend, device, _), met in best.items()]
    return [(met, full) for met, full in pairs if full is not None and (met.p50 or 0) > (full.p50 or 0)]


def _choice(bundle: Bundle, wish: Wish, measurements: Sequence[Measurement]) -> Choice:
    best = pick(measurements)
    if best is None or best.p50 is None:
        raise BackendError(
            "no candidate can be used: " + "; ".join(f"{m.candidate}: {m.problem}" for m in measurements),
            where=str(bundle.path),
            hint="`aetool verify BUNDLE` shows each artifact's self-test",
        )
    timed = sum(m.p50 is not None for m in measurements)
    return Choice(best.candidate, wish.batch_size, best.p50, timed, tuple(measurements))


def _question(bundle: Bundle, wish: Wish, candidates: Sequence[Candidate]) -> dict[str, Any]:
    return {
        "bundle": bundle.digest,
        "machine": machine(),
        "versions": versions(),
        "wish": asdict(wish),
        "candidates": [asdict(candidate) for candidate in candidates],
    }


def _store(question: Mapping[str, Any], choice: Choice) -> None:
    answer = {"candidate": asdict(choice.candidate), "p50": choice.p50, "measured": choice.measured}
    store_answer(question, answer)


def _parse(answer: Any, candidates: Sequence[Candidate], wish: Wish) -> Choice | None:
    """An answer that makes sense; anybody may have written to the cache."""
    if not isinstance(answer, dict):
        return None
    p50, measured = answer.get("p50"), answer.get("measured")
    found = [candidate for candidate in candidates if asdict(candidate) == answer.get("candidate")]
    if not found or type(p50) is not float or not 0 < p50 < 1e9 or type(measured) is not int or measured < 1:
        return None
    return Choice(found[0], wish.batch_size, p50, measured)
