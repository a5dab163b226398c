"""How long artifacts take for one sample: for people to look at, never to decide by."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack

import numpy as np

from aetool_exporters.request import Exported
from aetool_runtime.backends import available_backends, load_graph
from aetool_runtime.errors import UnavailableError
from aetool_runtime.specs import Array

__all__ = ["measure_latency"]

_ROUNDS = 7
_ROUND_SECONDS = 0.01
_MOST_CALLS = 200


def measure_latency(exported: Mapping[str, Exported], sample: Array) -> dict[str, float]:
    """Seconds of a call with one sample through the last role (the whole autoencoder, where there is one).

    On the first engine here, CPU, one thread. Rounds are interleaved, so that what else the machine does falls on all
    alike; of each the median round counts.

    Args:
        exported: name → artifacts.
        sample: [1, …], real values.
    """
    with ExitStack() as stack:
        calls = {}
        for name, artifacts in exported.items():
            call = _loaded(artifacts, sample, stack)
            if call is not None:
                calls[name] = call
        counts = {name: _calls_a_round(call) for name, call in calls.items()}
        rounds: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(_ROUNDS):
            for name, call in calls.items():
                rounds[name].append(_seconds(call, counts[name]) / counts[name])
    return {name: statistics.median(seconds) for name, seconds in rounds.items()}


def _loaded(exported: Exported, sample: Array, stack: ExitStack) -> Callable[[], object] | None:
    artifact = exported.artifacts[-1]
    try:
        backend = available_backends(artifact.format)[0]
        graph = load_graph(backend, artifact, exported.tried(artifact), device="cpu", threads=1)
    except (UnavailableError, IndexError):
        return None
    stack.callback(graph.close)
    given = np.ascontiguousarray(artifact.inputs[0].stored(sample))
    return lambda: graph.run(given)


def _calls_a_round(call: Callable[[], object]) -> int:
    call()
    return max(1, min(_MOST_CALLS, int(_ROUND_SECONDS / max(_seconds(call, 1), 1e-9))))


def _seconds(call: Callable[[], object], count: int) -> float:
    begun = time.perf_counter()
    for _ in range(count):
        call()
    return time.perf_counter() - begun
