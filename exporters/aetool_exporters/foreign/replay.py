"""Applies a Keras model's layers one by one to new symbolic tensors, and opens nested models on the way."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

__all__ = ["Replay", "Step", "is_graph"]


@dataclass
class Step:
    """A layer that was applied.

    Args:
        name: the layer's, after those of the nested models around it: ``encoder/dense``; ``dense#2`` when it is applied
            for the second time.
        layer: a Keras layer or plain operation.
        inputs, outputs: symbolic tensors, read and made.
        closes: the nested model whose output this is, named like a layer, or "".
    """

    name: str
    layer: Any
    inputs: list[Any]
    outputs: list[Any]
    closes: str = ""


def is_graph(layer: Any) -> bool:
    """Functional and Sequential models, but no subclass with a ``call`` of its own."""
    import keras
    from keras.src.models.functional import Functional  # Keras gives it no public name

    return isinstance(layer, (keras.Sequential, Functional)) and type(layer).call in (
        keras.Sequential.call,
        Functional.call,
    )


class Replay:
    """Applies layers to new tensors, and keeps a list of it."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._applied: Counter[str] = Counter()

    def model(self, model: Any, given: Any, prefix: str = "") -> Any:
        """Apply a functional or Sequential model; returns its output, or the structure of its outputs."""
        import keras

        def apply(layer: Any, *args: Any, **kwargs: Any) -> Any:
            if is_graph(layer):
                return self._nested(layer, args[0], prefix + layer.name)
            return self._layer(layer, prefix + layer.name, args, kwargs)

        if isinstance(model, keras.Sequential):
            for layer in model.layers:
                given = apply(layer, given)
            return given
        # The only way that Keras offers to see each layer's call (clone_model goes through it too).
        returned = model._run_through_graph(given, operation_fn=lambda layer: layer, call_fn=apply)
        flat = keras.tree.flatten(returned)
        return flat[0] if len(flat) == 1 else returned

    def _nested(self, model: Any, given: Any, name: str) -> Any:
        returned = self.model(model, given, f"{name}/")
        if self.steps and any(returned is tensor for tensor in self.steps[-1].outputs):
            self.steps[-1].closes = name
        return returned

    def _layer(self, layer: Any, name: str, args: Any, kwargs: Any) -> Any:
        import keras

        returned = layer(*args, **kwargs)
        self._applied[name] += 1
        if self._applied[name] > 1:
            name += f"#{self._applied[name]}"
        inputs = [value for value in keras.tree.flatten((args, kwargs)) if isinstance(value, keras.KerasTensor)]
        self.steps.append(Step(name, layer, inputs, keras.tree.flatten(returned)))
        return returned
