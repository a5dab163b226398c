"""Runs a bundle on the workers of a Ray cluster: each loads it once; results come in the order of the data.

A worker that dies is started again, here or on another machine, and its batches are run again. What a batch gives does
not depend on who ran it, as long as the machines are alike.
"""

from __future__ import annotations

import collections
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from aetool_runtime.bundle import Bundle
from aetool_runtime.errors import AetoolError, BackendError, DependencyError
from aetool_runtime.pack import pack
from aetool_runtime.specs import Array

__all__ = ["ray_map"]

_AHEAD = 2  # batches given to each worker beforehand, so that none waits for its next
_RESTARTS = 20


def ray_map(
    bundle: Bundle, verb: str, options: Mapping[str, Any], workers: int | None = None
) -> Callable[[Iterable[Array]], Iterator[Array]]:
    """What turns batches into results, on a cluster.

    Joins the cluster that ``RAY_ADDRESS`` names, or one on this machine; otherwise starts one here, for this process.

    Args:
        bundle: travels to the workers.
        verb: ``encode``, ``decode`` or ``reconstruct``.
        options: of ``Autoencoder.open``.
        workers: how many; ``None`` for one on each core of the cluster, or each GPU for ``device`` other than ``cpu``.

    Raises:
        DependencyError: Ray is not installed.
        BackendError: the cluster failed.
    """
    ray = _import_ray()
    started = not ray.is_initialized()
    if started:
        # Ray would otherwise send this folder to the workers, and report its use.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(log_to_driver=False, logging_level="ERROR", include_dashboard=False)
    gpu = options.get("device", "cpu") != "cpu"
    count = workers or max(1, int(ray.cluster_resources().get("GPU" if gpu else "CPU", 1)))
    actor = ray.remote(
        num_cpus=0 if gpu else 1, num_gpus=1 if gpu else 0, max_restarts=_RESTARTS, max_task_retries=_RESTARTS
    )(_Worker)
    packed = ray.put(_packed(bundle))

    def run(batches: Iterable[Array]) -> Iterator[Array]:
        actors = [actor.remote(packed, verb, dict(options)) for _ in range(count)]
        try:
            yield from _in_order(ray, actors, batches)
        finally:
            for worker in actors:
                ray.kill(worker)
            if started:
                ray.shutdown()

    return run


def _in_order(ray: Any, actors: list[Any], batches: Iterable[Array]) -> Iterator[Array]:
    waiting: collections.deque[Any] = collections.deque()
    for index, batch in enumerate(batches):
        waiting.append(actors[index % len(actors)].run.remote(batch))
        if len(waiting) >= _AHEAD * len(actors):
            yield _result(ray, waiting.popleft())
    while waiting:
        yield _result(ray, waiting.popleft())


def _result(ray: Any, reference: Any) -> Array:
    try:
        return cast(Array, ray.get(reference))
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, AetoolError):
            raise cause from error
        raise BackendError(f"a worker failed ({cause})", hint="see the cluster's logs") from error
    except ray.exceptions.RayError as error:
        raise BackendError(
            f"the cluster failed ({str(error).splitlines()[0]})", hint="see the cluster's logs; --resume goes on"
        ) from error


class _Worker:
    """Lives on a worker of the cluster, which needs aetool and the engine, not TensorFlow."""

    def __init__(self, packed: bytes, verb: str, options: dict[str, Any]) -> None:
        from aetool_runtime import Autoencoder

        self._folder = tempfile.TemporaryDirectory(prefix="aetool-")
        path = Path(self._folder.name) / "model.aepkg"
        path.write_bytes(packed)
        self._run = getattr(Autoencoder.open(path, **options), verb)

    def run(self, batch: Array) -> Array:
        return cast(Array, self._run(batch))


def _packed(bundle: Bundle) -> bytes:
    with tempfile.TemporaryDirectory(prefix="aetool-") as folder:
        path = Path(folder) / "model.aepkg"
        pack(bundle, path)
        return path.read_bytes()


def _import_ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise DependencyError(f"Ray cannot be imported ({error})", hint="pip install 'aetool[ray]'") from error
    return ray
