"""Training for rate: what the latent costs when it is rounded and coded; see ``CompressionConfig``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aetool.config import CompressionConfig, LinearModel
from aetool.data import Dataset
from aetool.models import KerasAutoencoder
from aetool.models.laplace import LaplacePrior
from aetool.models.step import Step
from aetool.training.latents import Encoded, PlainPath
from aetool_exporters.rate import TrainedRate
from aetool_runtime.specs import Array

if TYPE_CHECKING:
    from aetool.training.plan import Plan

__all__ = ["RatePath"]

_MEASURED = 1024  # samples of the training part that latents are looked at on
_MEASURED_BYTES = 16 << 20
_KEPT_BYTES = 64 << 20  # of training samples for entropy tables, as float32
_BATCH = 32


class RatePath(PlainPath):
    """A latent whose bits are counted."""

    names = ("rate",)

    def __init__(
        self, autoencoder: KerasAutoencoder, config: CompressionConfig, warmup_steps: int, prior: LaplacePrior
    ) -> None:
        super().__init__(autoencoder)
        self._full, self._quantization, self._warmup = config.weight, config.quantization, warmup_steps
        self.prior = prior

    @classmethod
    def for_plan(cls, plan: Plan) -> RatePath:
        """With a prior fitted to what the untrained encoder returns."""
        config = plan.config.compression
        latents = _latents(plan)
        prior = LaplacePrior.fitted(latents.reshape(-1, latents.shape[-1]))
        return cls(plan.autoencoder, config, config.warmup_epochs * plan.batches, prior)

    @property
    def variables(self) -> list[Any]:
        return self.prior.variables

    @property
    def trained(self) -> list[Any]:
        return self.prior.variables

    def encode(self, given: Any, step: Step, values: int) -> Encoded:
        import tensorflow as tf

        latent = self._encoder(given, training=step.training)
        coded, passed = self._quantized(latent, step)
        samples = tf.cast(tf.shape(latent)[0], tf.float32)
        bits = tf.reduce_sum(self.prior.bits(coded)) / (samples * values)
        return Encoded(latent, passed, {"rate": self._weight(step) * bits})

    def bits(self, parts: Mapping[str, float]) -> float:
        """Per value of a sample, from a part of the validation loss."""
        return parts["rate"] / self._full

    def describe(self, plan: Plan) -> TrainedRate:
        """What an exporter needs to know, measured on training samples."""
        location = np.asarray(self.prior.center.value)
        center = np.round(location)
        latents = _latents(plan)
        live = np.any(np.round(latents) != center, axis=tuple(range(latents.ndim - 1)))
        return TrainedRate(
            weight=self._full,
            step=(1.0,) * len(center),
            center=tuple(center.tolist()),
            location=tuple(location.astype(float).tolist()),
            scale=tuple(np.asarray(self.prior.scale).astype(float).tolist()),
            live=tuple(live.tolist()),
            linear=isinstance(plan.config.model, LinearModel),
            samples=_spread(plan.data.split.training, len(plan.data.split.training), _KEPT_BYTES),
        )

    def _quantized(self, latent: Any, step: Step) -> tuple[Any, Any]:
        """What is charged for, and what the decoder gets."""
        import tensorflow as tf

        if not step.training:
            rounded = tf.round(latent)
            return rounded, rounded
        noisy = latent + step.uniform("quantization", latent) - 0.5
        if self._quantization == "noise":
            return noisy, noisy
        straight = latent + tf.stop_gradient(tf.round(latent) - latent)
        return (noisy if self._quantization == "mixed" else straight), straight

    def _weight(self, step: Step) -> Any:
        import tensorflow as tf

        if not (self._warmup and step.training):
            return self._full
        return self._full * tf.minimum(1.0, tf.cast(step.number, tf.float32) / self._warmup)


def _latents(plan: Plan) -> NDArray[np.float32]:
    """What the encoder returns for training samples, [n, …]."""
    samples = plan.data.normalization.apply(_spread(plan.data.training, _MEASURED, _MEASURED_BYTES))
    encoder = plan.autoencoder.encoder
    pieces = [encoder(samples[start : start + _BATCH], training=False) for start in range(0, len(samples), _BATCH)]
    return np.concatenate([np.asarray(piece) for piece in pieces])


def _spread(part: Dataset, limit: int, bytes_: int) -> Array:
    """Samples evenly spread over a part."""
    count = max(1, min(len(part), limit, bytes_ // (4 * int(np.prod(part.sample_shape)))))
    return part.take(np.arange(count) * len(part) // count)
