"""What is learned from the training part, in one pass in float64 and bounded memory, and the normalization from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from aetool_runtime.specs import Array, Normalization

__all__ = ["Kind", "Scope", "Statistics", "learn_normalization", "measure", "resolution_notices"]

Kind: TypeAlias = Literal["none", "minmax", "standard"]
Scope: TypeAlias = Literal["auto", "global", "channel"]

_FEW_STEPS = 64  # of a 32-bit float: what changes by less than these lost most of itself when it became one


@dataclass(frozen=True)
class Statistics:
    """Of each value of a sample, over all samples; raw units, float64.

    Args:
        count: samples seen.
        minimum, maximum, mean: [*sample_shape].
        variance: [*sample_shape], of the population (divided by ``count``).
    """

    count: int
    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]
    mean: NDArray[np.float64]
    variance: NDArray[np.float64]

    def merge(self, other: Statistics) -> Statistics:
        """Of both sets of samples together (Chan, Golub, LeVeque: stable where a sum of squares is not)."""
        count = self.count + other.count
        delta = other.mean - self.mean
        share = other.count / count
        return Statistics(
            count,
            np.minimum(self.minimum, other.minimum),
            np.maximum(self.maximum, other.maximum),
            self.mean + delta * share,
            self.variance * (1 - share) + other.variance * share + delta**2 * share * (1 - share),
        )

    def pooled(self, scope: Literal["global", "channel"]) -> Statistics:
        """Over all values of a sample (shape [1]), or for each place on its last axis (shape [channels])."""
        values = self.minimum.size if scope == "global" else self.minimum.size // self.minimum.shape[-1]
        minimum, maximum, mean, variance = (
            part.reshape(values, -1) for part in (self.minimum, self.maximum, self.mean, self.variance)
        )
        spread = variance.mean(axis=0) + mean.var(axis=0)
        return Statistics(self.count * values, minimum.min(axis=0), maximum.max(axis=0), mean.mean(axis=0), spread)


def measure(batches: Iterable[Array]) -> Statistics:
    """One pass over batches of samples [n, *sample_shape]; at least one sample in all."""
    parts = (_of_batch(np.asarray(batch, np.float64)) for batch in batches)
    total = next(parts)
    for part in parts:
        total = total.merge(part)
    return total


def _of_batch(batch: NDArray[np.float64]) -> Statistics:
    return Statistics(len(batch), batch.min(axis=0), batch.max(axis=0), batch.mean(axis=0), batch.var(axis=0))


def learn_normalization(statistics: Statistics, kind: Kind, scope: Scope = "auto") -> tuple[Normalization, list[str]]:
    """The normalization, and a sentence for each thing about it that the user should know.

    Args:
        kind: ``none``; ``minmax`` (the training range becomes 0 to 1); ``standard`` (mean 0, deviation 1).
        scope: ``global`` for one offset and scale; ``channel`` for one each along the last axis (which for flat
            samples means: per feature); ``auto`` is ``channel`` for ``standard`` windows, ``global`` for all else.
    """
    if kind == "none":
        return Normalization(), []
    if scope == "auto":
        scope = "channel" if kind == "standard" and statistics.mean.ndim == 2 else "global"
    pooled = statistics.pooled(scope)
    if kind == "minmax":
        offset, scale = pooled.minimum, pooled.maximum - pooled.minimum
    else:
        offset, scale = pooled.mean, np.sqrt(pooled.variance)
    flat = scale.astype(np.float32) == 0
    notices = [f"{int(flat.sum())} of {len(flat)} channels never change in training: scaled by 1"] if flat.any() else []
    return Normalization(_as_float32(offset), _as_float32(np.where(flat, 1, scale))), notices


def resolution_notices(statistics: Statistics) -> list[str]:
    """A sentence where values lie so far from 0, and so near to each other, that 32-bit floats hardly tell them apart.

    Args:
        statistics: of the samples as 32-bit floats.
    """
    pooled = statistics.pooled("channel")
    largest = np.maximum(np.abs(pooled.minimum), np.abs(pooled.maximum)).astype(np.float32)
    steps = (pooled.maximum - pooled.minimum) / np.spacing(largest)
    coarse = (steps > 0) & (steps < _FEW_STEPS)
    if not coarse.any():
        return []
    worst = int(np.argmax(np.where(coarse, largest, 0)))
    return [
        f"{int(coarse.sum())} of {len(coarse)} channels take few different values as 32-bit floats, which near "
        f"{largest[worst]:g} are {np.spacing(largest[worst]):g} apart; subtract from the data what they have in common"
    ]


def _as_float32(values: NDArray[np.float64]) -> tuple[float, ...]:
    """The numbers that the graphs will hold, so that what is written down is what is computed with."""
    return tuple(float(value) for value in values.astype(np.float32))
