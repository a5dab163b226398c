"""Super-resolution: beside bicubic interpolation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aetool.data.packages import import_package
from aetool.evaluation.quality import psnr
from aetool.evaluation.subject import Subject, spread
from aetool_exporters.budget.metrics import structural_similarity
from aetool_runtime.specs import Array

__all__ = ["Enlarged", "SuperResolution", "measure_super_resolution", "structural_similarity"]


@dataclass(frozen=True)
class Enlarged:
    """PSNR in dB and structural similarity (1 is equal) against the whole images, raw units, nothing clipped."""

    psnr: float | None
    ssim: float


@dataclass(frozen=True)
class SuperResolution:
    """From images that are smaller by the task's factor.

    Args:
        samples: of the test part.
        network: decoder(encoder(small image)).
        bicubic: Pillow's, on float32.
    """

    samples: int
    network: Enlarged
    bicubic: Enlarged


def measure_super_resolution(subject: Subject) -> SuperResolution:
    """Both on the same images."""
    images = spread(subject.data.split.test)

    def score(enlarged: Array) -> Enlarged:
        error = float(np.square(enlarged.astype(np.float64) - images).mean())
        return Enlarged(psnr(error, subject.peak), structural_similarity(images, enlarged, subject.peak))

    return SuperResolution(
        len(images), score(subject.reconstruct(images)), score(_bicubic(subject.given(images), subject.factor))
    )


def _bicubic(images: Array, factor: int) -> NDArray[np.float32]:
    image = import_package("PIL.Image", extra="data")
    size = (images.shape[2] * factor, images.shape[1] * factor)

    def enlarge(plane: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(image.fromarray(plane).resize(size, image.Resampling.BICUBIC), np.float32)

    planes = np.moveaxis(np.asarray(images, np.float32), -1, 1)
    return np.stack([np.stack([enlarge(plane) for plane in one], axis=-1) for one in planes])
