"""A Keras model as one list of layers, nested models opened up, and the places where it can be cut in two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from aetool_exporters.reason import reason
from aetool_runtime.errors import ModelError
from aetool_runtime.specs import format_shape

if TYPE_CHECKING:
    import keras

__all__ = ["Cut", "FlatGraph", "flatten"]

_RESHAPING = {"Flatten", "Permute", "Reshape"}
_TRANSFORMING = {
    "Activation", "ActivityRegularization", "AlphaDropout", "BatchNormalization", "Dropout", "ELU", "GaussianDropout",
    "GaussianNoise", "GroupNormalization", "LayerNormalization", "LeakyReLU", "PReLU", "ReLU", "Softmax",
    "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "UnitNormalization", *_RESHAPING,
}  # fmt: skip


@dataclass
class _Step:
    """A layer that was applied: what it read and what it made, as symbolic tensors."""

    name: str
    kind: str
    inputs: list[Any]
    outputs: list[Any]
    closes: str = ""


@dataclass(frozen=True)
class Cut:
    """A layer whose output is all that the rest of the model needs.

    Args:
        name: the layer's, with those of the nested models around it: ``encoder/dense_2``.
        shape: of the output, the batch first.
        elements: in one sample; free dimensions count as one.
        model: the nested model that ends here, named like a layer, or "".
        follows_on: it only transforms the output of the layer before it, one by one.
        only_reshapes: and does not even change the values.
        tensor: the symbolic output.
    """

    name: str
    shape: tuple[int | None, ...]
    elements: int
    model: str
    follows_on: bool
    only_reshapes: bool
    tensor: Any

    @property
    def closes_model(self) -> bool:
        return bool(self.model)

    def __str__(self) -> str:
        return f"{self.name} {format_shape(self.shape)}"


class FlatGraph:
    """The layers of a model in an order in which they can be computed."""

    def __init__(self, given: Any, steps: Sequence[_Step], returned: Any) -> None:
        self._given = given
        self._steps = steps
        self._returned = returned
        self.input_shape: tuple[int | None, ...] = tuple(given.shape)
        self.output_shape: tuple[int | None, ...] = tuple(returned.shape)
        self.layer_names = [step.name for step in steps]
        self.cuts = self._cuts()

    def split(self, cut: Cut) -> tuple[keras.Model, keras.Model]:
        """The models before and after a cut; they share the weights."""
        import keras

        try:
            encoder = keras.Model(self._given, cut.tensor, name="encoder")
            return encoder, keras.Model(cut.tensor, self._returned, name="decoder")
        except Exception as error:  # Keras raises what the layers run into
            raise ModelError(f"Keras cannot rebuild the halves ({reason(error)})", where=cut.name) from error

    def _cuts(self) -> list[Cut]:
        """Where nothing but one tensor is alive: computed, and still to be used. The two ends do not count."""
        last_use = {id(tensor): place for place, step in enumerate(self._steps) for tensor in step.inputs}
        last_use[id(self._returned)] = len(self._steps)
        alive = {id(self._given): self._given}
        cuts = []
        for place, step in enumerate(self._steps):
            alive |= {id(tensor): tensor for tensor in step.outputs}
            alive = {key: tensor for key, tensor in alive.items() if last_use.get(key, -1) > place}
            made = [tensor for tensor in step.outputs if alive.keys() == {id(tensor)}]
            if made and made[0] is not self._returned:
                cuts.append(_cut(step, made[0], self._steps[place - 1] if place else None))
        return cuts


def flatten(model: keras.Model) -> FlatGraph:
    """Apply a model's layers one by one to a new input.

    Raises:
        ModelError: not functional or Sequential, not built, or not one input and one output.
    """
    import keras

    _check_kind(model)
    source = model.inputs[0]
    given = keras.Input(batch_shape=source.shape, dtype=source.dtype, name="input")
    replay = _Replay()
    try:
        returned = keras.tree.flatten(replay.model(model, given))[0]
    except Exception as error:  # Keras raises what the layers run into
        raise ModelError(f"the layers of {model.name!r} cannot be applied one by one ({reason(error)})") from error
    return FlatGraph(given, replay.steps, returned)


def _check_kind(model: Any) -> None:
    if not _is_graph(model):
        what = f"{model.name!r} is a {type(model).__name__}, a subclass whose layers cannot be seen"
        raise ModelError(
            what, expected="a functional or Sequential model", hint="export encoder and decoder separately"
        )
    if not model.built or not getattr(model, "inputs", None):
        raise ModelError(
            f"{model.name!r} has no input shape", hint="call the model on data once, or model.build(shape)"
        )
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        what = f"{model.name!r} has {len(model.inputs)} inputs and {len(model.outputs)} outputs"
        raise ModelError(what, expected="one of each", hint="export encoder and decoder separately")


def _is_graph(layer: Any) -> bool:
    """Functional and Sequential models, but no subclass with a ``call`` of its own."""
    import keras
    from keras.src.models.functional import Functional  # Keras gives it no public name

    return isinstance(layer, (keras.Sequential, Functional)) and type(layer).call in (
        keras.Sequential.call,
        Functional.call,
    )


class _Replay:
    """Applies layers to new tensors, and keeps a list of it."""

    def __init__(self) -> None:
        self.steps: list[_Step] = []
        self._applied: Counter[str] = Counter()

    def model(self, model: Any, given: Any, prefix: str = "") -> Any:
        import keras

        def apply(layer: Any, *args: Any, **kwargs: Any) -> Any:
            if _is_graph(layer):
                return self._nested(layer, args[0], prefix + layer.name)
            return self._layer(layer, prefix + layer.name, args, kwargs)

        if isinstance(model, keras.Sequential):
            for layer in model.layers:
                given = apply(layer, given)
            return given
        return model._run_through_graph(given, operation_fn=lambda layer: layer, call_fn=apply)

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
        self.steps.append(_Step(name, type(layer).__name__, inputs, keras.tree.flatten(returned)))
        return returned


def _cut(step: _Step, tensor: Any, before: _Step | None) -> Cut:
    shape = tuple(tensor.shape)
    follows = before is not None and [id(given) for given in step.inputs] == [id(made) for made in before.outputs]
    return Cut(
        name=step.name,
        shape=shape,
        elements=prod(size or 1 for size in shape[1:]),
        model=step.closes,
        follows_on=follows and step.kind in _TRANSFORMING,
        only_reshapes=step.kind in _RESHAPING,
        tensor=tensor,
    )
