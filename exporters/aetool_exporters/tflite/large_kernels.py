"""Large kernels of Dense layers, put into a TFLite graph after its conversion: the converter copies what it sees.

To the converter such a kernel is an input, and what it then writes, ``FULLY_CONNECTED(x, TRANSPOSE(kernel), bias)``, is
what it writes for a constant, but that nothing is folded into the kernel. The bias is one that cannot be confused: it
shows whether the layer's sum was left as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from aetool_exporters.reference import Reference
from aetool_exporters.tflite.editing import GraphEditor, operator_name, sweep
from aetool_exporters.tflite.large_data import Transposed
from aetool_runtime.specs import Array

__all__ = ["THRESHOLD", "LargeKernel", "given_from_outside", "large_kernels", "put_in"]

THRESHOLD = 32 << 20
"""Bytes of large kernels from which on this way is taken."""

_LARGE = 1 << 20
_FOLDABLE = ("ADD", "DIV", "MUL", "SUB")
_PREFIX = "aetool_kernel_"


@dataclass(frozen=True)
class LargeKernel:
    """The kernel of a Dense layer.

    Args:
        name: as an input of the graph.
        layer: a ``keras.layers.Dense`` that computes in float32.
        number: its place among the large ones.
    """

    name: str
    layer: Any
    number: int

    @property
    def values(self) -> Array:
        """[inputs, units], not copied."""
        return np.asarray(tf.convert_to_tensor(self.layer.kernel.value))

    @property
    def bias(self) -> Array | None:
        """The layer's own; ``None`` where it adds nothing."""
        bias = np.asarray(self.layer.bias.value) if self.layer.use_bias else None
        return bias if bias is not None and bias.any() else None

    @property
    def marker(self) -> Array:
        """The bias that the converter sees: another for each layer, with no zero in it."""
        return np.arange(1, self.layer.units + 1, dtype=np.float32) + np.float32((self.number + 1) / 64)


def large_kernels(reference: Reference) -> list[LargeKernel]:
    """The large ones of a reference; none where they are too few for another way to be worth it."""
    layers = {id(layer): layer for model in reference.models for layer in model._flatten_layers() if _is_plain(layer)}
    large = [layer for layer in layers.values() if 4 * int(np.prod(layer.kernel.shape)) >= _LARGE]
    if sum(4 * int(np.prod(layer.kernel.shape)) for layer in large) < THRESHOLD:
        return []
    return [LargeKernel(f"{_PREFIX}{number}", layer, number) for number, layer in enumerate(large)]


def _is_plain(layer: Any) -> bool:
    return (
        type(layer) is keras.layers.Dense
        and "call" not in vars(layer)
        and layer.built
        and layer.compute_dtype == layer.variable_dtype == "float32"
        and layer.quantization_mode is None
        and not layer.lora_enabled
    )


@contextmanager
def given_from_outside(kernels: Sequence[LargeKernel], values: Sequence[Any]) -> Iterator[None]:
    """Inside, the layers multiply by ``values``, tensors, and add their markers; afterwards as ever."""
    for kernel, value in zip(kernels, values, strict=True):
        vars(kernel.layer)["call"] = _call(kernel, value)
    try:
        yield
    finally:
        for kernel in kernels:
            del vars(kernel.layer)["call"]


def _call(kernel: LargeKernel, value: Any) -> Any:
    activation = kernel.layer.activation

    def call(inputs: Any, training: bool | None = None) -> Any:
        summed = keras.ops.add(keras.ops.matmul(inputs, value), kernel.marker)
        return summed if activation is None else activation(summed)

    return call


def put_in(model: Any, kernels: Sequence[LargeKernel], *, folded: bool) -> bool:
    """Make constants of the inputs that stand for the kernels, in place.

    Args:
        folded: insist that the converter has left nothing that it would have folded into a constant kernel.

    Returns:
        Whether the graph is as it should be; else it must not be used.
    """
    buffers: dict[str, int] = {}
    for kernel in kernels:
        model.buffers.append(schema.BufferT(Transposed(kernel.values)))
        buffers[kernel.name] = len(model.buffers) - 1
    graphs = [_Graph(model, entry, folded) for entry in model.signatureDefs]
    if not all(graph.put_in(kernels, buffers) for graph in graphs):
        return False
    sweep(model)
    return True


class _Graph:
    """The subgraph of one signature."""

    def __init__(self, model: Any, entry: Any, folded: bool) -> None:
        self.model, self.entry, self.folded = model, entry, folded
        self.subgraph = model.subgraphs[entry.subgraphIndex]
        self.editor = GraphEditor(model, self.subgraph)

    def put_in(self, kernels: Sequence[LargeKernel], buffers: dict[str, int]) -> bool:
        items = {item.name.decode(): item for item in self.entry.inputs}
        for kernel in kernels:
            item = items.get(kernel.name)
            if item is None or not self._put(kernel, int(item.tensorIndex), buffers[kernel.name]):
                return False
            self.entry.inputs.remove(item)
            self.subgraph.inputs = np.array([i for i in self.subgraph.inputs if i != item.tensorIndex], np.int32)
        return True

    def _put(self, kernel: LargeKernel, index: int, buffer: int) -> bool:
        """Follow an input to the layer's operations; one that the signature does not need has none."""
        transposes = self._readers(index)
        if not all(self._is_transpose(operator, index) for operator in transposes):
            return False
        turned = {int(operator.outputs[0]) for operator in transposes}
        readers = [operator for tensor in turned for operator in self._readers(tensor)]
        if turned & set(map(int, self.subgraph.outputs)) or not all(self._fits(o, turned, kernel) for o in readers):
            return False
        for tensor in turned:
            self.subgraph.tensors[tensor].buffer = buffer
        for operator in readers:
            bias = -1 if kernel.bias is None else self.editor.add_constant(kernel.bias)
            operator.inputs = np.array([*operator.inputs[:2], bias], np.int32)
        self.subgraph.operators = [o for o in self.subgraph.operators if not any(o is t for t in transposes)]
        return True

    def _readers(self, tensor: int) -> list[Any]:
        return [operator for operator in self.subgraph.operators if tensor in operator.inputs]

    def _is_transpose(self, operator: Any, index: int) -> bool:
        if operator_name(self.model, operator) != "TRANSPOSE" or operator.inputs[0] != index:
            return False
        order = self.model.buffers[self.subgraph.tensors[operator.inputs[1]].buffer].data
        return order is not None and np.asarray(order, np.uint8).view("<i4").tolist() == [1, 0]

    def _fits(self, operator: Any, turned: set[int], kernel: LargeKernel) -> bool:
        """Whether it is the layer's product and sum, and nothing besides."""
        if operator_name(self.model, operator) != "FULLY_CONNECTED" or len(operator.inputs) != 3:
            return False
        given, weights, bias = map(int, operator.inputs)
        added = self.editor.constant(bias)
        if given in turned or weights not in turned or added is None or not np.array_equal(added, kernel.marker):
            return False
        return not self.folded or not any(self._is_foldable(o) for o in self._readers(int(operator.outputs[0])))

    def _is_foldable(self, operator: Any) -> bool:
        name = operator_name(self.model, operator)
        return name in _FOLDABLE and any(self.editor.constant(int(index)) is not None for index in operator.inputs)
