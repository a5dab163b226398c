"""Errors of reconstructions, beside those of principal components."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from aetool.evaluation.subject import Subject
from aetool_runtime.errors import InputError
from aetool_runtime.specs import Array

__all__ = ["Quality", "measure_quality", "pca_quality", "psnr"]


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


def measure_quality(subject: Subject, reconstruct: Callable[[Array], Array] | None = None) -> Quality:
    """Of the network, or of another function of samples.

    Raises:
        InputError: a reconstruction that is not finite.
    """
    reconstruct = reconstruct or subject.reconstruct
    test = subject.data.split.test
    total = np.zeros(test.sample_shape[-1])
    for batch in subject.test_batches():
        error = np.asarray(reconstruct(batch), np.float64) - batch
        total += np.square(error).reshape(-1, total.size).sum(axis=0)
    per_channel = total / (len(test) * math.prod(test.sample_shape[:-1]))
    mse = float(per_channel.mean())
    if not math.isfinite(mse):
        raise InputError(
            "the reconstruction of the test part overflows", hint="look for extreme values in the test part"
        )
    return Quality(mse, psnr(mse, subject.peak), tuple(per_channel.tolist()))


def psnr(mse: float, peak: float) -> float | None:
    """10 · log10(peak² / mse) in dB; ``None`` where there is no error at all."""
    return 10 * math.log10(peak**2 / mse) if mse > 0 and peak > 0 else None


def pca_quality(subject: Subject) -> Quality:
    """With as many values per sample as the latent has."""
    pca = subject.pca
    return measure_quality(
        subject, lambda batch: subject.unflat(pca.inverse_transform(pca.transform(subject.flat(batch))))
    )
