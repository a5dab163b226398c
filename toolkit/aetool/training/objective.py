"""What is optimized: a loss of named parts, and the steps that lower it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from aetool.config import AdversarialLatent, VariationalLatent, VectorQuantizedLatent
from aetool.models.corruption import Corruption
from aetool.models.penalties import Penalties
from aetool.models.step import Step
from aetool.training.adversarial import AdversarialPath
from aetool.training.latents import Encoded, PlainPath, QuantizedPath, VariationalPath
from aetool.training.plan import Plan
from aetool.training.rate import RatePath
from aetool.training.recipe import make_loss, make_optimizer

__all__ = ["Objective"]


class Objective:
    """The loss between target and reconstruction, and what else a configuration adds to it.

    The target is the sample. The encoder gets it through the task (a smaller image) and the corruption.

    Attributes:
        names: of the loss's parts, in the order in which they are returned.
        optimizer: of encoder and decoder.
    """

    def __init__(self, plan: Plan) -> None:
        config, self._autoencoder = plan.config, plan.autoencoder
        self._task, self._seed = config.task, config.training.seed
        self._loss = make_loss(config.training)
        self._corruption = Corruption.for_data(config.corruption, plan.data)
        self._penalties = Penalties(config.penalty)
        self._path = _path(plan)
        self.optimizer = make_optimizer(config.training, max(1, config.training.epochs * plan.batches))
        self.optimizer.build(self._trained)
        self.names = ("reconstruction", *self._path.names, *self._penalties.names)

    @property
    def _trained(self) -> list[Any]:
        """What the optimizer moves."""
        return [*self._autoencoder.whole.trainable_variables, *self._path.trained]

    @property
    def rate_model(self) -> RatePath | None:
        """Where bits are counted; ``None`` where rate is no part of the loss."""
        return self._path if isinstance(self._path, RatePath) else None

    @property
    def model_variables(self) -> list[Any]:
        """Everything that changes beside the optimizer's: weights, moving averages, the codebook, a discriminator."""
        return [*self._autoencoder.whole.variables, *self._path.variables]

    def total(self, parts: Mapping[str, float]) -> float:
        """The loss: the sum of its parts, without those of a game."""
        return sum(value for name, value in parts.items() if name not in self._path.game)

    def train(self, batch: Any, share: Any = None) -> Any:
        """One step on samples [batch, *sample_shape].

        Args:
            share: of these samples in the batch that all replicas work on; what the loss counts for in the step.

        Returns:
            The parts before the step, weighted, [parts] float32.
        """
        import tensorflow as tf

        step = Step(self._seed, self.optimizer.iterations.value, True)
        variables = self._trained
        with tf.GradientTape() as tape:
            encoded, parts = self._parts(batch, step)
            loss = tf.add_n(list(parts.values()))
            loss = loss if share is None else share * loss
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return self._in_order(parts | self._path.finish_step(encoded, step))

    def evaluate(self, batch: Any) -> Any:
        """The parts on samples [batch, *sample_shape], without a step; noise is the same every time."""
        step = Step.of_validation(self._seed)
        encoded, parts = self._parts(batch, step)
        return self._in_order(parts | self._path.finish_step(encoded, step))

    def publish(self) -> None:
        """Bring what was trained into encoder and decoder, where it is not there by itself."""
        self._path.publish()

    def _parts(self, batch: Any, step: Step) -> tuple[Encoded, dict[str, Any]]:
        import tensorflow as tf

        values = math.prod(batch.shape[1:])
        encoded, parts = self._penalties.contracted(
            lambda given: self._path.encode(given, step, values), self._given(batch, step), step
        )
        errors = self._loss.call(batch, self._path.decode(encoded, step))  # not its mean, which counts replicas in
        reconstruction = {"reconstruction": tf.reduce_mean(errors)}
        return encoded, reconstruction | encoded.parts | self._penalties.of_latent(encoded.latent) | parts

    def _given(self, batch: Any, step: Step) -> Any:
        """What the encoder gets for samples."""
        import tensorflow as tf

        if self._task.kind == "super_resolution":
            batch = tf.nn.avg_pool2d(batch, self._task.factor, self._task.factor, "VALID")
        return self._corruption.apply(batch, step)

    def _in_order(self, parts: dict[str, Any]) -> Any:
        import tensorflow as tf

        return tf.stack([parts[name] for name in self.names])


def _path(plan: Plan) -> PlainPath:
    latent, autoencoder = plan.config.latent, plan.autoencoder
    if plan.config.compression.weight:
        return RatePath.for_plan(plan)
    if isinstance(latent, VariationalLatent):
        return VariationalPath(autoencoder, latent, latent.warmup_epochs * plan.batches)
    if isinstance(latent, VectorQuantizedLatent):
        assert autoencoder.codebook is not None
        return QuantizedPath(autoencoder, autoencoder.codebook, latent)
    if isinstance(latent, AdversarialLatent):
        return AdversarialPath(autoencoder, latent, plan.config.training.seed)
    return PlainPath(autoencoder)
