"""The pieces that the families are made of. Each takes a tensor and returns one; names come out readable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aetool.config import Conv1dModel, Conv2dModel

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

    def dense(self, tensor: Any, units: int, activation: str) -> Any:
        """[batch, n] → [batch, units]."""
        import keras

        layer = keras.layers.Dense(units, activation, kernel_initializer=self._initializer(), name=self._name("dense"))
        return layer(tensor)

    def flatten(self, tensor: Any) -> Any:
        """[batch, …] → [batch, n]; nothing where it is flat already."""
        import keras

        return tensor if len(tensor.shape) == 2 else keras.layers.Flatten(name=self._name("flatten"))(tensor)

    def reshape(self, tensor: Any, shape: tuple[int, ...]) -> Any:
        """[batch, n] → [batch, *shape]; nothing where it has that shape already."""
        import keras

        same = tuple(tensor.shape[1:]) == shape
        return tensor if same else keras.layers.Reshape(shape, name=self._name("reshape"))(tensor)

    def halve(self, tensor: Any, filters: int, model: Conv1dModel | Conv2dModel) -> Any:
        """A convolution of stride 2: [batch, *sizes, c] → [batch, *sizes / 2, filters]."""
        import keras

        kind = keras.layers.Conv1D if model.family == "conv1d" else keras.layers.Conv2D
        tensor = self._convolve(kind, "conv", tensor, filters, model)
        return self._activate(tensor, model.activation, model.batch_norm)

    def double(self, tensor: Any, filters: int, model: Conv1dModel | Conv2dModel) -> Any:
        """A transposed convolution of stride 2: [batch, *sizes, c] → [batch, *sizes · 2, filters]."""
        tensor = self._transpose(tensor, filters, model)
        return self._activate(tensor, model.activation, model.batch_norm)

    def double_last(self, tensor: Any, channels: int, model: Conv1dModel | Conv2dModel) -> Any:
        """The decoder's last one: the output activation, and no batch normalization before it."""
        return self._activate(self._transpose(tensor, channels, model), model.output_activation, False)

    def _transpose(self, tensor: Any, filters: int, model: Conv1dModel | Conv2dModel) -> Any:
        import keras

        kind = keras.layers.Conv1DTranspose if model.family == "conv1d" else keras.layers.Conv2DTranspose
        return self._convolve(kind, "conv_transpose", tensor, filters, model)

    def _convolve(
        self, kind: Callable[..., Any], name: str, tensor: Any, filters: int, model: Conv1dModel | Conv2dModel
    ) -> Any:
        layer = kind(
            filters,
            model.kernel,
            strides=2,
            padding="same",
            kernel_initializer=self._initializer(),
            name=self._name(name),
        )
        return layer(tensor)

    def _activate(self, tensor: Any, activation: str, batch_norm: bool) -> Any:
        import keras

        if batch_norm:
            tensor = keras.layers.BatchNormalization(name=self._name("batch_norm"))(tensor)
        if activation == "linear":
            return tensor
        return keras.layers.Activation(activation, name=self._name(activation))(tensor)

    def _initializer(self) -> Any:
        import keras

        return keras.initializers.GlorotUniform(seed=int(self.seeds.integers(2**31)))

    def _name(self, kind: str) -> str:
        number = self._used.get(kind, 0)
        self._used[kind] = number + 1
        return f"{self.prefix}_{kind}_{number}"
