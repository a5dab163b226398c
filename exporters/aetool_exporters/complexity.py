"""What a Keras encoder and decoder cost, counted layer by layer for one sample.

- Multiply-adds: see ``multiply_adds``.
- Activation bytes of a layer: its outputs, in their own dtype. Layers that only hand on what they are given (Reshape,
  Flatten, Dropout, noise; see ``PASSING``) make no new tensor and count 0.
- Peak activation memory: the layers run one after the other in the model's own order. A tensor is alive from the step
  that makes it (the input from the start) to the last step that reads it (an output to the end). While a step runs, its
  inputs and outputs are alive together: nothing is written over in place. The peak is the largest sum over all steps.
  Weights, and what a layer needs inside itself (the gates of an LSTM, the scores of an attention), are not in it.
- Weight bytes: float32 4 and float16 2 a value; int8: matrices and kernels (two dimensions or more) in one byte a value
  and a float32 scale for each index of their last dimension, everything else in float32.

The normalization around the networks, one multiply-add for each raw value, is not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from aetool_exporters.foreign.replay import Replay, Step, is_graph
from aetool_exporters.multiply_adds import PASSING, kind_of, multiply_adds
from aetool_runtime.complexity import LayerCost, RoleCost

if TYPE_CHECKING:
    import keras

    from aetool_exporters.reference import Reference

__all__ = ["count_model", "count_reference"]


def count_reference(reference: Reference, sample_shape: Sequence[int] | None = None) -> dict[str, RoleCost]:
    """Count encoder and decoder.

    Args:
        sample_shape: of a sample, for models whose input has free dimensions; ``None`` takes the model's own.
    """
    if reference.encoder is None:
        return {"decoder": _count(reference.decoder, sample_shape)[0]}
    encoder, latent_shape = _count(reference.encoder, sample_shape)
    if reference.decoder is None:
        return {"encoder": encoder}
    fixed = None if latent_shape is None or None in latent_shape else latent_shape
    return {"encoder": encoder, "decoder": _count(reference.decoder, fixed)[0]}


def count_model(model: keras.Model, sample_shape: Sequence[int] | None = None) -> RoleCost:
    """Count one model with one input; see ``count_reference``."""
    return _count(model, sample_shape)[0]


def _count(model: Any, sample_shape: Sequence[int | None] | None) -> tuple[RoleCost, tuple[int | None, ...] | None]:
    """The cost, and the shape of the first output for that input, without the batch."""
    given, steps, returned = _replayed(model, sample_shape)
    counted: set[int] = set()
    rows = tuple(_row(step, counted) for step in steps)
    weights = list({id(weight): weight for weight in model.weights}.values())
    cost = RoleCost(tuple(given.shape[1:]), rows, _weight_bytes(weights), _peak(given, steps, returned))
    return cost, tuple(returned[0].shape[1:])


def _replayed(model: Any, sample_shape: Sequence[int | None] | None) -> tuple[Any, list[Step], list[Any]]:
    """A model's input, layers and outputs; a model whose layers cannot be seen is one layer."""
    import keras

    source = model.inputs[0]
    given = keras.Input(tuple(sample_shape or source.shape[1:]), dtype=source.dtype)
    if is_graph(model):
        replay = Replay()
        try:
            returned = keras.tree.flatten(replay.model(model, given))
            return given, replay.steps, returned
        except Exception:  # Keras raises what the layers run into; what cannot be opened is counted as one
            given = source
    returned = list(model.outputs)
    return given, [Step(model.name, _Closed(model), [given], returned)], returned


class _Closed:
    """A model that could not be opened: its parameters are known, its multiply-adds are not."""

    def __init__(self, model: Any) -> None:
        self.weights = model.weights
        self.kind = type(model).__name__


def _row(step: Step, counted: set[int]) -> LayerCost:
    layer = step.layer
    new = [weight for weight in getattr(layer, "weights", ()) if id(weight) not in counted]
    counted |= {id(weight) for weight in new}
    kind = layer.kind if isinstance(layer, _Closed) else kind_of(layer)
    return LayerCost(
        name=_printable(step.name),
        kind=_printable(kind),
        shape=tuple(step.outputs[0].shape[1:]),
        parameters=sum(map(_values, new)),
        multiply_adds=multiply_adds(layer, [t.shape for t in step.inputs], [t.shape for t in step.outputs]),
        activation_bytes=0 if _passes(layer) else _sum([_bytes(tensor) for tensor in step.outputs]),
    )


def _printable(name: str) -> str:
    """What a manifest may hold: no control characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in name)


def _passes(layer: Any) -> bool:
    return kind_of(layer) in PASSING


def _values(weight: Any) -> int:
    return prod(int(size) for size in weight.shape)


def _weight_bytes(weights: Sequence[Any]) -> dict[str, int]:
    values = sum(map(_values, weights))
    matrices = [weight for weight in weights if len(weight.shape) > 1]
    small = values - sum(map(_values, matrices))
    scales = sum(int(weight.shape[-1]) for weight in matrices)
    return {"float32": 4 * values, "float16": 2 * values, "int8": values - small + 4 * scales + 4 * small}


def _bytes(tensor: Any) -> int | None:
    sizes = tensor.shape[1:]
    each = 2 if tensor.dtype == "bfloat16" else np.dtype(tensor.dtype).itemsize
    return None if None in sizes else each * prod(sizes)


def _sum(counts: Sequence[int | None]) -> int | None:
    return None if None in counts else sum(count or 0 for count in counts)


def _peak(given: Any, steps: Sequence[Step], returned: Sequence[Any]) -> int | None:
    """The largest sum of live tensors over the steps; see the top of this file."""
    owner, size = {id(given): id(given)}, {id(given): _bytes(given)}
    born, last = {id(given): 0}, {id(given): 0}
    for place, step in enumerate(steps):
        read = [owner[id(tensor)] for tensor in step.inputs]
        last |= dict.fromkeys(read, place)
        for tensor in step.outputs:
            mine = owner[id(tensor)] = read[0] if _passes(step.layer) else id(tensor)
            if mine not in size:
                size[mine], born[mine], last[mine] = _bytes(tensor), place, place
    for tensor in returned:
        last[owner[id(tensor)]] = len(steps)
    sums = [
        _sum([size[tensor] for tensor in size if born[tensor] <= place <= last[tensor]]) for place in range(len(steps))
    ]
    return None if None in sums else max((total or 0 for total in sums), default=_bytes(given))
