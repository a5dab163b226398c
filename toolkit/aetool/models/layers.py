"""The pieces that every family is made of. Each takes a tensor and returns one; names come out readable."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["Layers"]


@dataclass
class Layers:
    """Layers of one half of an autoencoder.

    Args:
        prefix: of every layer's name: ``encoder`` or ``decoder``.
        seeds: draws the seed of each layer's initial weights; the same generator in the same order gives the same
            weights, and no global random state is touched.
    """

    prefix: str
    seeds: np.random.Generator
    _used: dict[str, int] = field(default_factory=dict)

    def dense(self, tensor: Any, units: int, activation: str, *, zero: bool = False) -> Any:
        """[batch, n] → [batch, units]; ``zero``: with weights that start at zero."""
        import keras

        start = self.initializer(zero=zero)
        return keras.layers.Dense(units, activation, kernel_initializer=start, name=self.name("dense"))(tensor)

    def add(self, one: Any, other: Any) -> Any:
        """Their sum; both have one shape."""
        import keras

        return keras.layers.Add(name=self.name("add"))([one, other])

    def flatten(self, tensor: Any) -> Any:
        """[batch, …] → [batch, n]; nothing where it is flat already."""
        import keras

        return tensor if len(tensor.shape) == 2 else keras.layers.Flatten(name=self.name("flatten"))(tensor)

    def reshape(self, tensor: Any, shape: tuple[int, ...]) -> Any:
        """[batch, n] → [batch, *shape]; nothing where it has that shape already."""
        import keras

        same = tuple(tensor.shape[1:]) == shape
        return tensor if same else keras.layers.Reshape(shape, name=self.name("reshape"))(tensor)

    def repeat(self, tensor: Any, times: int) -> Any:
        """[batch, n] → [batch, times, n]."""
        import keras

        return keras.layers.RepeatVector(times, name=self.name("repeat"))(tensor)

    def embed(self, tensor: Any, entries: int, size: int) -> Any:
        """Ids [batch, length] → [batch, length, size]."""
        import keras

        start = keras.initializers.RandomUniform(-0.05, 0.05, seed=self.seed())
        return keras.layers.Embedding(entries, size, start, name=self.name("embedding"))(tensor)

    def activate(self, tensor: Any, activation: str, *, batch_norm: bool = False) -> Any:
        """Batch normalization where it is wanted, then the activation; the shape stays."""
        import keras

        if batch_norm:
            tensor = keras.layers.BatchNormalization(name=self.name("batch_norm"))(tensor)
        if activation == "linear":
            return tensor
        return keras.layers.Activation(activation, name=self.name(activation))(tensor)

    def initializer(self, *, zero: bool = False) -> Any:
        """For a kernel; ``zero`` for one that starts at zero."""
        import keras

        if zero:
            return keras.initializers.Zeros()
        return keras.initializers.GlorotUniform(seed=self.seed())

    def seed(self) -> int:
        """The next one."""
        return int(self.seeds.integers(2**31))

    def name(self, kind: str) -> str:
        """The next layer's of its kind, such as ``encoder_dense_1``."""
        number = self._used.get(kind, 0)
        self._used[kind] = number + 1
        return f"{self.prefix}_{kind}_{number}"
