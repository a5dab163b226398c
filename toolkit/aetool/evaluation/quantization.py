"""Integer latents: beside principal components that are quantized to as many bits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aetool.config import VectorQuantizedLatent
from aetool.evaluation.quality import Quality, measure_quality
from aetool.evaluation.subject import Subject, spread
from aetool_runtime.specs import Array

__all__ = ["Quantization", "measure_quantization"]

_REACHES = (1.5, 2.0, 2.5, 3.0, 4.0)  # how many deviations the outermost levels span


@dataclass(frozen=True)
class Quantization:
    """Errors at equal bits.

    Args:
        bits: per sample: positions · log2(codes).
        codes_used: entries of the codebook that the test part uses.
        pca: principal coefficients, each quantized uniformly; bits go one by one to the coefficient whose error they
            lower most (transform coding, Gersho and Gray 1991, section 8.3); how many deviations the levels span is
            chosen on the validation part.
        pca_bits: that this takes: ``bits``, rounded down to whole ones.
        pca_components: that get a bit or more.
    """

    bits: float
    codes_used: int
    pca: Quality
    pca_bits: int
    pca_components: int


def measure_quantization(subject: Subject) -> Quantization:
    """On the test part."""
    latent = subject.config.latent
    assert isinstance(latent, VectorQuantizedLatent)
    bits = subject.latent * math.log2(latent.codes)
    coder = min((_Coder.fit(subject, int(bits), reach) for reach in _REACHES), key=lambda coder: coder.loss(subject))
    used = np.unique(subject.encode(spread(subject.data.split.test)))
    return Quantization(
        bits=bits,
        codes_used=len(used),
        pca=measure_quality(subject, lambda batch: subject.unflat(coder.restore(subject.flat(batch)))),
        pca_bits=int(coder.bits.sum()),
        pca_components=int((coder.bits > 0).sum()),
    )


@dataclass(frozen=True)
class _Coder:
    """Uniform quantization of principal coefficients: 2^bits levels across ±reach deviations."""

    pca: Any
    bits: NDArray[np.int64]
    reach: float

    @classmethod
    def fit(cls, subject: Subject, bits: int, reach: float) -> _Coder:
        pca = subject.fit_pca(bits)
        return cls(pca, _allocate(pca.explained_variance_, bits), reach)

    def restore(self, flat: NDArray[np.float64]) -> NDArray[np.float64]:
        """Normalized samples [n, values] → the same from their bits."""
        levels = 2.0**self.bits
        step = 2 * self.reach * np.sqrt(self.pca.explained_variance_) / levels
        cells = np.floor(self.pca.transform(flat) / np.where(step > 0, step, 1))
        cells = np.clip(cells, -levels / 2, levels / 2 - 1) + 0.5
        return np.asarray(self.pca.inverse_transform(np.where(self.bits > 0, cells * step, 0)))

    def loss(self, subject: Subject) -> float:
        flat = subject.flat(_validation(subject))
        return float(np.square(self.restore(flat) - flat).mean())


def _validation(subject: Subject) -> Array:
    return spread(subject.data.split.validation)


def _allocate(variance: NDArray[np.float64], bits: int) -> NDArray[np.int64]:
    """Each bit divides the squared error of its coefficient by 4."""
    given, left = np.zeros(len(variance), np.int64), np.array(variance, np.float64)
    for _ in range(bits):
        place = int(left.argmax())
        given[place] += 1
        left[place] /= 4
    return given
