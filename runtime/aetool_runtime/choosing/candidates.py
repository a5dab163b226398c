"""What could run a bundle here."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aetool_runtime.backends import Backend, available_backends, check_device, has_device
from aetool_runtime.bundle import Bundle
from aetool_runtime.choosing.named import default_precision
from aetool_runtime.errors import BackendError, DeviceError, UsageError
from aetool_runtime.specs import ROLES, Artifact

__all__ = ["ANY", "EXACT", "Candidate", "Wish", "artifacts_of", "cores", "find_candidates", "lowest_snr"]

ANY, EXACT = "any", "float32"


@dataclass(frozen=True)
class Wish:
    """What the caller asks of a choice.

    Args:
        device: where to run; ``None`` for any device that is here.
        threads: for one call, 0 for all cores; ``None`` for what is fastest.
        precision: one of the bundle's, or ``any``; ``None`` for the exact one, or with ``min_snr`` for any.
        min_snr: the least signal-to-noise ratio of an artifact against the model, dB.
        batch_size: samples of the calls that are to be fast.
    """

    device: str | None = None
    threads: int | None = None
    precision: str | None = None
    min_snr: float | None = None
    batch_size: int = 1

    def __post_init__(self) -> None:
        if type(self.batch_size) is not int or self.batch_size < 1:
            raise UsageError(f"batch_size is {self.batch_size!r}", expected="an integer of at least 1")
        if self.min_snr is not None and not math.isfinite(self.min_snr):
            raise UsageError(f"min_snr is {self.min_snr!r}", expected="decibels, such as 40")


@dataclass(frozen=True)
class Candidate:
    """One way to run a bundle: all artifacts of a format and precision, on a backend and device.

    Args:
        threads: for one call.
    """

    format: str
    precision: str
    backend: str
    device: str
    threads: int

    def __str__(self) -> str:
        threads = "all cores" if self.threads == 0 else f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return f"{self.format} {self.precision} on {self.backend}/{self.device}, {threads}"


def find_candidates(bundle: Bundle, wish: Wish) -> list[Candidate]:
    """All that fulfil the wish: fewer threads first, then in the order of the bundle's artifacts.

    Raises:
        UsageError: no artifact of the bundle fulfils it.
        BackendError: no backend is installed that runs one of those that do.
        DeviceError: no such device is here.
    """
    groups = _groups(bundle, wish)
    pairs = [(group, backend) for group in groups for backend in available_backends(group[0])]
    if not pairs:
        raise BackendError(
            f"no backend is installed for {', '.join(dict.fromkeys(name for name, _ in groups))}",
            where=str(bundle.path),
            hint="pip install 'aetool[cpu]' for ONNX, 'aetool[litert]' for TFLite",
        )
    found = [candidate for group, backend in pairs for candidate in _on(backend, *group, wish)]
    if not found:
        for _, backend in pairs:
            if wish.device is not None and hasattr(backend, "check_device"):
                check_device(backend, wish.device)  # says why
        raise DeviceError(
            f"no backend has a device {wish.device!r} here",
            expected="one of " + ", ".join(dict.fromkeys(name for _, backend in pairs for name in backend.devices())),
            hint="choose one of the devices named above",
        )
    return sorted(found, key=lambda candidate: candidate.threads or cores())


def artifacts_of(bundle: Bundle, format_name: str, precision: str) -> list[Artifact]:
    """What a call goes through: encoder and decoder, or the graph that holds both where there is neither."""
    of_group = [a for a in bundle.manifest.artifacts if (a.format, a.precision) == (format_name, precision)]
    halves = [a for role in ROLES[:2] for a in of_group if a.role == role]
    return halves or of_group


def lowest_snr(artifacts: Sequence[Artifact]) -> float | None:
    """The lowest ratio that the bundle tells, dB: inf for exact ones, ``None`` where one is not told."""
    ratios = [_snr(artifact) for artifact in artifacts]
    return None if any(ratio is None for ratio in ratios) else min(ratio for ratio in ratios if ratio is not None)


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _snr(artifact: Artifact) -> float | None:
    if artifact.precision == EXACT:
        return math.inf
    return min(artifact.snr.values(), default=None)


def _groups(bundle: Bundle, wish: Wish) -> list[tuple[str, str]]:
    """Formats and precisions that do all that the bundle does, and are good enough."""
    artifacts = bundle.manifest.artifacts
    roles = {artifact.role for artifact in artifacts}
    whole = [
        group
        for group in dict.fromkeys((a.format, a.precision) for a in artifacts)
        if {a.role for a in artifacts if (a.format, a.precision) == group} == roles
    ]
    found = [group for group in whole if _good_enough(bundle, group, wish)]
    if not found:
        least = "" if wish.min_snr is None else f" with a signal-to-noise ratio of {wish.min_snr:g} dB"
        raise UsageError(
            f"the bundle has no complete set of {wish.precision or 'equal'} artifacts{least}",
            where=str(bundle.path),
            expected="one of " + ", ".join(f"{name} {precision}" for name, precision in whole),
            hint="choose another precision, or export the model again",
        )
    return found


def _good_enough(bundle: Bundle, group: tuple[str, str], wish: Wish) -> bool:
    wanted = wish.precision or (default_precision(bundle) if wish.min_snr is None else ANY)
    if wanted not in (ANY, group[1]):
        return False
    if wish.min_snr is None:
        return True
    ratio = lowest_snr(artifacts_of(bundle, *group))
    return ratio is not None and ratio >= wish.min_snr


def _on(backend: Backend, format_name: str, precision: str, wish: Wish) -> Iterator[Candidate]:
    for device in backend.devices() if wish.device is None else (wish.device,):
        if wish.device is None or has_device(backend, device):
            for threads in _threads(device) if wish.threads is None else (wish.threads,):
                yield Candidate(format_name, precision, backend.name, device, threads)


def _threads(device: str) -> tuple[int, ...]:
    """One, half of the cores and all of them; what runs elsewhere needs one to be started."""
    every = cores() if device == "cpu" else 1
    return tuple(sorted({1, max(1, every // 2), every}))
