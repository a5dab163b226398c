"""How a latent gets from the encoder to the decoder while both are trained, by kind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aetool.config import VariationalLatent, VectorQuantizedLatent
from aetool.models import KerasAutoencoder
from aetool.models.codebook import Codebook
from aetool.models.step import Step

__all__ = ["Encoded", "PlainPath", "QuantizedPath", "VariationalPath"]


@dataclass(frozen=True)
class Encoded:
    """A batch between the halves.

    Args:
        latent: [batch, …] float32, what penalties are on; depends on the encoder without any noise.
        passed: what the decoder gets.
        parts: what the way costs, weighted, by name.
    """

    latent: Any
    passed: Any
    parts: dict[str, Any] = field(default_factory=dict)


class PlainPath:
    """The latent as it is; the other kinds change what they must.

    Attributes:
        names: of the loss's parts that this kind adds.
        game: those of them that two players pull at: no measure of progress.
    """

    names: tuple[str, ...] = ()
    game: tuple[str, ...] = ()

    def __init__(self, autoencoder: KerasAutoencoder) -> None:
        self._encoder, self._decoder = autoencoder.encoder, autoencoder.decoder

    @property
    def variables(self) -> list[Any]:
        """What changes in training, beside the halves and their optimizer."""
        return []

    @property
    def trained(self) -> list[Any]:
        """Those of them that the optimizer of the halves moves, too; Keras variables."""
        return []

    def encode(self, given: Any, step: Step, values: int) -> Encoded:
        """[batch, *input_shape] → the latent; ``values`` that the reconstruction loss is a mean over."""
        latent = self._encoder(given, training=step.training)
        return Encoded(latent, latent)

    def decode(self, encoded: Encoded, step: Step) -> Any:
        """→ [batch, *sample_shape]."""
        return self._decoder(encoded.passed, training=step.training)

    def finish_step(self, encoded: Encoded, step: Step) -> dict[str, Any]:
        """What else a step is: more parts of the loss, and in training the updates of what belongs to the kind."""
        return {}

    def publish(self) -> None:
        """Bring what was trained into the halves, where it is not there by itself."""


class VariationalPath(PlainPath):
    """Kingma and Welling 2013; see ``VariationalLatent``."""

    names = ("kl",)

    def __init__(self, autoencoder: KerasAutoencoder, latent: VariationalLatent, warmup_steps: int) -> None:
        super().__init__(autoencoder)
        self._beta, self._warmup = latent.beta, warmup_steps

    def encode(self, given: Any, step: Step, values: int) -> Encoded:
        import tensorflow as tf

        mean, logvar = self._encoder(given, training=step.training)
        drawn = mean + tf.exp(logvar / 2) * step.normal("latent", mean)
        axes = list(range(1, len(mean.shape)))
        divergence = tf.reduce_sum(tf.square(mean) + tf.exp(logvar) - 1 - logvar, axis=axes) / 2
        return Encoded(mean, drawn, {"kl": self._weight(step) / values * tf.reduce_mean(divergence)})

    def _weight(self, step: Step) -> Any:
        import tensorflow as tf

        if not (self._warmup and step.training):
            return self._beta
        return self._beta * tf.minimum(1.0, tf.cast(step.number, tf.float32) / self._warmup)


class QuantizedPath(PlainPath):
    """van den Oord 2017; see ``VectorQuantizedLatent``. Gradients pass the quantization as if it were not there."""

    names = ("commitment",)

    def __init__(self, autoencoder: KerasAutoencoder, codebook: Codebook, latent: VectorQuantizedLatent) -> None:
        super().__init__(autoencoder)
        self._codebook, self._commitment = codebook, latent.commitment

    @property
    def variables(self) -> list[Any]:
        return self._codebook.variables

    def encode(self, given: Any, step: Step, values: int) -> Encoded:
        import tensorflow as tf

        vectors = self._codebook.vectors(given, training=step.training)
        nearest = tf.stop_gradient(self._codebook.quantize(vectors, learn=step.training))
        commitment = self._commitment * tf.reduce_mean(tf.square(vectors - nearest))
        return Encoded(vectors, vectors + tf.stop_gradient(nearest - vectors), {"commitment": commitment})

    def decode(self, encoded: Encoded, step: Step) -> Any:
        return self._codebook.restore(encoded.passed, training=step.training)

    def publish(self) -> None:
        self._codebook.publish()
