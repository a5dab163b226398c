"""While Keras is traced: layers whose graphs ONNX has no good form for compute the same in another way.

A GRU or LSTM, alone or in both directions, becomes one operation (see ``recurrent``) and not a loop; what else there
is, ``plain_layers`` tells. Only where the result is certain to be the same: no state kept between calls, no subclasses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from aetool_exporters.onnx.plain_layers import PLAIN
from aetool_exporters.onnx.recurrent import Recurrence, trace_recurrence
from aetool_exporters.reference import Reference

__all__ = ["onnx_layers"]


@contextmanager
def onnx_layers(reference: Reference) -> Iterator[None]:
    """Inside, the layers of encoder and decoder are called in the way that converts well; afterwards as ever."""
    models = [model for model in (reference.encoder, reference.decoder) if model is not None]
    replaced = {id(layer): layer for model in models for layer in _layers(model)}
    calls = {key: call for key, layer in replaced.items() if (call := _call_for(layer))}
    for key, call in calls.items():
        vars(replaced[key])["call"] = call
    try:
        yield
    finally:
        for key in calls:
            del vars(replaced[key])["call"]


def _layers(model: keras.Model) -> list[Any]:
    return list(model._flatten_layers())  # nested ones, and those that custom layers hold


def _call_for(layer: Any) -> Callable[..., Any] | None:
    """The replacement of a layer's ``call``, if there is one."""
    if "call" in vars(layer):
        return None
    if type(layer) in (keras.layers.GRU, keras.layers.LSTM, keras.layers.RNN):
        recurrence = Recurrence.of(layer)
        return None if recurrence is None else _recurrent_call(layer, recurrence)
    if type(layer) is keras.layers.Bidirectional:
        return _bidirectional_call(layer)
    return PLAIN[type(layer)](layer) if type(layer) in PLAIN else None


def _recurrent_call(layer: Any, recurrence: Recurrence) -> Callable[..., Any]:
    original = layer.call

    def call(sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        if not _fits([recurrence], initial_state, mask, training):
            return original(sequences, initial_state=initial_state, mask=mask, training=training)
        if layer.go_backwards:  # Keras returns the steps in the order in which it went through them
            sequences, mask = (None if given is None else tf.reverse(given, [1]) for given in (sequences, mask))
        states = None if initial_state is None else keras.tree.flatten(initial_state)
        steps, last = _traced([recurrence], sequences, states, mask)
        steps = _blanked(steps, mask) if layer.zero_output_for_mask else steps
        output = steps if layer.return_sequences else last[0][0]
        return (output, *(state[0] for state in last)) if layer.return_state else output

    return call


def _bidirectional_call(layer: Any) -> Callable[..., Any] | None:
    forward, backward = layer.forward_layer, layer.backward_layer
    directions = [found for found in (Recurrence.of(forward), Recurrence.of(backward)) if found]
    same = len({(found.kind, found.units, found.resets_after) for found in directions}) == 1
    if len(directions) != 2 or not same or forward.go_backwards:
        return None
    original = layer.call

    def call(sequences: Any, initial_state: Any = None, mask: Any = None, training: bool | None = None) -> Any:
        if not _fits(directions, initial_state, mask, training):
            return original(sequences, initial_state=initial_state, mask=mask, training=training)
        steps, last = _traced(directions, sequences, initial_state, mask)
        if layer.return_sequences:
            steps = _blanked(steps, mask) if forward.zero_output_for_mask else steps
            output = steps if layer.merge_mode == "concat" else _merged(layer.merge_mode, *tf.split(steps, 2, axis=-1))
        elif layer.merge_mode == "concat":
            output = tf.reshape(tf.transpose(last[0], [1, 0, 2]), [-1, 2 * directions[0].units])
        else:
            output = _merged(layer.merge_mode, last[0][0], last[0][1])
        if not layer.return_state:
            return output
        states = [state[direction] for direction in (0, 1) for state in last]
        return (*output, *states) if layer.merge_mode is None else (output, *states)

    return call


def _fits(directions: Sequence[Recurrence], initial_state: Any, mask: Any, training: Any) -> bool:
    """A skipped step leaves the state as it is, and Keras gives out zeros until the first that is none."""
    return not training and (mask is None or (initial_state is None and all(found.can_skip for found in directions)))


def _traced(directions: Sequence[Recurrence], sequences: Any, states: Any, mask: Any) -> tuple[Any, tuple[Any, ...]]:
    if mask is None:
        return trace_recurrence(directions, sequences, states)
    skipped = 1.0 - tf.cast(mask, tf.float32)[..., tf.newaxis]
    return trace_recurrence([found.skipping() for found in directions], tf.concat([sequences, skipped], -1), states)


def _blanked(steps: Any, mask: Any) -> Any:
    return steps if mask is None else steps * tf.cast(mask, tf.float32)[..., tf.newaxis]


def _merged(mode: str | None, one: Any, other: Any) -> Any:
    """What ``Bidirectional`` makes of both directions, [batch, (time,) units] each."""
    if mode is None:
        return (one, other)
    if mode == "concat":
        return tf.concat([one, other], axis=-1)
    if mode == "mul":
        return one * other
    return one + other if mode == "sum" else (one + other) / 2
