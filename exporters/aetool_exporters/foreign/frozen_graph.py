"""A TensorFlow graph without variables: where it can be cut in two, and its halves. Imports TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from math import prod
from typing import Any

import tensorflow as tf

from aetool_exporters.foreign.cut import Cut
from aetool_exporters.foreign.graph_layer import graph_model
from aetool_exporters.reason import reason
from aetool_runtime.errors import ModelError

__all__ = ["FrozenGraph"]

_RESHAPING = {"Cast", "ExpandDims", "Identity", "Pack", "Reshape", "Shape", "Squeeze", "StridedSlice", "Transpose"}
_TRANSFORMING = _RESHAPING | {
    "AddV2", "Add", "BiasAdd", "Elu", "Exp", "FusedBatchNormV3", "LeakyRelu", "Maximum", "Minimum", "Mul", "Neg",
    "RealDiv", "Relu", "Relu6", "Rsqrt", "Selu", "Sigmoid", "Softplus", "Softsign", "Sqrt", "Square", "Sub", "Tanh",
}  # fmt: skip
_UNKNOWN = 64  # counts for a size that the graph does not tell
_USABLE = (tf.float32, tf.int32, tf.int64)
_CALLS = ("StatefulPartitionedCall", "PartitionedCall")


class FrozenGraph:
    """From one input to one output; see ``choice.Cuttable``.

    Args:
        graph: a ``GraphDef``.
        given, returned: names of tensors.
        shape: of the input, the batch first; the batch is freed.
        made_shape: of the output, where the graph does not tell.
    """

    def __init__(
        self,
        graph: Any,
        given: str,
        returned: str,
        shape: tuple[int | None, ...],
        dtype: Any,
        made_shape: tuple[int | None, ...] | None = None,
    ) -> None:
        self.definition = graph
        with tf.Graph().as_default() as holder:
            fed = tf.compat.v1.placeholder(dtype, (None, *shape[1:]), name="aetool_input")
            rest = _without(graph, given)
            (made,) = tf.graph_util.import_graph_def(rest, input_map={given: fed}, return_elements=[returned], name="")
            made = tf.identity(made, name="aetool_output")
            if made_shape is not None:
                made.set_shape(made_shape)
        self._definition = holder.as_graph_def()
        self._given, self._returned = fed, made
        self._path = _path(holder, fed, made)
        groups = [(name, list(steps)) for name, steps in groupby(self._path[:-1], lambda step: _layer(step.name))]
        groups = _first_calls(groups)
        self.layer_names = [name for name, _ in groups]
        self.elements = [max(map(_elements, _batches(steps)), default=0) for _, steps in groups]
        found = {cut.name: cut for cut in self._cuts(groups)}  # a layer's last tensor stands for the layer
        self.cuts = sorted(found.values(), key=lambda cut: cut.place)

    def split(self, cut: Cut) -> tuple[Any, Any]:
        """The Keras models before and after a cut."""
        return self._part(self._given, cut.tensor, "encoder"), self._part(cut.tensor, self._returned, "decoder")

    def whole(self, name: str = "model") -> Any:
        """All of it as one Keras model."""
        return self._part(self._given, self._returned, name)

    def _part(self, given: Any, returned: Any, name: str) -> Any:
        try:
            return graph_model(_between(self._definition, given.name, returned.name), given, returned, name)
        except Exception as error:  # TensorFlow and Keras raise what they run into
            what = f"the graph from {given.name} to {returned.name} cannot be taken out ({reason(error)})"
            raise ModelError(what, hint="cut elsewhere: --latent LAYER, or --encoder-only") from error

    def _cuts(self, groups: list[tuple[str, list[Any]]]) -> Iterator[Cut]:
        """Where nothing but one tensor is alive after the last operation of a layer. The two ends do not count."""
        order = {step.name: place for place, step in enumerate(self._path)}
        last_use = {tensor.ref(): place for place, step in enumerate(self._path) for tensor in step.inputs}
        changing = [place for place, (_, steps) in enumerate(groups) if not _kinds(steps) <= _RESHAPING]
        made, before = {self._given.ref()}, None
        for place, (name, steps) in enumerate(groups):
            now = order[steps[-1].name]
            made |= {tensor.ref() for step in steps for tensor in step.outputs}
            made = {tensor for tensor in made if last_use.get(tensor, -1) > now}
            tensor = next(iter(made)).deref() if len(made) == 1 else None
            inside = bool(changing) and changing[0] <= place < changing[-1]
            if inside and any(tensor is batch for batch in _batches(steps)):
                yield _cut(name, tensor, steps, before, place)
                before = tensor


def _first_calls(groups: list[tuple[str, list[Any]]]) -> list[tuple[str, list[Any]]]:
    """Keras 3 traces a model for the second time, and calls every layer ``dense_1``; here it is ``dense``."""
    own = [name for name, steps in groups if not _kinds(steps) <= _RESHAPING]
    if not own or not all(name.split("/")[0].endswith("_1") for name in own):
        return groups
    return [("/".join(part.removesuffix("_1") for part in name.split("/")), steps) for name, steps in groups]


def _kinds(steps: list[Any]) -> set[str]:
    return {step.type for step in steps}


def _batches(steps: list[Any]) -> list[Any]:
    """The outputs that have the batch for their first dimension."""
    made = [tensor for step in steps for tensor in step.outputs]
    return [
        tensor
        for tensor in made
        if (tensor.shape.rank or 0) > 1
        and tensor.shape[0] is None
        and tensor.dtype in _USABLE
        and tensor.op.type != "TensorListStack"
    ]


def _cut(name: str, tensor: Any, steps: list[Any], before: Any, place: int) -> Cut:
    kinds = _kinds(steps)
    outside = {given.ref() for step in steps for given in step.inputs if given.op not in steps}
    return Cut(
        name=name,
        shape=tuple(tensor.shape),
        elements=_elements(tensor),
        model="",
        follows_on=before is not None and before.ref() in outside and kinds <= _TRANSFORMING,
        only_reshapes=kinds <= _RESHAPING,
        tensor=tensor,
        place=place,
    )


def _elements(tensor: Any) -> int:
    return prod(size or _UNKNOWN for size in tuple(tensor.shape)[1:])


def _layer(operation: str) -> str:
    """``StatefulPartitionedCall/model/dense/BiasAdd`` → ``dense``."""
    parts = [part for part in operation.split("/") if not part.startswith(_CALLS)]
    return "/".join(parts[1:-1]) or "/".join(parts[:-1]) or operation


def _path(graph: Any, given: Any, returned: Any) -> list[Any]:
    """The operations that lead from one tensor to the other, in an order in which they can be computed."""
    behind = {given.op}
    for operation in graph.get_operations():  # in the order in which they were made, inputs first
        if any(tensor.op in behind for tensor in operation.inputs):
            behind.add(operation)
    ahead, waiting = {returned.op}, [returned.op]
    while waiting:
        for tensor in waiting.pop().inputs:
            if tensor.op not in ahead:
                ahead.add(tensor.op)
                waiting.append(tensor.op)
    return [op for op in graph.get_operations() if op in behind and op in ahead and op is not given.op]


def _without(graph: Any, tensor: str) -> Any:
    """A graph without the node that makes a tensor."""
    rest = tf.compat.v1.GraphDef()
    rest.CopyFrom(graph)
    del rest.node[:]
    rest.node.extend(node for node in graph.node if node.name != tensor.partition(":")[0])
    return rest


def _between(graph: Any, given: str, returned: str) -> Any:
    """The nodes that a tensor needs, as far as the given one."""
    nodes = {node.name: node for node in graph.node}
    stop = given.partition(":")[0]
    waiting, kept = [returned.partition(":")[0]], set()
    while waiting:
        name = waiting.pop()
        if name in kept or name == stop:
            continue
        kept.add(name)
        waiting += [source.partition(":")[0] for source in nodes[name].input if not source.startswith("^")]
    part = tf.compat.v1.GraphDef()
    part.CopyFrom(graph)
    del part.node[:]
    part.node.extend(node for node in graph.node if node.name in kept)
    for node in part.node:  # what only had to happen before has no effect on what is computed
        node.input[:] = [source for source in node.input if not source.startswith("^")]
    return part
