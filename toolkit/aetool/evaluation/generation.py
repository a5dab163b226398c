"""Samples decoded from draws of the prior: how far they are from real ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aetool.data.packages import import_package
from aetool.evaluation.subject import Subject, spread

__all__ = ["Distances", "Generation", "frechet_distance", "measure_generation"]

_COMPONENTS = 16
_SEED = 0


@dataclass(frozen=True)
class Distances:
    """In normalized units.

    Args:
        nearest: mean distance from a sample to the nearest of the training part, over all values: components alone do
            not see most of what noise is. Much less than real data's means copies.
        frechet: of two normal distributions, fitted to the principal components of the samples and of the training
            part (Heusel 2017, whose features are a network's); squared units.
    """

    nearest: float
    frechet: float


@dataclass(frozen=True)
class Generation:
    """As many samples in each row.

    Args:
        samples: in each.
        components: of PCA on the training part.
        network: decoder(draws from N(0, I)), seeded.
        real: of the test part: what a perfect model would reach.
        noise: every value drawn by itself from a normal distribution with its mean and deviation in training.
    """

    samples: int
    components: int
    network: Distances
    real: Distances
    noise: Distances


def measure_generation(subject: Subject) -> Generation:
    """Against the training part."""
    test = spread(subject.data.split.test)
    pca = subject.fit_pca(_COMPONENTS)
    seen = pca.transform(subject.training_matrix)
    draws = np.random.default_rng(_SEED)
    latents = draws.standard_normal((len(test), *subject.encode(test[:1]).shape[1:])).astype(np.float32)
    mean, deviation = subject.training_matrix.mean(axis=0), subject.training_matrix.std(axis=0)
    rows = {
        "network": subject.flat(subject.reference.compute("decoder", latents)),
        "real": subject.flat(test),
        "noise": draws.normal(mean, deviation, (len(test), len(mean))),
    }
    distances = {
        name: Distances(_nearest(matrix, subject.training_matrix), frechet_distance(pca.transform(matrix), seen))
        for name, matrix in rows.items()
    }
    return Generation(len(test), int(pca.n_components_), **distances)


def _nearest(samples: NDArray[np.float64], seen: NDArray[np.float64]) -> float:
    neighbors = import_package("sklearn.neighbors", extra="train")
    distances, _ = neighbors.NearestNeighbors(n_neighbors=1).fit(seen).kneighbors(samples)
    return float(distances.mean())


def frechet_distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """|m₁ − m₂|² + tr(C₁ + C₂ − 2·(C₁·C₂)^½) of samples [n, values] each."""
    between = np.square(one.mean(axis=0) - other.mean(axis=0)).sum()
    first, second = (np.atleast_2d(np.cov(samples, rowvar=False)) for samples in (one, other))
    # The eigenvalues of C₁·C₂ are those of a symmetric matrix: real and not negative, but for rounding.
    products = np.linalg.eigvals(first @ second).real
    return float(between + np.trace(first) + np.trace(second) - 2 * np.sqrt(np.maximum(products, 0)).sum())
