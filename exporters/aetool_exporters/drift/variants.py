"""Mistakes that converters make, each tried on the layer in question: which one comes out as the artifact did?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from aetool_exporters.drift.measure import likeness
from aetool_exporters.drift.program import Operation, Program, Values, as_array
from aetool_exporters.drift.progress import Match
from aetool_exporters.drift.report import Cause
from aetool_runtime.specs import Array

__all__ = ["explaining"]

_GAIN = 10.0  # dB that a mistake must explain
_BATCH_NORM = "BatchNormalization"


@dataclass(frozen=True)
class _Variant:
    """A layer, or the group that it is fused with, computed with a mistake.

    Args:
        cause: what it would mean.
        weights: place of an operation → all its weights, one of them changed.
        skipped: operations that hand on what they are given.
        linear: operations without their activation.
        given: slots with other values.
        mirrored: axes of the output that are swapped.
    """

    cause: Cause
    weights: Mapping[int, tuple[Array, ...]] = field(default_factory=dict)
    skipped: frozenset[int] = frozenset()
    linear: frozenset[int] = frozenset()
    given: Values = field(default_factory=dict)
    swapped: tuple[int, int] | None = None


def explaining(program: Program, match: Match, shapes: Mapping[int, tuple[int, ...]], least: float) -> Cause | None:
    """The mistake that explains best what the artifact returned, if one does.

    Args:
        shapes: of every slot.
        least: dB that must be reached with it.
    """
    best, reached = None, max(least, match.own + _GAIN)
    for variant in _variants(program, match, shapes):
        try:
            made = _compute(program, match, variant)
        except Exception:  # a layer that cannot be called so, as Keras or TensorFlow sees it
            continue
        if made.shape == match.met.shape and (found := likeness(match.met, made)) >= reached:
            best, reached = variant.cause, found + 1.0  # of equals the first
    return best


def _compute(program: Program, match: Match, variant: _Variant) -> Array:
    values: Values = {**match.given, **variant.given}
    for at in (*match.fused, match.layer):
        operation = program.operations[at]
        if at in variant.skipped:
            made = [values[operation.inputs[0]]]
        elif at in variant.weights:
            assert operation.weighted is not None
            made = operation.weighted(values, variant.weights[at])
        elif at in variant.linear:
            with _without_activation(operation.layer):
                made = operation.call(values)
        else:
            made = operation.call(values)
        values |= zip(operation.outputs, made, strict=True)
    result = as_array(values[program.operations[match.layer].output])
    return result if variant.swapped is None else np.swapaxes(result, *variant.swapped)


def _variants(program: Program, match: Match, shapes: Mapping[int, tuple[int, ...]]) -> Iterator[_Variant]:
    group = [*match.fused, match.layer]
    for at in group:
        operation = program.operations[at]
        if operation.weighted is not None:
            yield from _weights(at, operation)
            if operation.kind == _BATCH_NORM:
                yield from _batch_norm(at, operation)
        if _has_activation(operation):
            name = getattr(operation.layer.activation, "__name__", "its activation")
            cause = Cause("missing_activation", f"{operation.name} lost its activation ({name})", _EXPORT_AGAIN)
            yield _Variant(cause, linear=frozenset({at}))
        if len(operation.inputs) == 1 and shapes[operation.inputs[0]] == shapes[operation.output]:
            yield _skipped(at, operation)
    yield from _inputs(program, match, shapes)
    yield from _outputs(match)


_EXPORT_AGAIN = "export again; if it comes back, leave the simplifier out or report the model"
_LAYOUT_HINT = "look at the Transpose and Reshape nodes around it, and export again"
_FOLD_HINT = "fold BatchNormalization from the moving statistics, gamma, beta and epsilon of the model that is exported"


def _skipped(at: int, operation: Operation) -> _Variant:
    if operation.kind == _BATCH_NORM:
        cause = Cause("unfolded_batch_norm", f"{operation.name} is not in the graph, nor in the weights", _FOLD_HINT)
    else:
        cause = Cause("missing_layer", f"{operation.name} is not in the graph", _EXPORT_AGAIN)
    return _Variant(cause, skipped=frozenset({at}))


def _weights(at: int, operation: Operation) -> Iterator[_Variant]:
    weights = [as_array(variable) for variable in operation.layer.weights]
    for place, variable in enumerate(operation.layer.weights):
        for what, kind, hint, changed in _changed(variable.name, weights[place]):
            kind = "unfolded_batch_norm" if operation.kind == _BATCH_NORM else kind
            hint = _FOLD_HINT if operation.kind == _BATCH_NORM else hint
            cause = Cause(kind, f"{operation.name}: {what}", hint)
            yield _Variant(cause, {at: (*weights[:place], changed, *weights[place + 1 :])})


def _changed(name: str, weight: Array) -> Iterator[tuple[str, str, str, Array]]:
    if weight.ndim < 2:
        neutral = {"gamma": np.ones_like(weight), "moving_variance": np.ones_like(weight)}.get(name)
        if neutral is None and name in ("bias", "beta", "moving_mean"):
            neutral = np.zeros_like(weight)
        if neutral is not None:
            yield f"{name} is lost", "missing_weight", _EXPORT_AGAIN, neutral
        return
    for one, other in combinations(range(weight.ndim), 2):
        if weight.shape[one] == weight.shape[other] > 1:
            what = f"axes {one} and {other} of its {name} are swapped"
            yield what, "wrong_layout", _LAYOUT_HINT, np.swapaxes(weight, one, other)
    for axes in _spatial(weight.ndim):
        what = f"its {name} is mirrored along {'axes' if len(axes) > 1 else 'axis'} {', '.join(map(str, axes))}"
        yield what, "wrong_layout", _LAYOUT_HINT, np.flip(weight, axes)


def _spatial(rank: int) -> list[tuple[int, ...]]:
    """Axes of a kernel [time, in, out] or [height, width, in, out]."""
    known: dict[int, list[tuple[int, ...]]] = {3: [(0,)], 4: [(0, 1), (0,), (1,)], 5: [(0, 1, 2)]}
    return known.get(rank, [])


def _batch_norm(at: int, operation: Operation) -> Iterator[_Variant]:
    weights = {variable.name: as_array(variable) for variable in operation.layer.weights}
    mean, variance = weights.get("moving_mean"), weights.get("moving_variance")
    if mean is None or variance is None:
        return
    epsilon = float(operation.layer.epsilon)
    changes: list[tuple[str, dict[str, Array]]] = [
        ("its epsilon is forgotten", {"moving_variance": np.maximum(variance - epsilon, 1e-12)}),
        (
            "its statistics are lost",
            {"moving_mean": np.zeros_like(mean), "moving_variance": np.ones_like(variance) - epsilon},
        ),
        (
            "gamma and beta are lost",
            {name: (np.ones_like if name == "gamma" else np.zeros_like)(weights[name]) for name in ("gamma", "beta")},
        )
        if {"gamma", "beta"} <= set(weights)
        else ("", {}),
    ]
    for what, changed in changes:
        if what:
            cause = Cause("unfolded_batch_norm", f"{operation.name}: {what}", _FOLD_HINT)
            yield _Variant(cause, {at: tuple({**weights, **changed}.values())})


def _has_activation(operation: Operation) -> bool:
    activation = getattr(operation.layer, "activation", None)
    return callable(activation) and getattr(activation, "__name__", "") != "linear"


@contextmanager
def _without_activation(layer: Any) -> Iterator[None]:
    kept = layer.activation
    layer.activation = lambda tensor: tensor
    try:
        yield
    finally:
        layer.activation = kept


def _inputs(program: Program, match: Match, shapes: Mapping[int, tuple[int, ...]]) -> Iterator[_Variant]:
    """What goes in, read in another order."""
    names = {operation.output: operation.name for operation in program.operations}
    for slot, tensor in match.given.items():
        value = as_array(tensor)
        source = names.get(slot, "the input")
        for what, other in _orders(value, _shape_before(program, slot, shapes)):
            cause = Cause("wrong_layout", f"what comes from {source} is read {what}", _LAYOUT_HINT)
            yield _Variant(cause, given={slot: _same_kind(tensor, other)})


def _orders(value: Array, shape: tuple[int, ...]) -> Iterator[tuple[str, Array]]:
    count, sizes = len(value), shape[1:]
    if len(sizes) > 1:
        shaped = value.reshape(count, *sizes)
        first = np.moveaxis(shaped, -1, 1)
        yield "with the channels first", first.reshape(value.shape)
        yield (
            "with the channels last",
            np.moveaxis(value.reshape(count, sizes[-1], *sizes[:-1]), 1, -1).reshape(value.shape),
        )
        if len(sizes) == 3:
            if sizes[0] == sizes[1]:
                yield "with height and width swapped", np.swapaxes(shaped, 1, 2).reshape(value.shape)
            yield "upside down", shaped[:, ::-1].reshape(value.shape)
    if len(sizes) > 1 and sizes[-1] > 1:
        yield "with the channels in reverse order", value.reshape(count, *sizes)[..., ::-1].reshape(value.shape)


def _shape_before(program: Program, slot: int, shapes: Mapping[int, tuple[int, ...]]) -> tuple[int, ...]:
    """The shape with the most dimensions among those that a tensor only changed on its way here."""
    found = shapes[slot]
    makers = {made: operation for operation in program.operations for made in operation.outputs}
    while slot in makers and len(makers[slot].inputs) == 1:
        slot = makers[slot].inputs[0]
        if np.prod(shapes[slot]) != np.prod(found):
            break
        if len(shapes[slot]) > len(found):
            found = shapes[slot]
            break
    return found


def _outputs(match: Match) -> Iterator[_Variant]:
    shape = match.met.shape
    for one, other in combinations(range(1, len(shape)), 2):
        if shape[one] == shape[other] > 1:
            cause = Cause("wrong_layout", f"axes {one} and {other} of its output are swapped", _LAYOUT_HINT)
            yield _Variant(cause, swapped=(one, other))


def _same_kind(tensor: Any, values: Array) -> Any:
    import keras

    return keras.ops.convert_to_tensor(np.ascontiguousarray(values), dtype=tensor.dtype)
