"""An autoencoder made of a layer of one's own: half of a dense layer decides how much of the other half passes."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import keras

__all__ = ["Gated", "build"]

Shape: TypeAlias = tuple[Any, ...]  # the batch first, whose size is not known


@keras.saving.register_keras_serializable("gated")
class Gated(keras.layers.Layer):
    """A gated linear unit (Dauphin 2017): values · sigmoid(gates), [batch, …] → [batch, units]."""

    def __init__(self, units: int, **options: Any) -> None:
        super().__init__(**options)
        self.units = units
        self.values = keras.layers.Dense(units)
        self.gates = keras.layers.Dense(units, activation="sigmoid")

    def build(self, input_shape: Shape) -> None:
        self.values.build(input_shape)
        self.gates.build(input_shape)
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        return self.values(inputs) * self.gates(inputs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}

    def multiply_adds(self, input_shapes: list[Shape], output_shapes: list[Shape]) -> int:
        """What ``aetool inspect`` shows, for one sample; without this method it would say that it does not know."""
        return (2 * input_shapes[0][-1] + 1) * math.prod(output_shapes[0][1:])


def build(sample_shape: tuple[int, ...], *, latent: int, widths: list[int]) -> tuple[keras.Model, keras.Model]:
    """What ``[model] build`` names: encoder and decoder for normalized samples.

    Args:
        sample_shape: of one sample, without the batch.
        latent, widths: from ``[model.arguments]``.
    """
    (size,) = sample_shape
    encoder = keras.Sequential(
        [keras.Input((size,)), *(Gated(width) for width in widths), keras.layers.Dense(latent)], name="encoder"
    )
    decoder = keras.Sequential(
        [
            keras.Input((latent,)),
            *(Gated(width) for width in reversed(widths)),
            keras.layers.Dense(size, activation="sigmoid"),
        ],
        name="decoder",
    )
    return encoder, decoder
