"""How sparse a latent is, and how much of it noise at the input moves; beside principal components."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aetool.evaluation.subject import Subject, spread
from aetool_runtime.specs import Array

__all__ = ["Activity", "LatentActivity", "measure_activity"]

_QUIET = 0.05
_NOISE = 0.1
_SEED = 0


@dataclass(frozen=True)
class LatentActivity:
    """Both figures do not change when the latent is measured in other units.

    Args:
        inactive: share of the latent's values, over samples and units, that are nearer to 0 than 5 % of the root mean
            square of all of them.
        moved: by how much normal noise of deviation 0.1 (normalized units) at the input moves the latent: mean
            squared distance, as a share of the latent's total variance over samples.
    """

    inactive: float
    moved: float


@dataclass(frozen=True)
class Activity:
    """The network's latent, and as many principal components."""

    samples: int
    network: LatentActivity
    pca: LatentActivity


def measure_activity(subject: Subject) -> Activity:
    """On the test part, with one seeded draw of noise."""
    samples = spread(subject.data.split.test)
    normalized = subject.data.normalization.apply(samples)
    noise = np.random.default_rng(_SEED).normal(0, _NOISE, normalized.shape).astype(np.float32)
    pca = subject.pca

    def network(values: NDArray[np.float32]) -> Array:
        return subject.reference.compute("encoder", subject.data.normalization.invert(values))

    def components(values: NDArray[np.float32]) -> Array:
        return np.asarray(pca.transform(values.reshape(len(values), -1).astype(np.float64)))

    return Activity(len(samples), _figures(network, normalized, noise), _figures(components, normalized, noise))


def _figures(
    encode: Callable[[NDArray[np.float32]], Array], samples: NDArray[np.float32], noise: NDArray[np.float32]
) -> LatentActivity:
    still = encode(samples).reshape(len(samples), -1).astype(np.float64)
    moved = encode(samples + noise).reshape(len(samples), -1).astype(np.float64)
    scale = float(np.sqrt(np.square(still).mean()))
    spread_out = float(still.var(axis=0).sum())
    distance = float(np.square(moved - still).sum(axis=1).mean())
    return LatentActivity(
        inactive=float((np.abs(still) <= _QUIET * scale).mean()),
        moved=distance / spread_out if spread_out > 0 else 0.0,
    )
