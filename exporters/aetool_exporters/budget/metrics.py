"""What quality is measured by. NumPy; structural similarity needs SciPy."""

from __future__ import annotations

import math
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aetool_runtime.errors import DependencyError
from aetool_runtime.specs import Array

__all__ = ["area_under_curve", "nearest_neighbours", "psnr", "recall", "structural_similarity", "token_accuracy"]

_BLOCK = 256


def psnr(mse: float, peak: float) -> float:
    """10 · log10(peak² / mse) in dB; infinite where there is no error at all."""
    return 10 * math.log10(peak**2 / mse) if mse > 0 else math.inf


def structural_similarity(one: Array, other: Array, peak: float) -> float:
    """Mean SSIM of images [n, height, width, c] (Wang 2004: Gaussian window of deviation 1.5, 11×11, per channel).

    Raises:
        DependencyError: SciPy is not installed.
    """
    ndimage = _scipy_ndimage()

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(ndimage.gaussian_filter(values, (0, 1.5, 1.5, 0), truncate=3.5))

    a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
    mean_a, mean_b = mean(a), mean(b)
    variance_a, variance_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    ratio = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return float((ratio / ((mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2))).mean())


def area_under_curve(scores: Array, anomalous: Array) -> float:
    """Of the receiver operating characteristic: how often an anomalous sample scores higher than another one.

    Args:
        scores: [n]; equal ones count as half.
        anomalous: [n] booleans, of which both kinds occur.
    """
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]  # equal scores share the mean of their ranks
    positive = int(np.count_nonzero(anomalous))
    negative = len(scores) - positive
    above = float(ranks[anomalous].sum()) - positive * (positive + 1) / 2
    return above / (positive * negative)


def nearest_neighbours(vectors: Array, count: int) -> NDArray[np.int64]:
    """The ``count`` nearest other vectors of each, by Euclidean distance: [n, count] indices, the nearest first.

    Args:
        vectors: [n, values] with n > count.
    """
    points = np.asarray(vectors, np.float64)
    squares = np.square(points).sum(axis=1)
    found = []
    for start in range(0, len(points), _BLOCK):
        block = points[start : start + _BLOCK]
        distances = squares - 2 * block @ points.T  # without the block's own squares, which do not change the order
        distances[np.arange(len(block)), np.arange(start, start + len(block))] = np.inf
        found.append(np.argsort(distances, axis=1, kind="stable")[:, :count])
    return np.concatenate(found)


def recall(wanted: NDArray[np.int64], met: NDArray[np.int64]) -> float:
    """The share of the wanted neighbours [n, count] that are among those met."""
    return float(np.mean([np.isin(a, b).mean() for a, b in zip(wanted, met, strict=True)]))


def token_accuracy(tokens: Array, logits: Array) -> float:
    """The share of places [n, length] for which the most probable token [n, length, vocabulary] is the right one."""
    return float((logits.argmax(axis=-1) == tokens).mean())


def _scipy_ndimage() -> Any:
    try:
        return import_module("scipy.ndimage")
    except ModuleNotFoundError as error:
        raise DependencyError("SciPy is not installed", hint="pip install 'aetool[train]'") from error
