"""What the encoder's input suffers: a smaller size, which is the task, and noise, which is for training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aetool.config import CorruptionConfig
from aetool.data import PreparedData
from aetool.models.step import Step
from aetool_runtime.specs import Array

__all__ = ["Corruption", "shrink"]


def shrink(images: Array, factor: int) -> NDArray[np.float32]:
    """The mean over each square of pixels: [n, height, width, c] → [n, height / factor, width / factor, c]."""
    count, height, width, channels = images.shape
    squares = np.asarray(images, np.float32).reshape(count, height // factor, factor, width // factor, factor, channels)
    return np.asarray(squares.mean(axis=(2, 4)), np.float32)


@dataclass(frozen=True)
class Corruption:
    """Noise on normalized values; see ``CorruptionConfig`` for kinds and units.

    Args:
        config: what noise.
        least, greatest: seen in training, normalized; scalars or one per channel.
    """

    config: CorruptionConfig
    least: NDArray[np.float32]
    greatest: NDArray[np.float32]

    @classmethod
    def for_data(cls, config: CorruptionConfig, data: PreparedData) -> Corruption:
        """Extremes are those of each channel for windows, else of all values."""
        seen = data.statistics.pooled("channel" if len(data.sample_shape) == 2 else "global")
        return cls(config, data.normalization.apply(seen.minimum), data.normalization.apply(seen.maximum))

    def apply(self, values: Any, step: Step) -> Any:
        """A tensor [batch, …] → the same with noise."""
        import tensorflow as tf

        kind, amount = self.config.kind, self.config.amount
        if kind == "none":
            return values
        if kind == "gaussian":
            return values + amount * step.normal("corruption", values)
        chance = step.uniform("corruption", values)
        if kind == "masking":
            return tf.where(chance < amount, 0.0, values)
        pepper = tf.where(chance < amount / 2, self.least, values)
        return tf.where(chance >= 1 - amount / 2, self.greatest, pepper)
