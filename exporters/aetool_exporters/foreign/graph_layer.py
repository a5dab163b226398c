"""A piece of a frozen TensorFlow graph as a Keras model. Imports Keras and TensorFlow."""

from __future__ import annotations

from itertools import count
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.eager import context

_ELEMENT_SHAPE = {
    "TensorListFromTensor": 1, "TensorListGather": 2, "TensorListGetItem": 2, "TensorListReserve": 0,
    "TensorListStack": 1,
}  # fmt: skip
_IMPORTS = count()  # of this process, which knows functions by name

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
        self._given, self._returned, self._sizes = given.name, returned.name, tuple(returned.shape)[1:]
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
        graph = _with_batch(self._graph, tensor.shape[0], f"_import_{next(_IMPORTS)}")
        (returned,) = tf.graph_util.import_graph_def(
            graph, input_map=mapped, return_elements=[self._returned], name=self.name
        )
        returned.set_shape((tensor.shape[0], *self._sizes))
        return returned


def _with_batch(graph: Any, batch: int | None, ending: str) -> Any:
    """A copy to import once.

    If the batch is known, so it is to the lists of tensors in which recurrent layers keep their steps: TFLite wants
    that. Functions get names of their own: TFLite lowers each loop's body once.
    """
    fixed = tf.compat.v1.GraphDef()
    fixed.CopyFrom(graph)
    for nodes in (fixed.node, *(function.node_def for function in fixed.library.function)):
        constants = {node.name: node for node in nodes if node.op == "Const"}
        for node in nodes:
            place = _ELEMENT_SHAPE.get(node.op)
            constant = None if place is None else constants.get(node.input[place].partition(":")[0])
            if constant is not None and batch is not None:
                _fix(constant, batch)
    _rename_functions(fixed, ending)
    return fixed


def _rename_functions(graph: Any, ending: str) -> None:
    """Two graphs that are traced together must not have different functions of one name."""
    names = {function.signature.name for function in graph.library.function}
    del graph.library.gradient[:]
    for nodes in (graph.node, *(function.node_def for function in graph.library.function)):
        for node in nodes:
            if node.op in names:
                node.op += ending
            for attribute in node.attr.values():
                for called in (attribute.func, *attribute.list.func):
                    if called.name in names:
                        called.name += ending
    for function in graph.library.function:
        function.signature.name += ending
        context.context().add_function_def(function)  # importing a graph does not make them known to eager calls


def _fix(constant: Any, batch: int) -> None:
    """Put the batch in the place of the one size that is not known."""
    sizes = tf.make_ndarray(constant.attr["value"].tensor)
    if sizes.ndim == 1 and list(sizes).count(-1) == 1:
        fixed = tf.make_tensor_proto([batch if size == -1 else size for size in sizes], sizes.dtype)
        constant.attr["value"].tensor.CopyFrom(fixed)


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
