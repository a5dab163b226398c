"""How fast candidates are, and whether they compute what they should. The method is told in ``__init__.py``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from aetool_runtime.backends import Graph, load_backend, load_graph
from aetool_runtime.bundle import Bundle
from aetool_runtime.choosing.candidates import Candidate, artifacts_of
from aetool_runtime.choosing.fidelity import Fidelity, check_parity, first_input, reconstruction_fidelity
from aetool_runtime.errors import UnavailableError
from aetool_runtime.runner import Runner, make_runner
from aetool_runtime.specs import Array

__all__ = ["Clock", "Measurement", "let_threads_sleep", "measure"]

Clock = Callable[[], float]
_TURNS = 12
_LEAST_TURNS = 3
_MOST_CALLS = 2000  # in one turn
_HOPELESS = {3: 1.5, 6: 1.1}  # after so many turns a choice leaves out who takes so many times the best median
_TICK, _TICKS = 2e-3, 25  # seconds; how often at most one is waited


@dataclass(frozen=True)
class Measurement:
    """What was found out about a candidate.

    Args:
        batch_size: samples a call.
        calls: how many were timed; 0 where it could not run or there was no time.
        p50, p95, p99: of the seconds a call took.
        load: seconds from files to graphs that are ready, digests checked.
        bytes: of the files.
        parity: the largest share of the tolerance that any value of the golden vectors used: up to 1 it passes.
        psnr, snr: of the reconstruction against the model, on golden samples, dB; ``None`` where there are none.
        problem: why it does not count; empty for one that does.
    """

    candidate: Candidate
    batch_size: int
    calls: int = 0
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    load: float | None = None
    bytes: int = 0
    parity: float | None = None
    psnr: float | None = None
    snr: float | None = None
    problem: str = ""

    @property
    def samples_per_second(self) -> float | None:
        return self.batch_size / self.p50 if self.p50 else None


@dataclass
class _Contender:
    candidate: Candidate
    graphs: list[Graph]
    runners: list[Runner]
    load: float
    parity: float
    fidelity: Fidelity
    latest: float = 0.0  # seconds of the last call
    seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return float(np.median(self.seconds))

    def call(self, array: Array, clock: Clock) -> float:
        """Run a batch; what the clock says at the end."""
        start = clock()
        for runner in self.runners:
            array = runner.run(array)[0]
        end = clock()
        self.latest = end - start
        return end

    def close(self) -> None:
        for graph in self.graphs:
            graph.close()


def measure(
    bundle: Bundle,
    candidates: Sequence[Candidate],
    *,
    batch_size: int,
    budget: float,
    clock: Clock = time.perf_counter,
    every: bool = False,
) -> list[Measurement]:
    """Load, check and time candidates.

    Args:
        budget: about how many seconds it may take. Half of it at most goes into loading, but candidates are loaded
            until one can be used, and each that was is run; what there is no time for is left out.
        clock: seconds.
        every: time all of them to the end, for a table; else the slow ones are left as soon as they are known.

    Returns:
        One for each candidate, in their order.

    Raises:
        IntegrityError, InputError: the bundle is damaged, or its graphs do not fit together.
    """
    start = clock()
    array = first_input(bundle, batch_size)
    contenders: list[_Contender] = []
    problems: dict[Candidate, str] = {}
    try:
        for candidate in candidates:
            if _usable(contenders, problems) and clock() - start > budget / 2:
                problems[candidate] = "no time was left to load it"
                continue
            try:
                contender = _load(bundle, candidate, clock)
                contenders.append(contender)
                contender.call(array, clock)
            except UnavailableError as error:  # a damaged or unsafe bundle is nothing to choose around
                problems[candidate] = error.what
        _take_turns(_usable(contenders, problems), array, start + budget, clock, every)
    finally:
        for contender in contenders:
            contender.close()
    by_candidate = {contender.candidate: contender for contender in contenders}
    return [_measurement(bundle, c, by_candidate.get(c), problems.get(c, ""), batch_size) for c in candidates]


def _usable(contenders: Sequence[_Contender], problems: Mapping[Candidate, str]) -> list[_Contender]:
    return [contender for contender in contenders if contender.candidate not in problems and contender.parity <= 1]


def _load(bundle: Bundle, candidate: Candidate, clock: Clock) -> _Contender:
    backend = load_backend(candidate.backend)
    graphs: list[Graph] = []
    try:
        artifacts = artifacts_of(bundle, candidate.format, candidate.precision)
        start = clock()
        for artifact in artifacts:
            graphs.append(
                load_graph(backend, artifact, bundle.read, device=candidate.device, threads=candidate.threads)
            )
        load = clock() - start
        runners = [make_runner(graph, artifact) for graph, artifact in zip(graphs, artifacts, strict=True)]
        parity = check_parity(bundle, artifacts, graphs)
        fidelity = reconstruction_fidelity(bundle, artifacts, runners)
    except BaseException:
        for graph in graphs:
            graph.close()
        raise
    return _Contender(candidate, graphs, runners, load, parity, fidelity)


def _take_turns(contenders: Sequence[_Contender], array: Array, end: float, clock: Clock, every: bool) -> None:
    """Until the time is up, or one is left, or all had enough turns. Each contender is timed at least once."""
    running = list(contenders)
    for turn in range(_TURNS):
        at = turn % max(1, len(running))
        for contender in running[at:] + running[:at]:
            left = end - clock()
            if left <= 0 and all(other.seconds for other in contenders):
                return
            _take_turn(contender, array, max(0.0, left) / (len(running) * (_TURNS - turn)), clock)
            if contender.candidate.threads != 1:
                let_threads_sleep()
        if turn + 1 in _HOPELESS and not every and len(running) > 1:
            best = min(contender.median for contender in running)
            running = [contender for contender in running if contender.median <= _HOPELESS[turn + 1] * best]
        if turn + 1 >= _LEAST_TURNS and not every and len(running) == 1:
            return


def let_threads_sleep() -> None:
    """Until no thread of this process runs, or for 50 ms.

    ONNX Runtime's go on looking for work for some 30 ms after a call, and would take a core from who comes next.
    """
    for _ in range(_TICKS):
        before = time.process_time()
        time.sleep(_TICK)
        if time.process_time() - before < _TICK / 10:
            return


def _take_turn(contender: _Contender, array: Array, seconds: float, clock: Clock) -> None:
    if contender.latest < seconds:  # else there is time for one call, and it is long enough to bear a cold start
        contender.call(array, clock)
    end = clock() + seconds
    for _ in range(_MOST_CALLS):
        now = contender.call(array, clock)
        contender.seconds.append(contender.latest)
        if now >= end:
            return


def _measurement(
    bundle: Bundle, candidate: Candidate, contender: _Contender | None, problem: str, batch_size: int
) -> Measurement:
    artifacts = artifacts_of(bundle, candidate.format, candidate.precision)
    paths = {path for artifact in artifacts for path in (artifact.path, artifact.external_data) if path is not None}
    size = sum(bundle.manifest.files[path].bytes for path in paths)
    if contender is None:
        return Measurement(candidate, batch_size, bytes=size, problem=problem or "it could not be loaded")
    if contender.parity > 1:
        problem = problem or f"fails its self-test here: {contender.parity:.3g} times what is allowed"
    percentiles = np.percentile(contender.seconds, [50, 95, 99]) if contender.seconds else None
    p50, p95, p99 = (None, None, None) if percentiles is None else map(float, percentiles)
    return Measurement(
        candidate,
        batch_size,
        calls=len(contender.seconds),
        p50=p50,
        p95=p95,
        p99=p99,
        load=contender.load,
        bytes=size,
        parity=contender.parity,
        psnr=contender.fidelity.psnr,
        snr=contender.fidelity.snr,
        problem=problem,
    )
