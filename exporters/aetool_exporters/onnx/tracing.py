"""While Keras is traced: layers whose graphs ONNX has no good form for compute the same in another way.

- A GRU, alone or in both directions, becomes one operation (see ``recurrent``) and not a loop.
- ``TimeDistributed(Dense)`` becomes one product, not one per time step: a dense layer works on the last axis anyway.

Only where the result is certain to be the same: no masks, no state kept between calls, no subclasses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from aetool_exporters.onnx.recurrent import Gru, trace_gru
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
    if type(layer) in (keras.layers.GRU, keras.layers.RNN):
        gru = Gru.of(layer)
        return None if gru is None else _recurrent_call(layer, gru)
    if type(layer) is keras.layers.Bidirectional:
        return _bidirectional_call(layer)
    if type(layer) is keras.layers.TimeDistributed and type(layer.layer) is keras.layers.Dense:
        return _time_distributed_call(layer)
    return None


def _recurrent_call(layer: Any, gru: Gru) -> Callable[..., Any]:
    original = layer.call

    def call(sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        if mask is not None or training:
            return original(sequences, initial_state=initial_state, mask=mask, training=training)
        if layer.go_backwards:  # Keras returns the steps in the order in which it went through them
            sequences = tf.reverse(sequences, [1])
        steps, last = trace_gru([gru], sequences, None if initial_state is None else keras.tree.flatten(initial_state))
        output = steps if layer.return_sequences else last[0]
        return (output, last[0]) if layer.return_state else output

    return call


def _bidirectional_call(layer: Any) -> Callable[..., Any] | None:
    forward, backward = layer.forward_layer, layer.backward_layer
    directions = [gru for gru in (Gru.of(forward), Gru.of(backward)) if gru]
    same = len({(gru.units, gru.resets_after) for gru in directions}) == 1
    if len(directions) != 2 or not same or forward.go_backwards:
        return None
    original = layer.call

    def call(sequences: Any, initial_state: Any = None, mask: Any = None, training: bool | None = None) -> Any:
        if mask is not None or training:
            return original(sequences, initial_state=initial_state, mask=mask, training=training)
        steps, last = trace_gru(directions, sequences, initial_state)
        if layer.return_sequences:
            output = steps if layer.merge_mode == "concat" else _merged(layer.merge_mode, *tf.split(steps, 2, axis=-1))
        else:
            output = _merged(layer.merge_mode, last[0], last[1])
        if not layer.return_state:
            return output
        return (*output, last[0], last[1]) if layer.merge_mode is None else (output, last[0], last[1])

    return call


def _merged(mode: str | None, one: Any, other: Any) -> Any:
    """What ``Bidirectional`` makes of both directions, [batch, (time,) units] each."""
    if mode is None:
        return (one, other)
    if mode == "concat":
        return tf.concat([one, other], axis=-1)
    if mode == "mul":
        return one * other
    return one + other if mode == "sum" else (one + other) / 2


def _time_distributed_call(layer: Any) -> Callable[..., Any]:
    original = layer.call

    def call(inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if mask is not None:
            return original(inputs, training=training, mask=mask)
        return layer.layer.call(inputs)

    return call
