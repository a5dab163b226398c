"""Denoising: corrupted test samples through the network, beside the filters of the textbooks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aetool.data import Dataset
from aetool.data.packages import import_package
from aetool.evaluation.quality import psnr
from aetool.evaluation.subject import Subject, spread
from aetool.models.corruption import Corruption
from aetool.models.step import Step
from aetool_runtime.specs import Array

__all__ = ["Denoising", "measure_denoising"]

_SIZES = (3, 5, 7, 9, 11)
_TEST, _VALIDATION = -2, -3  # step numbers that no training has
_SAMPLES = 512


@dataclass(frozen=True)
class Denoising:
    """PSNR in dB against the clean samples, raw units; the corruption is the one of training, seeded.

    Args:
        samples: of the test part.
        corrupted: of the corrupted samples as they are.
        network: decoder(encoder(corrupted)).
        median, wiener: filters of SciPy along time, or height and width; the Wiener filter knows the variance of
            Gaussian noise, and estimates that of other corruptions.
        median_size, wiener_size: their windows, chosen among 3 to 11 on the validation part.
        pca: principal components of clean training samples, as many as the latent has values.
    """

    samples: int
    corrupted: float | None
    network: float | None
    median: float | None
    wiener: float | None
    pca: float | None
    median_size: int
    wiener_size: int


def measure_denoising(subject: Subject) -> Denoising:
    """Measure all on the same corrupted samples."""
    clean, corrupted = _corrupted(subject, subject.data.split.test, _TEST)
    filters = {"median": _median, "wiener": _wiener}
    sizes = {name: _best_size(subject, run) for name, run in filters.items()}
    pca = subject.pca

    def score(normalized: NDArray[np.float32]) -> float | None:
        restored = subject.data.normalization.invert(normalized)
        return psnr(float(np.square(restored.astype(np.float64) - clean).mean()), subject.peak)

    rebuilt = pca.inverse_transform(pca.transform(corrupted.reshape(len(clean), -1))).reshape(clean.shape)
    network = subject.data.normalization.apply(subject.reconstruct(subject.data.normalization.invert(corrupted)))
    return Denoising(
        samples=len(clean),
        corrupted=score(corrupted),
        network=score(network),
        median=score(_median(subject, corrupted, sizes["median"])),
        wiener=score(_wiener(subject, corrupted, sizes["wiener"])),
        pca=score(rebuilt),
        median_size=sizes["median"],
        wiener_size=sizes["wiener"],
    )


def _corrupted(subject: Subject, part: Dataset, number: int) -> tuple[Array, NDArray[np.float32]]:
    """Clean samples in raw units, and the same corrupted, normalized."""
    clean = spread(part, _SAMPLES)
    corruption = Corruption.for_data(subject.config.corruption, subject.data)
    step = Step(subject.config.training.seed, number, False)
    return clean, np.asarray(corruption.apply(subject.data.normalization.apply(clean), step))


def _best_size(subject: Subject, run: Callable[[Subject, NDArray[np.float32], int], NDArray[np.float32]]) -> int:
    clean, corrupted = _corrupted(subject, subject.data.split.validation, _VALIDATION)
    target = subject.data.normalization.apply(clean)
    return min(_SIZES, key=lambda size: float(np.square(run(subject, corrupted, size) - target).mean()))


def _median(subject: Subject, samples: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    ndimage = import_package("scipy.ndimage", extra="train")
    shaped, window = _shaped(subject, samples, size)
    return np.asarray(ndimage.median_filter(shaped, window, mode="nearest").reshape(samples.shape), np.float32)


def _wiener(subject: Subject, samples: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    signal = import_package("scipy.signal", extra="train")
    corruption = subject.config.corruption
    variance = corruption.amount**2 if corruption.kind == "gaussian" else None
    shaped, window = _shaped(subject, samples, size)
    with np.errstate(divide="ignore", invalid="ignore"):  # where nothing varies: SciPy then takes the mean
        restored = signal.wiener(shaped.astype(np.float64), window, variance)
    return np.asarray(np.nan_to_num(restored).reshape(samples.shape), np.float32)


def _shaped(subject: Subject, samples: NDArray[np.float32], size: int) -> tuple[NDArray[np.float32], tuple[int, ...]]:
    """Samples with their neighbourhoods, and the window: not across samples or channels."""
    shape, rows = samples.shape[1:], subject.data.raw_shape[1:]
    if len(shape) == 1 and len(rows) > 1 and math.prod(rows) == shape[0]:
        shape = rows if len(rows) == 3 else (*rows, 1)  # flat images are images to a filter
    inner = (size,) if len(shape) == 1 else (*(size,) * (len(shape) - 1), 1)
    return samples.reshape(len(samples), *shape), (1, *inner)
