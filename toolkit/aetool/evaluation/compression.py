"""What a latent that was trained for rate costs when it is rounded, and what comes back then."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from aetool.evaluation.quality import measure_quality, psnr
from aetool.evaluation.subject import Subject
from aetool.models.laplace import LaplacePrior
from aetool_exporters.rate import TrainedRate
from aetool_runtime.specs import Array

__all__ = ["Compression", "measure_compression"]


@dataclass(frozen=True)
class Compression:
    """Of the test part, with the latent rounded to the steps that were trained; raw units.

    Args:
        bits: per value of a sample: the code length under the distributions that were trained along. Tables that are
            fitted at export do a little better.
        mse, psnr: of what the decoder makes of rounded latents.
        live, channels: of the latent: those that are not always the same, and all.
    """

    bits: float
    mse: float
    psnr: float | None
    live: int
    channels: int


def measure_compression(subject: Subject, rate: TrainedRate) -> Compression:
    """Round, count and decode."""
    prior = LaplacePrior(np.array(rate.location), np.array(rate.scale))
    step = np.array(rate.step, np.float32)
    total = 0.0

    def restored(samples: Array) -> Array:
        nonlocal total
        rounded = np.round(subject.encode(samples) / step).astype(np.float32)
        total += float(np.asarray(prior.bits(rounded), np.float64).sum())
        return subject.reference.compute("decoder", rounded * step)

    mse = measure_quality(subject, restored).mse
    values = len(subject.data.split.test) * math.prod(subject.data.sample_shape)
    return Compression(total / values, mse, psnr(mse, subject.peak), sum(rate.live), len(rate.live))
