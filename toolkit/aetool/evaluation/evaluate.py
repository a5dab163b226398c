"""All measurements that make sense for a configuration."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from aetool.config import AdversarialLatent, Config, LinearModel, VariationalLatent
from aetool.data import PreparedData
from aetool.evaluation.activity import Activity, measure_activity
from aetool.evaluation.compression import Compression, measure_compression
from aetool.evaluation.denoising import Denoising, measure_denoising
from aetool.evaluation.generation import Generation, measure_generation
from aetool.evaluation.quality import Quality, measure_quality, pca_quality
from aetool.evaluation.quantization import Quantization, measure_quantization
from aetool.evaluation.subject import Subject
from aetool.evaluation.super_resolution import SuperResolution, measure_super_resolution
from aetool.evaluation.text import Text, measure_text
from aetool.models import KerasAutoencoder
from aetool_exporters.rate import TrainedRate

__all__ = ["Evaluation", "evaluate"]


@dataclass(frozen=True)
class Evaluation:
    """Network and baselines, side by side; what does not apply is ``None``.

    Args:
        samples: in the test part.
        peak: the range of the training part (maximum − minimum), which PSNR is relative to.
        latent: values per sample that the encoder returns.
        network: decoder(encoder(x)), of what the encoder is meant to get: the clean sample, or the small image.
        pca: principal components, as many as the latent has values, on the same normalized values.
        pca_samples: training samples that PCA was fitted on; evenly spread where not all fit into 256 MiB.
        compression: with the latent rounded, of models that were trained for rate.
        skipped: name of a baseline that was left out → why.
    """

    samples: int
    peak: float | None
    latent: int
    network: Quality | None = None
    pca: Quality | None = None
    pca_samples: int | None = None
    denoising: Denoising | None = None
    super_resolution: SuperResolution | None = None
    activity: Activity | None = None
    quantization: Quantization | None = None
    generation: Generation | None = None
    text: Text | None = None
    compression: Compression | None = None
    skipped: dict[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As JSON, without what does not apply."""
        return {name: value for name, value in asdict(self).items() if value not in (None, {})}


def evaluate(
    config: Config, autoencoder: KerasAutoencoder, data: PreparedData, rate: TrainedRate | None = None
) -> Evaluation:
    """Measure on the test part, which nothing has seen.

    Args:
        rate: what training for rate learned, where it was part of the loss.

    Raises:
        DependencyError: scikit-learn or SciPy is not installed.
        InputError: a reconstruction that is not finite.
    """
    subject = Subject(config, autoencoder, data)
    samples = len(data.split.test)
    if subject.is_text:
        why = "tokens have no principal components"
        return Evaluation(samples, None, subject.latent, text=measure_text(subject), skipped={"pca": why})
    why = _no_pca(subject)
    return Evaluation(
        samples=samples,
        peak=subject.peak,
        latent=subject.latent,
        network=measure_quality(subject),
        pca=None if why else pca_quality(subject),
        pca_samples=None if why else len(subject.training_matrix),
        skipped={"pca": why} if why else {},
        compression=None if rate is None else measure_compression(subject, rate),
        **_of_the_kind(subject),
    )


def _no_pca(subject: Subject) -> str:
    if subject.has_indices:
        return "a latent of integers has fewer bits than as many coefficients: see quantization"
    if subject.config.compression.weight:
        return "values that are charged by their bits are not held against as many others: see compression"
    if isinstance(subject.config.model, LinearModel):
        return "the linear family is principal components itself"
    if subject.factor > 1:
        return "principal components of a sample do not tell it from a smaller one: see super_resolution"
    return ""


def _of_the_kind(subject: Subject) -> dict[str, Any]:
    config = subject.config
    found: dict[str, Any] = {}
    if config.corruption.kind != "none" and subject.factor == 1:
        found["denoising"] = measure_denoising(subject)
    if subject.factor > 1:
        found["super_resolution"] = measure_super_resolution(subject)
    elif not subject.has_indices and not config.compression.weight:
        found["activity"] = measure_activity(subject)
    if subject.has_indices:
        found["quantization"] = measure_quantization(subject)
    if isinstance(config.latent, VariationalLatent | AdversarialLatent):
        found["generation"] = measure_generation(subject)
    return found
