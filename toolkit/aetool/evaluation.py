"""Does the network earn its keep? Its errors on the test part beside those of PCA with as many latent dimensions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aetool.data import Dataset, PreparedData
from aetool.data.packages import import_package
from aetool.models import KerasAutoencoder
from aetool_exporters.reference import Reference
from aetool_runtime.errors import InputError
from aetool_runtime.specs import Array

__all__ = ["Evaluation", "Quality", "evaluate"]

_BATCH = 256
_PCA_BYTES = 256 << 20


@dataclass(frozen=True)
class Quality:
    """Of reconstructions of the test part, in raw units.

    Args:
        mse: mean squared error over all values.
        psnr: 10 · log10(peak² / mse) in dB; ``None`` where there is no error at all.
        mse_per_channel: one value for each place on the last axis (of flat samples: per feature).
    """

    mse: float
    psnr: float | None
    mse_per_channel: tuple[float, ...]


@dataclass(frozen=True)
class Evaluation:
    """Network and PCA, side by side.

    Args:
        samples: in the test part.
        peak: the range of the training part (maximum − minimum), which PSNR is relative to.
        latent: values per sample that both may keep.
        network: decoder(encoder(x)).
        pca: the same with principal components, on the same normalized values.
        pca_samples: training samples that PCA was fitted on; evenly spread where not all fit into 256 MiB.
    """

    samples: int
    peak: float
    latent: int
    network: Quality
    pca: Quality
    pca_samples: int


def evaluate(autoencoder: KerasAutoencoder, data: PreparedData) -> Evaluation:
    """Measure both on the test part, which neither has seen.

    Raises:
        DependencyError: scikit-learn is not installed.
        InputError: a reconstruction that is not finite.
    """
    reference = Reference(autoencoder.encoder, autoencoder.decoder, data.normalization)
    seen = data.statistics.pooled("global")
    peak = float(seen.maximum[0] - seen.minimum[0])
    latent = int(autoencoder.encoder.output_shape[-1])
    pca, fitted_on = _pca(data, latent)
    return Evaluation(
        samples=len(data.split.test),
        peak=peak,
        latent=latent,
        network=_quality(data.split.test, lambda batch: reference.compute("autoencoder", batch), peak),
        pca=_quality(data.split.test, pca, peak),
        pca_samples=fitted_on,
    )


def _quality(test: Dataset, reconstruct: Callable[[Array], Array], peak: float) -> Quality:
    total = np.zeros(test.sample_shape[-1])
    for batch in test.batches(_BATCH):
        error = np.asarray(reconstruct(batch), np.float64) - batch
        total += np.square(error).reshape(-1, total.size).sum(axis=0)
    per_channel = total / (len(test) * math.prod(test.sample_shape[:-1]))
    mse = float(per_channel.mean())
    if not math.isfinite(mse):
        raise InputError(
            "the reconstruction of the test part overflows", hint="look for extreme values in the test part"
        )
    psnr = 10 * math.log10(peak**2 / mse) if mse > 0 and peak > 0 else None
    return Quality(mse, psnr, tuple(per_channel.tolist()))


def _pca(data: PreparedData, latent: int) -> tuple[Callable[[Array], Array], int]:
    """A function raw → raw through ``latent`` principal components, and the number of samples it was fitted on."""
    decomposition = import_package("sklearn.decomposition", extra="train")
    flat = _training_matrix(data)
    pca = decomposition.PCA(min(latent, *flat.shape), random_state=0).fit(flat)

    def reconstruct(batch: Array) -> Array:
        normalized = data.normalization.apply(batch)
        restored = pca.inverse_transform(pca.transform(normalized.reshape(len(batch), -1)))
        return data.normalization.invert(restored.reshape(batch.shape))

    return reconstruct, len(flat)


def _training_matrix(data: PreparedData) -> NDArray[np.float64]:
    """Normalized training samples, flat: [n, values]."""
    size = math.prod(data.sample_shape)
    count = max(1, min(len(data.training), _PCA_BYTES // (8 * size)))
    matrix = np.empty((count, size))
    for start in range(0, count, _BATCH):
        indices = np.arange(start, min(start + _BATCH, count)) * len(data.training) // count
        matrix[start : start + len(indices)] = data.normalization.apply(data.training.take(indices)).reshape(
            len(indices), size
        )
    return matrix
