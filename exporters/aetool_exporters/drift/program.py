"""The Keras side: a role of a reference as a list of layers that can be run one by one, on any values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aetool_exporters.foreign.replay import Replay, Step, is_graph
from aetool_exporters.multiply_adds import kind_of
from aetool_exporters.reference import Reference
from aetool_runtime.specs import Array, Role

__all__ = ["Operation", "Program", "Values", "as_array", "build_program"]

Values = dict[int, Any]
"""Slot → Keras tensor. Every tensor of a program has a slot of its own."""


@dataclass(frozen=True)
class Operation:
    """A layer as it is applied once.

    Args:
        name: the layer's, those of the models around it before it.
        kind: its class.
        layer: the Keras layer or plain operation; ``None`` for the arithmetic of the normalization.
        inputs, outputs: slots.
        call: values of the input slots → one tensor per output.
        weighted: the same with other weights in place of the layer's own, in the order of ``layer.weights``.
    """

    name: str
    kind: str
    layer: Any
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    call: Callable[[Mapping[int, Any]], list[Any]]
    weighted: Callable[[Mapping[int, Any], Sequence[Array]], list[Any]] | None = None

    @property
    def output(self) -> int:
        """Its first output, by which it is compared."""
        return self.outputs[0]


@dataclass(frozen=True)
class Program:
    """The layers of a role in an order in which they can be computed.

    Args:
        given: the slot of the raw input.
        returned: output name → slot.
    """

    operations: tuple[Operation, ...]
    given: int
    returned: Mapping[str, int]

    def run(self, array: Array) -> Values:
        """Every slot's value for raw samples [n, …]."""
        values: Values = {self.given: _tensor(array)}
        for operation in self.operations:
            values |= zip(operation.outputs, operation.call(values), strict=True)
        return values


def as_array(value: Any) -> Array:
    """A Keras tensor as NumPy."""
    array: Array = np.asarray(value)
    return array


def build_program(reference: Reference, role: Role) -> Program:
    """The layers of a role, nested models opened up; a model whose layers cannot be seen is one layer."""
    slots = _Slots()
    given = at = slots.new()
    operations: list[Operation] = []
    if role != "decoder":
        if not reference.normalization.is_identity:
            operations.append(_arithmetic("normalization", reference.normalization.apply, at, slots.new()))
            at = operations[-1].output
        encoder, latents = _model_operations(reference.encoder, at, slots)
        operations += encoder
        names = ("latent",) if len(latents) == 1 else ("latent_mean", "latent_logvar")
        returned = {"latent": latents[0], **dict(zip(names, latents, strict=True))}
        at = latents[0]
    if role != "encoder":
        decoder, outputs = _model_operations(reference.decoder, at, slots)
        operations += decoder
        at = outputs[0]
        if not reference.normalization.is_identity:
            operations.append(_arithmetic("denormalization", reference.normalization.invert, at, slots.new()))
            at = operations[-1].output
        returned = {"reconstruction": at}
    return Program(tuple(operations), given, returned)


class _Slots:
    """Numbers for symbolic tensors, which are kept so that no other one gets their identity."""

    def __init__(self) -> None:
        self._count = 0
        self._known: dict[int, tuple[int, Any]] = {}

    def new(self) -> int:
        self._count += 1
        return self._count - 1

    def of(self, tensor: Any) -> int:
        if id(tensor) not in self._known:
            self._known[id(tensor)] = (self.new(), tensor)
        return self._known[id(tensor)][0]

    def assign(self, tensor: Any, slot: int) -> None:
        self._known[id(tensor)] = (slot, tensor)


class _Recorder(Replay):
    """Keeps the arguments of every call, lists and keywords included."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any]] = []

    def _layer(self, layer: Any, name: str, args: Any, kwargs: Any) -> Any:
        returned = super()._layer(layer, name, args, kwargs)
        self.calls.append((args, kwargs))
        return returned


def _model_operations(model: Any, at: int, slots: _Slots) -> tuple[list[Operation], list[int]]:
    import keras

    source = model.inputs[0]
    given = keras.Input(batch_shape=source.shape, dtype=source.dtype)
    slots.assign(given, at)
    if is_graph(model):
        recorder = _Recorder()
        try:
            returned = keras.tree.flatten(recorder.model(model, given))
        except Exception:  # Keras raises what the layers run into; what cannot be opened is walked as one
            pass
        else:
            steps = zip(recorder.steps, recorder.calls, strict=True)
            return [_operation(step, call, slots) for step, call in steps], list(map(slots.of, returned))
    step = Step(model.name, model, [given], list(model.outputs))
    return [_operation(step, ((given,), {}), slots)], list(map(slots.of, model.outputs))


def _operation(step: Step, call: tuple[Any, Any], slots: _Slots) -> Operation:
    import keras

    args, kwargs = call
    layer = step.layer

    def filled(structure: Any, values: Mapping[int, Any]) -> Any:
        return keras.tree.map_structure(lambda t: values[slots.of(t)] if _is_symbolic(t) else t, structure)

    def apply(values: Mapping[int, Any]) -> list[Any]:
        return _flat(layer(*filled(args, values), **filled(kwargs, values)))

    def apply_weighted(values: Mapping[int, Any], weights: Sequence[Array]) -> list[Any]:
        by_variable = dict(zip(map(id, layer.weights), weights, strict=True))
        trained = [by_variable[id(variable)] for variable in layer.trainable_variables]
        others = [by_variable.get(id(variable), variable.value) for variable in layer.non_trainable_variables]
        returned, _ = layer.stateless_call(trained, others, *filled(args, values), **filled(kwargs, values))
        return _flat(returned)

    return Operation(
        name=step.name,
        kind=kind_of(layer),
        layer=layer,
        inputs=tuple(slots.of(tensor) for tensor in step.inputs),
        outputs=tuple(slots.of(tensor) for tensor in step.outputs),
        call=apply,
        weighted=apply_weighted if isinstance(layer, keras.Layer) and layer.weights else None,
    )


def _arithmetic(name: str, function: Callable[[Array], Array], given: int, made: int) -> Operation:
    def apply(values: Mapping[int, Any]) -> list[Any]:
        return [_tensor(function(as_array(values[given])))]

    return Operation(name, "Normalization", None, (given,), (made,), apply)


def _is_symbolic(value: Any) -> bool:
    import keras

    return isinstance(value, keras.KerasTensor)


def _flat(returned: Any) -> list[Any]:
    import keras

    return list(keras.tree.flatten(returned))


def _tensor(array: Array) -> Any:
    import keras

    return keras.ops.convert_to_tensor(array)
