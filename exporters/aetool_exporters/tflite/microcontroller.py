"""What keeps a TFLite file from an engine without floating point: TensorFlow Lite Micro, or an Arm Ethos-U behind it.

Such engines want builtin operations on int8 (or int16) tensors of fixed sizes, no more than five dimensions, constants
in the file. The list of operations is TensorFlow Lite Micro's, as far as they have an int8 kernel there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from aetool_exporters.tflite.editing import operator_name
from aetool_exporters.tflite.flatbuffer import read, tensor_dtype
from aetool_runtime.errors import UnsupportedOperatorError

__all__ = ["Obstacle", "activation_arena", "obstacles", "refuse_obstacles"]

_MOST_DIMENSIONS = 5
_SIZES = {"float32": 4, "float16": 2, "int8": 1, "uint8": 1, "int16": 2, "int32": 4, "int64": 8, "bool": 1}
_REAL = frozenset(["float16", "float32", "float64"])
_ALIGNMENT = 16

_KERNELS = frozenset(
    [
        "ADD",
        "ARG_MAX",
        "ARG_MIN",
        "AVERAGE_POOL_2D",
        "BATCH_MATMUL",
        "BATCH_TO_SPACE_ND",
        "CONCATENATION",
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "DEPTH_TO_SPACE",
        "DEQUANTIZE",
        "EXPAND_DIMS",
        "FULLY_CONNECTED",
        "GATHER",
        "HARD_SWISH",
        "L2_NORMALIZATION",
        "LEAKY_RELU",
        "LOGISTIC",
        "MAXIMUM",
        "MAX_POOL_2D",
        "MEAN",
        "MINIMUM",
        "MUL",
        "PACK",
        "PAD",
        "PADV2",
        "PRELU",
        "QUANTIZE",
        "RELU",
        "RELU6",
        "RESHAPE",
        "RESIZE_BILINEAR",
        "RESIZE_NEAREST_NEIGHBOR",
        "SLICE",
        "SOFTMAX",
        "SPACE_TO_BATCH_ND",
        "SPACE_TO_DEPTH",
        "SPLIT",
        "SPLIT_V",
        "SQUEEZE",
        "STRIDED_SLICE",
        "SUB",
        "TANH",
        "TRANSPOSE",
        "TRANSPOSE_CONV",
        "UNPACK",
    ]
)

_OTHERWISE: Mapping[str, str] = {
    "ELU": "use ReLU",
    "GELU": "use ReLU",
    "WHILE": "use dense or convolutional layers in place of recurrent ones",
    "TILE": "use a Dense layer in place of RepeatVector",
}


@dataclass(frozen=True)
class Obstacle:
    """One thing that stands in the way.

    Args:
        what: what it is, in a few words.
        signature: the signature, or the body of a loop, that it is in.
        operation: the operation's builtin name and place in its graph, such as ``CONV_2D (3)``, or "".
        tensor: the tensor's name, or its place in the graph where it has none.
        layer: the Keras layer, where it is known.
        remedy: one thing to try.
    """

    what: str
    signature: str
    operation: str
    tensor: str
    layer: str
    remedy: str

    def __str__(self) -> str:
        place = ", ".join(filter(None, [self.signature, self.operation, f"tensor {self.tensor}"]))
        return f"{self.what} ({place}{f', layer {self.layer!r}' if self.layer else ''}): {self.remedy}"


def obstacles(data: bytes, layers: Mapping[str, list[str]] | None = None) -> list[Obstacle]:
    """What stands in the way of a TFLite file; nothing when it can go.

    Args:
        layers: graph → the layer of each of its operations, where they are known.

    Raises:
        ConversionError: not a TFLite file.
    """
    model = read(data)
    return [obstacle for subgraph in model.subgraphs for obstacle in _of_graph(model, subgraph, layers or {})]


def refuse_obstacles(data: bytes) -> None:
    """Raise unless nothing stands in the way.

    Raises:
        UnsupportedOperatorError: something does; lists all of it.
    """
    met = list(dict.fromkeys(map(str, obstacles(data))))
    if met:
        raise UnsupportedOperatorError(
            f"{len(met)} things stand in the way of an engine without floating point:\n  " + "\n  ".join(met),
            expected="builtin operations on int8 tensors of fixed sizes",
            hint="see what is said of each, or leave --mcu out",
        )


def activation_arena(data: bytes) -> int:
    """Bytes of the activations that are alive together, the largest over the graphs, each tensor rounded up to 16.

    What an engine needs at least: its own records and the kernels' scratch memory come on top of it.
    """
    return max(_peak(subgraph) for subgraph in read(data).subgraphs)


def _of_graph(model: Any, subgraph: Any, layers: Mapping[str, list[str]]) -> Iterator[Obstacle]:
    name = (subgraph.name or b"").decode()
    known = layers.get(name, [])
    made: set[int] = set()
    for index in map(int, subgraph.inputs):
        yield from _of_tensor(model, subgraph, index, name, "", "")
        made.add(index)
    for place, operator in enumerate(subgraph.operators or ()):
        operation = operator_name(model, operator)
        where = f"{operation} ({place})"
        layer = known[place] if place < len(known) else ""
        if operation not in _KERNELS:
            tensor = _label(subgraph, int(operator.outputs[0]))
            remedy = _OTHERWISE.get(operation, "replace the layer")
            yield Obstacle(f"{operation} has no int8 kernel there", name, where, tensor, layer, remedy)
        for index in map(int, (*operator.inputs, *operator.outputs)):
            if index >= 0 and index not in made:
                made.add(index)
                yield from _of_tensor(model, subgraph, index, name, where, layer)


def _of_tensor(model: Any, subgraph: Any, index: int, graph: str, operation: str, layer: str) -> Iterator[Obstacle]:
    tensor = subgraph.tensors[index]
    dtype, label = tensor_dtype(tensor.type), _label(subgraph, index)
    shape = [int(size) for size in (tensor.shape if tensor.shape is not None else ())]
    signature = tensor.shapeSignature
    if dtype in _REAL:
        edge = index in subgraph.inputs or index in subgraph.outputs
        turned = edge or operation.startswith(("QUANTIZE", "DEQUANTIZE"))
        remedy = "export int8 with --integer-io" if turned else "export int8, and see what its notices say"
        yield Obstacle(
            f"{dtype} values", graph, operation, label, layer, remedy or "export int8; see what its notices say"
        )
    elif dtype == "int64" and model.buffers[tensor.buffer].data is None:
        yield Obstacle("int64 values", graph, operation, label, layer, "let the layer compute in int32")
    elif dtype not in _SIZES:
        yield Obstacle(f"{dtype} values", graph, operation, label, layer, "replace the layer")
    if signature is not None and any(int(size) < 0 for size in signature):
        yield Obstacle("a free size", graph, operation, label, layer, "give the model's input fixed sizes")
    if len(shape) > _MOST_DIMENSIONS:
        yield Obstacle(f"{len(shape)} dimensions", graph, operation, label, layer, "reshape to at most five")


def _label(subgraph: Any, index: int) -> str:
    return (subgraph.tensors[index].name or b"").decode() or str(index)


def _peak(subgraph: Any) -> int:
    operators = list(subgraph.operators or ())
    last = {int(index): place for place, operator in enumerate(operators) for index in operator.inputs}
    last |= {int(index): len(operators) for index in subgraph.outputs}
    alive = {int(index) for index in subgraph.inputs}
    peak = _bytes(subgraph, alive)
    for place, operator in enumerate(operators):
        alive |= {int(index) for index in operator.outputs}
        peak = max(peak, _bytes(subgraph, alive))
        alive = {index for index in alive if last.get(index, -1) > place}
    return peak


def _bytes(subgraph: Any, indices: set[int]) -> int:
    return sum(_rounded(subgraph.tensors[index]) for index in indices)


def _rounded(tensor: Any) -> int:
    shape = tensor.shape if tensor.shape is not None else ()
    size = int(np.prod(shape, dtype=np.int64)) * _SIZES.get(tensor_dtype(tensor.type), 4)
    return -(-size // _ALIGNMENT) * _ALIGNMENT
