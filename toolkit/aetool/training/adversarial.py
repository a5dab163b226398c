"""The adversarial autoencoder: Makhzani 2015; see ``AdversarialLatent``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from aetool.config import AdversarialLatent
from aetool.models import KerasAutoencoder
from aetool.models.step import Step
from aetool.training.latents import Encoded, PlainPath

__all__ = ["AdversarialPath"]


class AdversarialPath(PlainPath):
    """The encoder plays against a discriminator that tells latents from draws of the prior.

    Args:
        seed: of the discriminator's initial weights.
    """

    names = ("adversarial", "discriminator")
    game = names

    def __init__(self, autoencoder: KerasAutoencoder, latent: AdversarialLatent, seed: int) -> None:
        import keras

        super().__init__(autoencoder)
        self._weight = latent.weight
        size = math.prod(autoencoder.encoder.output_shape[1:])
        self._discriminator = _discriminator(size, latent.hidden, seed)
        self._optimizer = keras.optimizers.Adam(latent.learning_rate, beta_1=0.5)
        self._optimizer.build(self._discriminator.trainable_variables)

    @property
    def variables(self) -> list[Any]:
        return [*self._discriminator.variables, *self._optimizer.variables]

    def encode(self, given: Any, step: Step, values: int) -> Encoded:
        encoded = super().encode(given, step, values)
        taken_for_prior = _cross_entropy(self._judge(encoded.latent), 1.0)
        return Encoded(encoded.latent, encoded.passed, {"adversarial": self._weight * taken_for_prior})

    def finish_step(self, encoded: Encoded, step: Step) -> dict[str, Any]:
        """The discriminator's turn."""
        import tensorflow as tf

        latent = tf.stop_gradient(encoded.latent)
        prior = step.normal("prior", latent)
        with tf.GradientTape() as tape:
            told = _cross_entropy(self._judge(prior), 1.0) + _cross_entropy(self._judge(latent), 0.0)
        if step.training:
            variables = self._discriminator.trainable_variables
            self._optimizer.apply(tape.gradient(told, variables), variables)
        return {"discriminator": told / 2}

    def _judge(self, latent: Any) -> Any:
        """Log-odds that a latent was drawn from the prior, [batch, 1]."""
        import tensorflow as tf

        return self._discriminator(tf.reshape(latent, (tf.shape(latent)[0], self._discriminator.input_shape[1])))


def _cross_entropy(log_odds: Any, truth: float) -> Any:
    import tensorflow as tf

    return tf.reduce_mean(tf.math.softplus(-log_odds if truth else log_odds))


def _discriminator(size: int, hidden: tuple[int, ...], seed: int) -> Any:
    import keras

    seeds = np.random.default_rng((seed, 1))
    inputs = tensor = keras.Input((size,), name="latent")
    for number, width in enumerate((*hidden, 1)):
        start = keras.initializers.GlorotUniform(seed=int(seeds.integers(2**31)))
        activation = "leaky_relu" if number < len(hidden) else "linear"
        tensor = keras.layers.Dense(width, activation, kernel_initializer=start, name=f"dense_{number}")(tensor)
    return keras.Model(inputs, tensor, name="discriminator")
