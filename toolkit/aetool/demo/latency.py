"""How long one sample takes to encode: Keras, and the runtime on each engine, in turn."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from statistics import median
from typing import Any

from aetool_exporters.reference import Reference
from aetool_runtime import Autoencoder, Bundle
from aetool_runtime.specs import Array

__all__ = ["encode_latencies"]

_ROUNDS, _CALLS = 15, 40


def encode_latencies(reference: Reference, bundle: Bundle, sample: Array) -> dict[str, float]:
    """Median microseconds per call: ``keras`` (compiled with ``tf.function``), ``onnxruntime``, ``litert``; one thread.

    Args:
        sample: [1, …], raw units.
    """
    import tensorflow as tf

    compiled = tf.function(lambda tensor: reference.trace("encoder", tensor))
    given = tf.constant(sample)
    with ExitStack() as stack:
        calls: dict[str, Callable[[], Any]] = {"keras": lambda: compiled(given)}
        for backend in ("onnxruntime", "litert"):
            model = stack.enter_context(Autoencoder.open(bundle, backend=backend))
            calls[backend] = lambda model=model: model.encode(sample)  # type: ignore[misc]
        seconds: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(_ROUNDS):
            for name, call in calls.items():
                seconds[name].append(_seconds_a_call(call))
    return {name: median(values[1:]) * 1e6 for name, values in seconds.items()}


def _seconds_a_call(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    for _ in range(_CALLS):
        call()
    return (time.perf_counter() - start) / _CALLS
