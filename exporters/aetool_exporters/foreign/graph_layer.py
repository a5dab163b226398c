"""A piece of a frozen TensorFlow graph as a Keras model. Imports Keras and TensorFlow."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

__all__ = ["GraphLayer", "graph_model"]


class GraphLayer(keras.layers.Layer):  # type: ignore[misc]
    """Computes one tensor of a graph from another.

    The graph's constant vectors and matrices are the layer's weights, as they were in the model that it was made of.

    Args:
        graph: a ``GraphDef`` without variables.
        given, returned: tensors of a ``tf.Graph`` that was made of it.
    """

    def __init__(self, graph: Any, given: Any, returned: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._given, self._returned = given.name, returned.name
        self._graph = tf.compat.v1.GraphDef()
        self._graph.CopyFrom(graph)
        self._constants: dict[str, Any] = {}
        for node in graph.node:
            if node.op == "Const" and _is_weight(node):
                self._constants[f"{node.name}:0"] = self._weight(node)
        self._function = tf.function(self._import, input_signature=[tf.TensorSpec(given.shape, given.dtype)])
        self.built = True

    def _weight(self, node: Any) -> Any:
        value = tf.make_ndarray(node.attr["value"].tensor)
        weight = self.add_weight(shape=value.shape, dtype="float32", initializer="zeros", trainable=False)
        weight.assign(value)
        return weight

    def call(self, tensor: Any) -> Any:
        return self._import(tensor) if tf.inside_function() else self._function(tensor)

    def _import(self, tensor: Any) -> Any:
        weights = {name: tf.convert_to_tensor(weight) for name, weight in self._constants.items()}
        mapped = {self._given: tensor, **weights}
        (returned,) = tf.graph_util.import_graph_def(
            self._graph, input_map=mapped, return_elements=[self._returned], name=self.name
        )
        return returned


def _is_weight(node: Any) -> bool:
    tensor = node.attr["value"].tensor
    return bool(tensor.dtype == tf.float32.as_datatype_enum and tensor.tensor_shape.dim)


def graph_model(graph: Any, given: Any, returned: Any, name: str) -> keras.Model:
    """A model of one ``GraphLayer``, with a free batch.

    Args:
        graph: a ``GraphDef``.
        given, returned: tensors of a ``tf.Graph`` that was made of it, with their shapes.
    """
    tensor = keras.Input(tuple(given.shape)[1:], dtype=given.dtype.name, name="input")
    layer = GraphLayer(graph, given, returned, name=f"{name}_graph")
    return keras.Model(tensor, layer(tensor), name=name)
