"""One role of a reference → the bytes of an ONNX file: convert, check, simplify, clean, canonicalize, check again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import onnx

from aetool_exporters.layers import layer_names, layer_of
from aetool_exporters.onnx.canonical import canonicalize, serialize, trace_canonical
from aetool_exporters.onnx.cleaning import clean
from aetool_exporters.onnx.conversion import convert
from aetool_exporters.onnx.interface import set_interface
from aetool_exporters.onnx.ordering import reads
from aetool_exporters.onnx.refusal import refuse_unsupported
from aetool_exporters.onnx.serialization import LIMIT, serialize_pointing, serialize_whole, weights_file, whole_size
from aetool_exporters.onnx.simplification import simplify
from aetool_exporters.onnx.validity import check
from aetool_exporters.onnx.weights import Weights
from aetool_exporters.reference import Interface, Reference
from aetool_runtime.errors import ConversionError
from aetool_runtime.specs import Role

__all__ = ["FloatGraph", "build", "finish"]

_WEIGHTED = ("Conv", "ConvTranspose", "GRU", "Gemm", "LSTM", "Loop", "MatMul", "RNN", "Scan")


@dataclass(frozen=True)
class FloatGraph:
    """A role at float32.

    Args:
        skeleton: the graph, with metadata; its large tensors only stand for those in ``weights``.
        weights: these.
        layers: node → the Keras layer that it came from, "" for none.
    """

    skeleton: onnx.ModelProto = field(repr=False)
    weights: Weights = field(repr=False)
    layers: Mapping[str, str]

    @property
    def data(self) -> bytes:
        """The file, all in one."""
        return serialize_whole(self.skeleton, self.weights)

    def files(self, path: str, limit: int = LIMIT) -> dict[str, Callable[[], bytes]]:
        """Path → what makes the file: the graph alone or, where it has ``limit`` bytes or more, its weights beside."""
        if whole_size(self.skeleton, self.weights) < limit:
            return {path: lambda: self.data}
        beside = f"{path.removesuffix('.onnx')}.data"
        return {
            path: lambda: serialize_pointing(self.skeleton, self.weights, beside.rpartition("/")[2]),
            beside: lambda: weights_file(self.skeleton, self.weights),
        }

    def model(self) -> onnx.ModelProto:
        """A copy that may be changed, without metadata.

        Raises:
            ConversionError: 2 GiB or more, which a protobuf cannot hold.
        """
        size = whole_size(self.skeleton, self.weights)
        if size >= LIMIT:
            raise ConversionError(
                f"the graph takes {size:,} bytes at float32",
                expected="less than 2 GiB, for any other precision",
                hint="export it at float32 only",
            )
        model = onnx.load_from_string(self.data)
        del model.metadata_props[:]
        return model


def build(reference: Reference, role: Role, opset: int, metadata: Mapping[str, str]) -> FloatGraph:
    """The float32 graph of a role.

    Raises:
        UnsupportedOperatorError: an operation without an ONNX counterpart.
        ConversionError: the converter failed, or its result is not valid.
    """
    wanted, names = reference.interface(role), layer_names(reference)
    model, weights = convert(reference, role, opset)
    refuse_unsupported(model, names)
    set_interface(model, wanted)
    model = simplify(model, wanted, weights)
    clean(model, weights)
    onnx.helper.set_model_props(model, dict(metadata))
    model, origins = trace_canonical(model)
    check(model, wanted, weights)
    return FloatGraph(model, weights.renamed(model), _layers(model.graph, origins, names))


def finish(model: onnx.ModelProto, wanted: Interface, metadata: Mapping[str, str]) -> bytes:
    """The file of a graph made of a float graph.

    Raises:
        ConversionError: it is not valid.
    """
    onnx.helper.set_model_props(model, dict(metadata))
    model = canonicalize(model)
    check(model, wanted)
    return serialize(model)


def _layers(graph: onnx.GraphProto, origins: Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    """Node → layer. A node with weights that tf2onnx named anew is of the layer that reads it or, else, feeds it."""
    layers = {node.name: layer_of(origins[node.name], names) for node in graph.node}
    producer = {name: node.name for node in graph.node for name in node.output}
    readers: dict[str, list[str]] = {}
    for node in graph.node:
        for name in reads(node):
            readers.setdefault(name, []).append(node.name)
    inputs = {node.name: [producer[name] for name in reads(node) if name in producer] for node in graph.node}
    outputs = {node.name: [reader for name in node.output for reader in readers.get(name, [])] for node in graph.node}
    for node in graph.node:
        if not layers[node.name] and node.op_type in _WEIGHTED:
            layers[node.name] = _nearest(node.name, outputs, layers) or _nearest(node.name, inputs, layers)
    return layers


def _nearest(name: str, following: Mapping[str, list[str]], layers: Mapping[str, str]) -> str:
    """The layer of the first node with one, going on from a node as long as the way is clear."""
    while len(following[name]) == 1 and not layers[following[name][0]]:
        name = following[name][0]
    return next((layers[other] for other in following[name] if layers[other]), "")
