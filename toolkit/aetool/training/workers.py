"""Who takes part in a run: this process alone, all devices of this machine, or several processes.

Only the chief, the first process, writes the run and its checkpoint; all read the same data in the same order.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from aetool.config import Config, PlainLatent
from aetool_runtime.errors import InputError, UnavailableError, UsageError

__all__ = ["Workers", "explained_loss", "open_workers"]

_EXAMPLE = '{"cluster": {"worker": ["10.0.0.1:5000", "10.0.0.2:5000"]}, "task": {"type": "worker", "index": 0}}'


@dataclass(frozen=True)
class Workers:
    """Who takes part in a run.

    Args:
        strategy: a ``tf.distribute.Strategy``; ``None`` where one device does everything.
        index: of this process among the workers; the chief is 0.
        processes: how many there are.
    """

    strategy: Any = None
    index: int = 0
    processes: int = 1

    @property
    def is_chief(self) -> bool:
        """Whether this process writes."""
        return self.index == 0

    def scope(self) -> AbstractContextManager[Any]:
        """Variables that are made in it are kept alike on all replicas."""
        return nullcontext() if self.strategy is None else self.strategy.scope()

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process; all processes must ask, and wait for each other."""
        return flag if self.processes == 1 else self._sum(int(flag)) > 0

    def check_same(self, digest: str) -> None:
        """Refuse workers that were not given the same.

        Args:
            digest: hexadecimal, of data and configuration.

        Raises:
            InputError: it is not the same in all processes.
        """
        number = int(digest[:12], 16)
        if self.processes > 1 and self._sum(number) != number * self.strategy.num_replicas_in_sync:
            raise InputError(
                "the workers were not given the same data and configuration", hint="start all with the same command"
            )

    def _sum(self, number: int) -> int:
        """Over the replicas of all processes."""
        with explained_loss():
            return int(self._compiled_sum(number))

    @cached_property
    def _compiled_sum(self) -> Any:
        import tensorflow as tf

        def total(number: Any) -> Any:
            values = self.strategy.run(lambda: tf.identity(number))
            return self.strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None)

        return tf.function(total, input_signature=[tf.TensorSpec((), tf.int64)], autograph=False)


def open_workers(config: Config) -> Workers:
    """Join the workers that a configuration names; the same ones whenever it is asked again.

    For several processes this must come before TensorFlow computes anything.

    Raises:
        UsageError: what cannot be dealt out, or an environment that does not say who takes part.
    """
    name = config.training.strategy
    if name == "none":
        return Workers()
    _check(config)
    return _mirrored() if name == "mirrored" else _multiworker(os.environ.get("TF_CONFIG", ""))


def _check(config: Config) -> None:
    """Refuse losses that are no mean over samples, and draws that would not be those of one worker."""
    noisy = config.compression
    wrong = {
        f"[latent] {config.latent.kind}": not isinstance(config.latent, PlainLatent),
        f"[corruption] {config.corruption.kind}": config.corruption.kind != "none",
        f"[compression] {noisy.quantization}": noisy.weight > 0 and noisy.quantization != "straight_through",
        "[penalty] kl": config.penalty.kl > 0,
        "[penalty] contractive": config.penalty.contractive > 0,
        "[model] batch_norm": bool(getattr(config.model, "batch_norm", False)),
    }
    met = [name for name, is_wrong in wrong.items() if is_wrong]
    if met:
        raise UsageError(
            f"{', '.join(met)} cannot be dealt out to several workers without changing what is computed",
            expected=f'[training] strategy = "none" with it, or a model without it for "{config.training.strategy}"',
        )


@cache
def _mirrored() -> Workers:
    """All GPUs of this machine; where there is none, all its logical CPU devices, of which there is mostly one."""
    import tensorflow as tf

    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return Workers(tf.distribute.MirroredStrategy([device.name for device in devices]))


@cache
def _multiworker(described: str) -> Workers:
    index, processes = _place(described)
    import tensorflow as tf

    try:
        with _sigterm_as_before():
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except (RuntimeError, ValueError, tf.errors.OpError) as error:
        raise UnavailableError(
            f"the workers could not be joined ({error})",
            where="TF_CONFIG",
            hint="see that all addresses can be reached",
        ) from error
    return Workers(strategy, index, processes)


@contextmanager
def _sigterm_as_before() -> Iterator[None]:
    """TensorFlow takes SIGTERM for a notice of preemption, and goes on: whoever ends a run wants it to end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def _place(described: str) -> tuple[int, int]:
    """This process's index, and how many there are."""
    try:
        table = json.loads(described)
        workers, task = table["cluster"]["worker"], table["task"]
        index = int(task["index"])
        if set(table["cluster"]) != {"worker"} or task["type"] != "worker" or not 0 <= index < len(workers):
            raise ValueError
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"TF_CONFIG is {described!r}" if described else "TF_CONFIG is not set",
            expected=f"who takes part, such as {_EXAMPLE}, with another index in each process",
        ) from error
    return index, len(workers)


@contextmanager
def explained_loss() -> Iterator[None]:
    """A worker that goes away is an error of ours.

    Raises:
        UnavailableError: one did.
    """
    import tensorflow as tf

    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.DeadlineExceededError) as error:
        raise UnavailableError(
            "another worker went away", hint="see why there, then start all workers again with --resume"
        ) from error
