"""``TensorFlowOpLayer``: one operation that Keras kept as a layer up to 2.3. Imports Keras and TensorFlow."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from google.protobuf import json_format  # type: ignore[import-untyped]

__all__ = ["SingleOperation"]

_EXPECTED = {"RandomStandardNormal": 0.0, "TruncatedNormal": 0.0, "RandomUniform": 0.5}


class SingleOperation(keras.layers.Layer):  # type: ignore[misc]
    """An operation from the closed list of ``graph_safety``; random numbers are their mean.

    Args:
        node: the ``NodeDef``, as JSON.
        constants: place among the operation's inputs → value; the other inputs are the layer's.
    """

    def __init__(self, node: dict[str, Any], constants: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.node, self.constants = node, constants
        self._node = json_format.ParseDict(node, tf.compat.v1.NodeDef())
        self._function = tf.function(self._import)

    def call(self, *tensors: Any) -> Any:
        flat = keras.tree.flatten(tensors)
        return self._import(*flat) if tf.inside_function() else self._function(*flat)

    def _import(self, *tensors: Any) -> Any:
        if self._node.op in _EXPECTED:
            return tf.fill(
                tensors[0], tf.constant(_EXPECTED[self._node.op], tf.as_dtype(self._node.attr["dtype"].type))
            )
        given = iter(tensors)
        places = [str(place) for place in range(len(self._node.input))]
        inputs = [_constant(self.constants[place]) if place in self.constants else next(given) for place in places]
        fed = {f"given_{place}:0": tensor for place, tensor in enumerate(inputs)}
        (operation,) = tf.graph_util.import_graph_def(self._graph(inputs), fed, ["operation"], name=self.name)
        return operation.outputs[0] if len(operation.outputs) == 1 else list(operation.outputs)

    def _graph(self, inputs: list[Any]) -> Any:
        """The operation alone, with a placeholder for each of its inputs."""
        graph = tf.compat.v1.GraphDef()
        for place, tensor in enumerate(inputs):
            graph.node.add(name=f"given_{place}", op="Placeholder").attr["dtype"].type = tensor.dtype.as_datatype_enum
        node = graph.node.add()
        node.CopyFrom(self._node)
        node.name = "operation"
        node.input[:] = [f"given_{place}" for place in range(len(inputs))]
        return graph

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "node": self.node, "constants": self.constants}


def _constant(value: Any) -> Any:
    array = np.asarray(value)
    return tf.constant(array, tf.float32 if array.dtype.kind == "f" else tf.int32 if array.dtype.kind == "i" else None)
