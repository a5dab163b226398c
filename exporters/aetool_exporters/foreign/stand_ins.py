"""Keras layers that take the place of those that cannot be rebuilt. Imports Keras and TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from aetool_exporters.foreign.tensor_functions import TENSOR_FUNCTIONS, filled, resolve

__all__ = ["TakeMean", "TensorFunction", "ThresholdedReLU", "hard_sigmoid_of_keras_2", "replacement"]


class TakeMean(keras.layers.Layer):  # type: ignore[misc]
    """In place of a sampling layer: of mean and log-variance, [batch, …] each, the mean."""

    def __init__(self, mean: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mean = mean

    def call(self, *tensors: Any, mask: Any = None) -> Any:
        return keras.tree.flatten(tensors)[self.mean]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mean": self.mean}


class ThresholdedReLU(keras.layers.Layer):  # type: ignore[misc]
    """Which Keras 3 has no more: ``x`` where ``x > theta``, else 0."""

    def __init__(self, theta: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.theta = theta

    def call(self, values: Any) -> Any:
        return values * keras.ops.cast(values > self.theta, values.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "theta": self.theta}


class TensorFunction(keras.layers.Layer):  # type: ignore[misc]
    """A TensorFlow function that Keras 2 kept as a layer (``TFOpLambda``); only those of ``TENSOR_FUNCTIONS``.

    Args:
        function: its name below ``tf``.
        arguments: ``args`` and ``kwargs`` of the call, with the places of the layer's input tensors; see ``filled``.
    """

    def __init__(self, function: str, arguments: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        assert function in TENSOR_FUNCTIONS
        self.function, self.arguments = function, arguments
        self._apply = resolve(function, tf)

    def call(self, *tensors: Any) -> Any:
        flat = keras.tree.flatten(tensors)
        args, kwargs = (filled(self.arguments[key], flat) for key in ("args", "kwargs"))
        return self._apply(*args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "function": self.function, "arguments": self.arguments}


def replacement(function: Callable[..., Any]) -> type:
    """A layer class that applies the user's function to the layer's input tensors, one argument each."""

    class Replacement(keras.layers.Layer):  # type: ignore[misc]
        def call(self, *tensors: Any, mask: Any = None) -> Any:
            return function(*keras.tree.flatten(tensors))

        @classmethod
        def from_config(cls, config: dict[str, Any]) -> Replacement:
            return cls(name=config["name"])

    return Replacement


def hard_sigmoid_of_keras_2(values: Any) -> Any:
    """Keras 3 gave the name to another function, ``relu6(x + 3) / 6``."""
    return keras.ops.clip(0.2 * values + 0.5, 0.0, 1.0)
