"""A GRU or LSTM as one operation while Keras is traced, so that it becomes one node and not a ``Loop``.

TensorFlow has an operation that computes what both compute: ``CudnnRNN``. Here it is only traced, never run, and its
weights stand in ONNX's order, which is what ``rewrite_recurrent`` reads. A layer whose states or activations a node
cannot have stays as Keras wrote it: slower, and still right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from aetool_runtime.errors import ConversionError

__all__ = ["Recurrence", "rewrite_recurrent", "trace_recurrence"]

Floats = NDArray[np.float32]

_ACTIVATIONS = {"sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "Relu"}
_ACTIVATIONS_KEY, _OPTIONS_KEY = "_aetool_activations", "_aetool_options"
_DIRECTIONS = {1: "unidirectional", 2: "bidirectional"}
_ONNX_DIRECTIONS = {1: "forward", 2: "bidirectional"}
_GATES = {"gru": 3, "lstm": 4}
_STATES = {"gru": 1, "lstm": 2}
_LSTM_ORDER = (0, 3, 1, 2)  # Keras: input, forget, cell, output; ONNX: input, output, forget, cell
_CLOSED = 1e4  # what a sigmoid makes 1 of, whatever is added to it


@dataclass(frozen=True)
class Recurrence:
    """What a node needs of a Keras cell.

    Args:
        kind: ``gru`` or ``lstm``.
        units: values of a state.
        kernel: [gates · units, inputs], gates in ONNX's order.
        recurrent: [gates · units, units].
        bias: [2 · gates · units]: of the kernel, then of the recurrent kernel.
        activations: ONNX's names, of the gates, and of what they let through.
        resets_after: of a GRU: the reset gate is applied after the recurrent kernel.
    """

    kind: str
    units: int
    kernel: Floats
    recurrent: Floats
    bias: Floats
    activations: tuple[str, ...]
    resets_after: bool = False

    @classmethod
    def of(cls, layer: Any) -> Recurrence | None:
        """Of an ``RNN`` layer that is one; ``None`` where a node could not compute the same."""
        cell: Any = getattr(layer, "cell", None)
        kind = {keras.layers.GRUCell: "gru", keras.layers.LSTMCell: "lstm"}.get(type(cell))
        if not isinstance(layer, keras.layers.RNN) or kind is None or not cell.built:
            return None
        names = [_ACTIVATIONS.get(keras.activations.serialize(a)) for a in (cell.recurrent_activation, cell.activation)]
        if None in names or layer.stateful or layer.compute_dtype != "float32":
            return None
        gates, inner = str(names[0]), str(names[1])
        activations = (gates, inner) if kind == "gru" else (gates, inner, inner)
        resets_after = kind == "gru" and bool(cell.reset_after)
        return cls(kind, cell.units, *_weights(cell, kind), activations, resets_after)

    @property
    def can_skip(self) -> bool:
        """Whether a closed gate carries its whole state over a step: the output of an LSTM has a gate of its own."""
        return self.kind == "gru" and self.activations[0] == "Sigmoid"

    def skipping(self) -> Recurrence:
        """With one more input, which is 1 where a step is to be skipped: it closes the gate that lets anything in."""
        column = np.zeros((len(self.kernel), 1), np.float32)
        column[: self.units] = _CLOSED
        return replace(self, kernel=np.concatenate([self.kernel, column], axis=1))

    @property
    def parameters(self) -> Floats:
        """All weights, flat, one after the other."""
        return np.concatenate([self.kernel.reshape(-1), self.recurrent.reshape(-1), self.bias])


def _weights(cell: Any, kind: str) -> tuple[Floats, Floats, Floats]:
    kernel, recurrent = (_ordered(np.asarray(weight), kind) for weight in (cell.kernel, cell.recurrent_kernel))
    bias = np.zeros((2, _GATES[kind] * cell.units), np.float32)
    if cell.bias is not None:
        given = np.asarray(cell.bias, np.float32)
        given = given.reshape(-1, given.shape[-1])
        bias[: len(given)] = [_ordered(row, kind) for row in given]
    return kernel.T.astype(np.float32), recurrent.T.astype(np.float32), bias.reshape(-1)


def _ordered(weight: NDArray[Any], kind: str) -> NDArray[Any]:
    """Gates along the last axis, in ONNX's order."""
    if kind == "gru":
        return weight
    gates = np.split(weight, 4, axis=-1)
    return np.concatenate([gates[place] for place in _LSTM_ORDER], axis=-1)


def trace_recurrence(
    directions: Sequence[Recurrence], sequences: Any, states: Sequence[Any] | None
) -> tuple[Any, tuple[Any, ...]]:
    """One operation for a recurrent layer, or for the two of a bidirectional one.

    Args:
        directions: the forward one, and perhaps one of as many units that goes backwards.
        sequences: [batch, time, inputs].
        states: the initial ones, [batch, units] each: all of a direction, then those of the other; ``None`` for zeros.

    Returns:
        The outputs of all steps in the order of time [batch, time, directions · units], and the last states, of an
        LSTM two, of each [directions, batch, units].
    """
    first = directions[0]
    given = tf.transpose(sequences, [1, 0, 2])
    kinds = _STATES[first.kind]
    shape = (len(directions), tf.shape(given)[1], first.units)
    initial = [tf.zeros(shape) if states is None else tf.stack(states[kind::kinds]) for kind in range(kinds)]
    traced = tf.raw_ops.CudnnRNN(
        input=given,
        input_h=initial[0],
        input_c=initial[1] if kinds == 2 else tf.zeros([0]),
        params=tf.constant(np.concatenate([direction.parameters for direction in directions])),
        rnn_mode=first.kind,
        direction=_DIRECTIONS[len(directions)],
        is_training=False,
    )
    operation = traced.output.op
    _annotate(operation, _ACTIVATIONS_KEY, [name for direction in directions for name in direction.activations])
    _annotate(operation, _OPTIONS_KEY, [first.kind, str(int(first.resets_after)), str(int(states is None))])
    return tf.transpose(traced.output, [1, 0, 2]), (traced.output_h, traced.output_c)[:kinds]


def _annotate(operation: Any, key: str, texts: Sequence[str]) -> None:
    values = tf.compat.v1.AttrValue.ListValue(s=[text.encode() for text in texts])
    operation._set_attr(key, tf.compat.v1.AttrValue(list=values))  # attributes with "_" are for users of a graph


def rewrite_recurrent(graph: Any, node: Any, name: str, _: Sequence[Any]) -> None:
    """What ``trace_recurrence`` traced → a ``GRU`` or ``LSTM`` node; for tf2onnx's table of handlers."""
    if node.get_attr(_OPTIONS_KEY) is None:
        raise ConversionError("a CudnnRNN operation runs on CUDA devices only", where=name)
    kind, resets_after, starts_at_zero = (text.decode() for text in node.get_attr(_OPTIONS_KEY).strings)
    given, states = node.input[0], node.input[1 : 1 + _STATES[kind]]
    parameters = node.inputs[3].get_tensor_value(as_list=False)
    activations = [text.decode() for text in node.get_attr(_ACTIVATIONS_KEY).strings]
    directions, _, units = graph.get_shape(states[0])
    weights = _unpack(parameters, _GATES[kind] * units, directions, graph.get_shape(given)[2], units)
    names = [graph.make_const(f"{name}/{part}", value).output[0] for part, value in zip("WRB", weights, strict=True)]
    every, last = node.output[0], node.output[1 : 1 + _STATES[kind]]
    shapes = {key: graph.get_shape(key) for key in (every, *last)}
    dtype = graph.get_dtype(every)
    graph.remove_node(name)
    steps = graph.make_node(
        kind.upper(),
        [given, *names, *([] if int(starts_at_zero) else ["", *states])],
        name=f"{name}/{kind.upper()}",
        outputs=[f"{name}/steps", *last],
        shapes=[[shapes[every][0], directions, shapes[every][1], units], *(shapes[state] for state in last)],
        dtypes=[dtype] * (1 + len(last)),
        attr={
            "activations": activations,
            "direction": _ONNX_DIRECTIONS[directions],
            "hidden_size": units,
            **({"linear_before_reset": int(resets_after)} if kind == "gru" else {}),
        },
    ).output[0]
    _join_directions(graph, name, steps, every, shapes[every])


def _unpack(parameters: Floats, rows: int, directions: int, inputs: int, units: int) -> tuple[Floats, Floats, Floats]:
    """Kernels [directions, rows, inputs], recurrent kernels [directions, rows, units], biases [directions, …]."""
    kernel, recurrent, bias = np.split(
        parameters.reshape(directions, -1), np.cumsum([rows * inputs, rows * units]), axis=1
    )
    return kernel.reshape(directions, rows, inputs), recurrent.reshape(directions, rows, units), bias


def _join_directions(graph: Any, name: str, steps: str, target: str, shape: list[int]) -> None:
    """ONNX's [time, directions, batch, units] → TensorFlow's [time, batch, directions · units]."""
    options = {"shapes": [shape], "dtypes": [graph.get_dtype(steps)], "outputs": [target]}
    _, directions, batch, units = graph.get_shape(steps)
    if directions == 1:
        axis = graph.make_const(f"{name}/axis", np.array([1], np.int64)).output[0]
        graph.make_node("Squeeze", [steps, axis], name=f"{name}/squeeze", **options)
        return
    nearer = graph.make_node(
        "Transpose",
        [steps],
        attr={"perm": [0, 2, 1, 3]},
        name=f"{name}/nearer",
        shapes=[[shape[0], batch, directions, units]],
        dtypes=options["dtypes"],
    ).output[0]
    sizes = graph.make_const(f"{name}/sizes", np.array([0, 0, directions * units], np.int64)).output[0]
    graph.make_node("Reshape", [nearer, sizes], name=f"{name}/join", **options)
