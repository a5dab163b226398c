"""What a latent is charged for beside the reconstruction; see ``PenaltyConfig`` for the formulas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aetool.config import PenaltyConfig
from aetool.models.step import Step

__all__ = ["Penalties"]

_SMALLEST = 1e-6  # of a mean activation, whose logarithm is taken


@dataclass(frozen=True)
class Penalties:
    """Named parts of a loss, weighted."""

    config: PenaltyConfig

    @property
    def names(self) -> tuple[str, ...]:
        """Of the parts that have a weight."""
        return tuple(f"penalty_{name}" for name in ("l1", "kl", "contractive") if getattr(self.config, name))

    def of_latent(self, latent: Any) -> dict[str, Any]:
        """The penalties on activity, of a latent [batch, …]."""
        import tensorflow as tf

        parts: dict[str, Any] = {}
        flat = tf.reshape(latent, (tf.shape(latent)[0], -1))
        if self.config.l1:
            parts["penalty_l1"] = self.config.l1 * tf.reduce_mean(tf.reduce_sum(tf.abs(flat), axis=1))
        if self.config.kl:
            parts["penalty_kl"] = self.config.kl * self._divergence(flat)
        return parts

    def _divergence(self, flat: Any) -> Any:
        import tensorflow as tf

        target = self.config.kl_target
        mean = tf.clip_by_value(tf.reduce_mean(flat, axis=0), _SMALLEST, 1 - _SMALLEST)
        return tf.reduce_sum(
            target * tf.math.log(target / mean) + (1 - target) * tf.math.log((1 - target) / (1 - mean))
        )

    def contracted(self, encode: Callable[[Any], Any], given: Any, step: Step) -> tuple[Any, dict[str, Any]]:
        """What ``encode`` returns for ``given``, and the contractive penalty on its ``latent``."""
        import tensorflow as tf

        if not self.config.contractive:
            return encode(given), {}
        with tf.GradientTape() as tape:
            tape.watch(given)
            encoded = encode(given)
            direction = tf.where(step.uniform("direction", encoded.latent) < 0.5, -1.0, 1.0)
            projected = tf.reduce_sum(encoded.latent * direction)
        slope = tf.square(tape.gradient(projected, given))
        total = tf.reduce_sum(slope) / tf.cast(tf.shape(given)[0], tf.float32)
        return encoded, {"penalty_contractive": self.config.contractive * total}
