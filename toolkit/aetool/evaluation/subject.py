"""What is evaluated: a trained autoencoder with its data, and what every measurement needs of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aetool.config import Config
from aetool.data import Dataset, PreparedData
from aetool.data.packages import import_package
from aetool.models import KerasAutoencoder
from aetool.models.corruption import shrink
from aetool_exporters.reference import Reference
from aetool_runtime.specs import Array

__all__ = ["Subject", "spread"]

_BATCH = 256
_SAMPLES, _BYTES = 1024, 64 << 20
_MATRIX_BYTES = 256 << 20


def spread(dataset: Dataset, limit: int = _SAMPLES) -> Array:
    """Samples evenly spread over a part, in memory: at most ``limit`` and 64 MiB."""
    count = max(1, min(len(dataset), limit, _BYTES // (4 * math.prod(dataset.sample_shape))))
    return dataset.take(np.arange(count) * len(dataset) // count)


@dataclass(frozen=True)
class Subject:
    """A trained autoencoder and the data that it was trained for.

    Args:
        config: resolved.
        autoencoder: trained.
        data: its parts; measurements are made on the test part, and baselines fitted on the others.
    """

    config: Config
    autoencoder: KerasAutoencoder
    data: PreparedData

    @cached_property
    def reference(self) -> Reference:
        return Reference(self.autoencoder.encoder, self.autoencoder.decoder, self.data.normalization)

    @cached_property
    def peak(self) -> float:
        """The range of the training part, raw units."""
        seen = self.data.statistics.pooled("global")
        return float(seen.maximum[0] - seen.minimum[0])

    @cached_property
    def latent(self) -> int:
        """Values per sample that the encoder returns."""
        return math.prod(self.encode(self.data.split.test.take(np.arange(1))).shape[1:])

    @property
    def is_text(self) -> bool:
        return self.reference.input.dtype == "int32"

    @property
    def has_indices(self) -> bool:
        """The latent is integers."""
        return self.reference.latent.dtype == "int32"

    @property
    def factor(self) -> int:
        """How much smaller than a sample what the encoder takes is; 1 where it takes the sample."""
        return self.config.task.factor if self.config.task.kind == "super_resolution" else 1

    def given(self, samples: Array) -> Array:
        """Samples → what the encoder takes for them, raw units."""
        return samples if self.factor == 1 else shrink(samples, self.factor)

    def encode(self, samples: Array) -> Array:
        """Samples → latents [n, …]."""
        return self.reference.compute("encoder", self.given(samples))

    def reconstruct(self, samples: Array) -> Array:
        """Samples → what the autoencoder makes of them, raw units."""
        return self.reference.compute("autoencoder", self.given(samples))

    def test_batches(self) -> Iterator[Array]:
        return self.data.split.test.batches(_BATCH)

    @cached_property
    def pca(self) -> Any:
        """Principal components of normalized training samples, as many as the latent has values."""
        return self.fit_pca(self.latent)

    def fit_pca(self, components: int) -> Any:
        """scikit-learn's PCA of normalized training samples, with at most ``components``.

        Raises:
            DependencyError: scikit-learn is not installed.
        """
        decomposition = import_package("sklearn.decomposition", extra="train")
        matrix = self.training_matrix
        return decomposition.PCA(min(components, *matrix.shape), random_state=0).fit(matrix)

    @cached_property
    def training_matrix(self) -> NDArray[np.float64]:
        """Normalized training samples, flat: [n, values]; evenly spread where not all fit into 256 MiB."""
        training, size = self.data.training, math.prod(self.data.sample_shape)
        count = max(1, min(len(training), _MATRIX_BYTES // (8 * size)))
        matrix = np.empty((count, size))
        for start in range(0, count, _BATCH):
            indices = np.arange(start, min(start + _BATCH, count)) * len(training) // count
            matrix[start : start + len(indices)] = self.flat(training.take(indices))
        return matrix

    def flat(self, samples: Array) -> NDArray[np.float64]:
        """Samples → normalized, [n, values]."""
        return self.data.normalization.apply(samples).reshape(len(samples), -1).astype(np.float64)

    def unflat(self, matrix: NDArray[np.float64]) -> Array:
        """The way back to samples."""
        return self.data.normalization.invert(matrix.reshape(len(matrix), *self.data.sample_shape))
