"""How near two tensors are, whatever layout each has."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from aetool_runtime.parity import MAX_SNR, signal_to_noise
from aetool_runtime.specs import Array, OutputScale

__all__ = ["Fit", "balanced_likeness", "best_fit", "layouts", "likeness", "most_alike", "ratio"]

_PLAIN = OutputScale((0.0,), (1.0,))


@dataclass(frozen=True)
class Fit:
    """A tensor laid out as the one that it was compared with.

    Args:
        likeness: see ``likeness``.
        layout: what had to be done, such as ``channels first``; "" for nothing.
        values: in the other's shape.
    """

    likeness: float
    layout: str
    values: Array


def likeness(expected: Array, met: Array) -> float:
    """By what a layer is recognized: a signal-to-noise ratio, dB.

    The signal is what ``expected`` varies by: around the mean of each channel (last axis) and, where it does not vary
    at all, around 0. At most ``MAX_SNR``; −``MAX_SNR`` where a value is not finite that should be.
    """
    wanted = np.asarray(expected, np.float64).reshape(-1, expected.shape[-1] if expected.ndim > 1 else 1)
    got = np.asarray(met, np.float64).reshape(wanted.shape)
    finite = np.isfinite(wanted)
    if not finite.all():
        if np.any(np.isfinite(got) != finite):
            return -MAX_SNR
        wanted, got = np.where(finite, wanted, 0.0), np.where(finite, got, 0.0)
    with np.errstate(all="ignore"):
        noise = float(np.sum((got - wanted) ** 2))
        power = float(np.sum(wanted**2))
        signal = float(np.sum((wanted - wanted.mean(axis=0)) ** 2))
    if not math.isfinite(noise):
        return -MAX_SNR
    if noise == 0.0:
        return MAX_SNR
    signal = signal if signal > 1e-12 * power else power
    return max(-MAX_SNR, min(MAX_SNR, 10 * math.log10(signal / noise))) if signal else -MAX_SNR


def ratio(expected: Array, met: Array, unit: OutputScale = _PLAIN) -> float:
    """What is reported, dB: ``signal_to_noise`` of FORMAT.md, around the network's own zero.

    Where the expected values are not finite, the others count.
    """
    if np.all(np.isfinite(expected)):
        return signal_to_noise(expected, met, unit)
    return likeness(expected, met)


def balanced_likeness(expected: Array, met: Array) -> float:
    """``likeness`` with each channel in units of its own standard deviation: small ones count as much as large ones.

    Channels that hardly vary are measured by 1e-3 of what the others do.
    """
    if expected.ndim < 2 or not np.all(np.isfinite(expected)):
        return likeness(expected, met)
    spread = np.asarray(expected, np.float64).reshape(-1, expected.shape[-1]).std(axis=0)
    unit = np.maximum(spread, 1e-3 * float(spread.max()) or 1.0)
    return likeness(expected / unit, met / unit)


def best_fit(expected: Array, met: Array | None) -> Fit | None:
    """The layout of ``met`` that is nearest to ``expected``; ``None`` where it has another number of values."""
    if met is None or met.size != expected.size:
        return None
    fits = (Fit(likeness(expected, values), layout, values) for layout, values in layouts(met, expected.shape))
    return max(fits, key=lambda fit: fit.likeness, default=None)


def most_alike(expected: Array, met: Array) -> Fit:
    """The layout of ``met`` that correlates best with ``expected``, which has as many values; scales do not matter.

    The fit's likeness is the correlation, −1 to 1.
    """
    wanted = np.asarray(expected, np.float64).reshape(-1)
    fits = [Fit(_correlation(wanted, values), layout, values) for layout, values in layouts(met, expected.shape)]
    return max(fits, key=lambda fit: fit.likeness, default=Fit(-1.0, "", expected))


def _correlation(one: Array, other: Array) -> float:
    values = np.asarray(other, np.float64).reshape(-1)
    if not np.all(np.isfinite(values)):
        return -1.0
    first, second = one - one.mean(), values - values.mean()
    size = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / size if size else 0.0


def layouts(met: Array, shape: Sequence[int]) -> Iterator[tuple[str, Array]]:
    """The ways in which a tensor may stand for one of a shape [n, …], with channels last: each with its name.

    Sizes of 1 come and go, dimensions may be flattened, channels may stand first, and time before the batch.
    """
    count = shape[0]
    if met.ndim > 1 and met.shape[0] != count and met.shape[1] == count:
        yield "time first", np.moveaxis(met, 1, 0).reshape(shape)
        return
    if met.size % count or (met.shape[0] % count and met.ndim > 0):
        return
    yield "", met.reshape(shape)
    sizes = [size for size in met.shape[1:] if size != 1]
    wanted = [size for size in shape[1:] if size != 1]
    if len(sizes) > 1 and [*sizes[1:], sizes[0]] == (wanted if len(wanted) > 1 else [*sizes[1:], sizes[0]]):
        yield "channels first", np.moveaxis(met.reshape(count, *sizes), 1, -1).reshape(shape)
    if len(sizes) == 1 and len(wanted) > 1:
        yield (
            "channels first, flattened",
            np.moveaxis(met.reshape(count, wanted[-1], *wanted[:-1]), 1, -1).reshape(shape),
        )
