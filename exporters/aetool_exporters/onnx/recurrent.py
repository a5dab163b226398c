"""A GRU as one operation while Keras is traced, so that it becomes one ``GRU`` node and not a ``Loop``.

TensorFlow has an operation that computes what a Keras GRU computes: ``CudnnRNN``. Here it is only traced, never run,
and its weights stand in ONNX's order, which is what ``rewrite_gru`` reads. A GRU whose states or activations a node
cannot have stays as Keras wrote it: slower, and still right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from aetool_runtime.errors import ConversionError

__all__ = ["Gru", "rewrite_gru", "trace_gru"]

_ACTIVATIONS = {"sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "Relu"}
_ACTIVATIONS_KEY, _OPTIONS_KEY = "_aetool_activations", "_aetool_options"
_DIRECTIONS = {1: "unidirectional", 2: "bidirectional"}
_ONNX_DIRECTIONS = {1: "forward", 2: "bidirectional"}


@dataclass(frozen=True)
class Gru:
    """What a GRU node needs of a Keras cell.

    Args:
        units: values of its state.
        parameters: kernel [3·units, inputs], recurrent kernel [3·units, units] and both biases [6·units], gates in the
            order z, r, h; flat, one after the other.
        activations: ONNX's names, of the gates and of the state.
        resets_after: the reset gate is applied after the recurrent kernel.
    """

    units: int
    parameters: NDArray[np.float32]
    activations: tuple[str, str]
    resets_after: bool

    @classmethod
    def of(cls, layer: Any) -> Gru | None:
        """Of an ``RNN`` layer that is one; ``None`` where a GRU node could not compute the same."""
        cell: Any = getattr(layer, "cell", None)
        if not isinstance(layer, keras.layers.RNN) or type(cell) is not keras.layers.GRUCell or not cell.built:
            return None
        names = [_ACTIVATIONS.get(keras.activations.serialize(a)) for a in (cell.recurrent_activation, cell.activation)]
        if None in names or layer.stateful or layer.compute_dtype != "float32":
            return None
        return cls(cell.units, _parameters(cell), (str(names[0]), str(names[1])), cell.reset_after)


def _parameters(cell: Any) -> NDArray[np.float32]:
    kernel, recurrent = np.asarray(cell.kernel), np.asarray(cell.recurrent_kernel)
    bias = np.zeros(6 * cell.units, np.float32)
    if cell.bias is not None:
        given = np.asarray(cell.bias).reshape(-1)
        bias[: len(given)] = given
    return np.concatenate([kernel.T.reshape(-1), recurrent.T.reshape(-1), bias]).astype(np.float32)


def trace_gru(directions: Sequence[Gru], sequences: Any, states: Sequence[Any] | None) -> tuple[Any, Any]:
    """One operation for a GRU, or for the two of a bidirectional one.

    Args:
        directions: the forward GRU, and perhaps one of as many units that goes backwards.
        sequences: [batch, time, inputs].
        states: the initial one of each direction, [batch, units]; ``None`` for zeros.

    Returns:
        The outputs of all steps in the order of time [batch, time, directions · units], and the last states
        [directions, batch, units].
    """
    given = tf.transpose(sequences, [1, 0, 2])
    shape = (len(directions), tf.shape(given)[1], directions[0].units)
    traced = tf.raw_ops.CudnnRNN(
        input=given,
        input_h=tf.zeros(shape) if states is None else tf.stack(states),
        input_c=tf.zeros([0]),
        params=tf.constant(np.concatenate([direction.parameters for direction in directions])),
        rnn_mode="gru",
        direction=_DIRECTIONS[len(directions)],
        is_training=False,
    )
    operation = traced.output.op
    _annotate(operation, _ACTIVATIONS_KEY, [name for direction in directions for name in direction.activations])
    _annotate(operation, _OPTIONS_KEY, [str(int(directions[0].resets_after)), str(int(states is None))])
    return tf.transpose(traced.output, [1, 0, 2]), traced.output_h


def _annotate(operation: Any, key: str, texts: Sequence[str]) -> None:
    values = tf.compat.v1.AttrValue.ListValue(s=[text.encode() for text in texts])
    operation._set_attr(key, tf.compat.v1.AttrValue(list=values))  # attributes with "_" are for users of a graph


def rewrite_gru(graph: Any, node: Any, name: str, _: Sequence[Any]) -> None:
    """What ``trace_gru`` traced → a ``GRU`` node; for tf2onnx's table of handlers."""
    if node.get_attr(_OPTIONS_KEY) is None:
        raise ConversionError("a CudnnRNN operation runs on CUDA devices only", where=name)
    given, state = node.input[:2]
    parameters = node.inputs[3].get_tensor_value(as_list=False)
    activations = [text.decode() for text in node.get_attr(_ACTIVATIONS_KEY).strings]
    resets_after, starts_at_zero = (int(text) for text in node.get_attr(_OPTIONS_KEY).strings)
    directions, _, units = graph.get_shape(state)
    weights = _unpack(parameters, directions, graph.get_shape(given)[2], units)
    names = [graph.make_const(f"{name}/{kind}", value).output[0] for kind, value in zip("WRB", weights, strict=True)]
    every, last = node.output[:2]
    shapes, dtypes = {key: graph.get_shape(key) for key in (every, last)}, [graph.get_dtype(every)]
    graph.remove_node(name)
    steps = graph.make_node(
        "GRU",
        [given, *names, *([] if starts_at_zero else ["", state])],
        name=f"{name}/GRU",
        outputs=[f"{name}/steps", last],
        shapes=[[shapes[every][0], directions, shapes[every][1], units], shapes[last]],
        dtypes=dtypes * 2,
        attr={
            "activations": activations,
            "direction": _ONNX_DIRECTIONS[directions],
            "hidden_size": units,
            "linear_before_reset": resets_after,
        },
    ).output[0]
    _join_directions(graph, name, steps, every, shapes[every])


def _unpack(
    parameters: NDArray[np.float32], directions: int, inputs: int, units: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Kernels [directions, 3·units, inputs], recurrent kernels [directions, 3·units, units], biases [directions, …]."""
    kernel, recurrent, bias = np.split(
        parameters.reshape(directions, -1), np.cumsum([3 * units * inputs, 3 * units * units]), axis=1
    )
    return kernel.reshape(directions, -1, inputs), recurrent.reshape(directions, -1, units), bias


def _join_directions(graph: Any, name: str, steps: str, target: str, shape: list[int]) -> None:
    """ONNX's [time, directions, batch, units] → TensorFlow's [time, batch, directions · units]."""
    axis = graph.make_const(f"{name}/axis", np.array([1], np.int64)).output[0]
    options = {"shapes": [shape], "dtypes": [graph.get_dtype(steps)], "outputs": [target]}
    directions = graph.get_shape(steps)[1]
    if directions == 1:
        graph.make_node("Squeeze", [steps, axis], name=f"{name}/squeeze", **options)
        return
    parts = graph.make_node("Split", [steps], name=f"{name}/split", attr={"axis": 1}, output_count=directions).output
    flat = [graph.make_node("Squeeze", [part, axis], name=f"{part}/squeeze").output[0] for part in parts]
    graph.make_node("Concat", flat, name=f"{name}/join", attr={"axis": 2}, **options)
