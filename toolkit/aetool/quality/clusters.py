"""How well clusters can be found in the latents, beside PCA of as many dimensions and the raw input."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aetool.data.packages import import_package
from aetool_runtime.errors import UsageError
from aetool_runtime.specs import Array

__all__ = ["STARTS", "Clustering", "compare_spaces", "input_points", "latent_points", "principal_components"]

STARTS = 10  # of k-means; the best of them counts


@dataclass(frozen=True)
class Clustering:
    """k-means in one space.

    Args:
        space: ``latents`` (or ``latents as categories``), ``PCA``, and ``raw input`` (or ``token counts``).
        dimensions: of the space.
        adjusted_rand: agreement of clusters and labels: 1 when they are the same, about 0 by chance; ``None`` without
            labels.
        silhouette: how much nearer samples are to their own cluster than to the next, −1 to 1; ``None`` when fewer than
            two clusters were found.
        assigned: the cluster of each sample.
    """

    space: str
    dimensions: int
    adjusted_rand: float | None
    silhouette: float | None
    assigned: NDArray[np.int64] = field(repr=False)


def compare_spaces(
    inputs: Array, latents: Array, labels: Array | None, clusters: int, seed: int
) -> tuple[Clustering, Clustering, Clustering]:
    """Cluster the same samples in three spaces: latents, principal components of the raw input, the raw input.

    Args:
        inputs: [n, values], raw units; see ``input_points``.
        latents: [n, …]; see ``latent_points``.
        labels: [n], of any kind; ``None`` where there are none.
        clusters: 2 or more, fewer than samples.
        seed: of k-means.

    Raises:
        UsageError: more clusters than samples allow.
        DependencyError: scikit-learn is not installed.
    """
    if not 2 <= clusters < len(inputs):
        raise UsageError(
            f"{len(inputs)} samples cannot be put into {clusters} clusters",
            expected="2 clusters or more, and more samples than clusters",
        )
    raw = input_points(inputs)
    pca = "PCA", principal_components(raw[1], math.prod(latents.shape[1:]))
    spaces = (latent_points(latents), pca, raw)
    first, second, third = (_cluster(name, space, labels, clusters, seed) for name, space in spaces)
    return first, second, third


def latent_points(latents: Array) -> tuple[str, Array]:
    """Latents as vectors, [n, values], and their name; integers name entries of a codebook: 0 or 1 for each entry."""
    name = "latents"
    if latents.dtype.kind in "iu":
        name, latents = "latents as categories", np.eye(int(latents.max()) + 1, dtype=np.float32)[latents]
    return name, latents.reshape(len(latents), -1)


def input_points(inputs: Array) -> tuple[str, Array]:
    """What stands for the raw input, and its name: the values, or, of tokens, how often each occurs in a sample."""
    if inputs.dtype.kind not in "iu":
        return "raw input", inputs
    size = int(inputs.max()) + 1
    return "token counts", np.stack([np.bincount(row, minlength=size) for row in inputs]).astype(np.float32)


def principal_components(points: Array, dimensions: int) -> Array:
    """The first ``dimensions`` principal components (fewer where there are no more), [n, dimensions]."""
    decomposition = import_package("sklearn.decomposition", extra="train")
    count = min(dimensions, *points.shape)
    with _one_thread():
        return np.asarray(decomposition.PCA(count, random_state=0).fit_transform(points.astype(np.float64)))


def _one_thread() -> Any:
    """These problems are small: threads that wait for one another cost more than they bring, on a busy machine much."""
    return import_package("threadpoolctl", extra="train").threadpool_limits(1)


def _cluster(name: str, points: Array, labels: Array | None, clusters: int, seed: int) -> Clustering:
    cluster = import_package("sklearn.cluster", extra="train")
    metrics = import_package("sklearn.metrics", extra="train")
    with warnings.catch_warnings(), _one_thread():
        warnings.simplefilter("ignore")  # fewer distinct points than clusters: the silhouette then says it
        assigned = cluster.KMeans(clusters, n_init=STARTS, random_state=seed).fit_predict(points)
        silhouette = float(metrics.silhouette_score(points, assigned)) if len(np.unique(assigned)) > 1 else None
    return Clustering(
        space=name,
        dimensions=points.shape[1],
        adjusted_rand=None if labels is None else float(metrics.adjusted_rand_score(labels, assigned)),
        silhouette=silhouette,
        assigned=np.asarray(assigned, np.int64),
    )
