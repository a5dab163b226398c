"""A Keras model as one list of layers, nested models opened up, and the places where it can be cut in two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import TYPE_CHECKING, Any

from aetool_exporters.foreign.cut import Cut
from aetool_exporters.foreign.replay import Replay, Step, is_graph
from aetool_exporters.reason import reason
from aetool_runtime.errors import ModelError

if TYPE_CHECKING:
    import keras

__all__ = ["FlatGraph", "flatten"]

_TYPICAL = 64
_RESHAPING = {"Flatten", "Permute", "Reshape"}
_TRANSFORMING = {
    "Activation", "ActivityRegularization", "AlphaDropout", "BatchNormalization", "Dropout", "ELU", "GaussianDropout",
    "GaussianNoise", "GroupNormalization", "LayerNormalization", "LeakyReLU", "PReLU", "ReLU", "Softmax",
    "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "UnitNormalization", *_RESHAPING,
}  # fmt: skip


class FlatGraph:
    """The layers of a model in an order in which they can be computed."""

    def __init__(self, given: Any, steps: Sequence[Step], returned: Any, measured: Sequence[int] = ()) -> None:
        self._given = given
        self._steps = steps
        self._returned = returned
        self.input_shape: tuple[int | None, ...] = tuple(given.shape)
        self.output_shape: tuple[int | None, ...] = tuple(returned.shape)
        self.layer_names = [step.name for step in steps]
        self.elements = list(measured) or _sizes(steps)
        self.cuts = self._cuts()

    def split(self, cut: Cut) -> tuple[keras.Model, keras.Model]:
        """The models before and after a cut; they share the weights.

        Where a sampling layer was, the encoder returns the mean and the log-variance.
        """
        import keras

        try:
            with _unique_names([step.layer for step in self._steps]):
                encoder = keras.Model(self._given, self._latents(cut), name="encoder")
                return encoder, keras.Model(cut.tensor, self._returned, name="decoder")
        except Exception as error:  # Keras raises what the layers run into
            raise ModelError(f"Keras cannot rebuild the halves ({reason(error)})", where=cut.name) from error

    def _latents(self, cut: Cut) -> Any:
        step = self._steps[cut.place]
        if type(step.layer).__name__ != "TakeMean":
            return cut.tensor
        mean = step.layer.mean
        return [step.inputs[mean], step.inputs[1 - mean]]

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
                elements = self.elements[place] if len(step.outputs) == 1 else _elements(made[0])
                cuts.append(_cut(step, made[0], place, elements, self._steps[place - 1] if place else None))
        return cuts


def flatten(model: keras.Model) -> FlatGraph:
    """Apply a model's layers one by one to a new input; where that has free dimensions, measure them at 64.

    Raises:
        ModelError: not functional or Sequential, not built, or not one input and one output.
    """
    import keras

    _check_kind(model)
    source = model.inputs[0]
    given = keras.Input(batch_shape=source.shape, dtype=source.dtype, name="input")
    try:
        steps, returned = _replayed(model, given)
    except Exception as error:  # Keras raises what the layers run into
        raise ModelError(f"the layers of {model.name!r} cannot be applied one by one ({reason(error)})") from error
    if None not in source.shape[1:]:
        return FlatGraph(given, steps, returned)
    sizes = [size or _TYPICAL for size in source.shape[1:]]
    try:
        measured = _sizes(_replayed(model, keras.Input(sizes, dtype=source.dtype))[0])
    except Exception:  # not every size will do; then free dimensions count as one
        measured = []
    return FlatGraph(given, steps, returned, measured)


def _replayed(model: Any, given: Any) -> tuple[list[Step], Any]:
    import keras

    replay = Replay()
    returned = keras.tree.flatten(replay.model(model, given))[0]
    return replay.steps, returned


def _sizes(steps: Sequence[Step]) -> list[int]:
    return [max(map(_elements, step.outputs), default=0) for step in steps]


def _check_kind(model: Any) -> None:
    if not is_graph(model):
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


@contextmanager
def _unique_names(layers: Sequence[Any]) -> Iterator[None]:
    """Nested models may use the same names; Keras wants those of one model to differ while it is put together."""
    different = list({id(layer): layer for layer in layers}.values())
    names = [layer.name for layer in different]
    for place, layer in enumerate(different):
        if names.count(layer.name) > 1:
            layer.name = f"{layer.name}_{place}"
    try:
        yield
    finally:
        for layer, name in zip(different, names, strict=True):
            layer.name = name


def _transforms(step: Step, before: Step) -> bool:
    """Does a layer only change the values, or the shape, of what the one before it made?"""
    import keras

    if [id(given) for given in step.inputs] != [id(made) for made in before.outputs]:
        return False
    if isinstance(step.layer, keras.Layer):
        return type(step.layer).__name__ in _TRANSFORMING
    return bool(step.inputs[0].shape == step.outputs[0].shape)  # a plain operation has no weights


def _elements(tensor: Any) -> int:
    return prod(size or 1 for size in tensor.shape[1:])


def _cut(step: Step, tensor: Any, place: int, elements: int, before: Step | None) -> Cut:
    shape = tuple(tensor.shape)
    return Cut(
        name=step.name,
        shape=shape,
        elements=elements,
        model=step.closes,
        follows_on=before is not None and _transforms(step, before),
        only_reshapes=type(step.layer).__name__ in _RESHAPING,
        tensor=tensor,
        place=place,
    )
