"""An ONNX file of a graph and the large weights beside it, written without copying these more than once.

A protobuf is a sequence of fields (protobuf.dev/programming-guides/encoding); the numbers are those of onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx

from aetool_exporters.onnx.canonical import serialize
from aetool_exporters.onnx.weights import Weights, is_elsewhere
from aetool_runtime.specs import Array

__all__ = ["LIMIT", "serialize_pointing", "serialize_whole", "weights_file", "whole_size"]

LIMIT = 2**31 - 2**20
"""Bytes of a file from which on its weights stand in another; a protobuf holds less than 2 GiB."""

_ALIGNMENT = 4096  # of a tensor in the file beside, so that it can be mapped into memory
_GRAPH, _INITIALIZER, _RAW_DATA = 7, 5, 9
_BYTES = 2  # wire type


def whole_size(model: onnx.ModelProto, weights: Weights) -> int:
    """About how many bytes a file of all has."""
    return int(model.ByteSize()) + sum(value.nbytes for value in weights.values())


def serialize_whole(model: onnx.ModelProto, weights: Weights) -> bytes:
    """One file of all."""
    return b"".join(_pieces(model, weights)) if weights else serialize(model)


def serialize_pointing(model: onnx.ModelProto, weights: Weights, location: str) -> bytes:
    """The graph, its large tensors in a file called ``location`` in the same folder."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    offsets = dict(_offsets(model, weights))
    for tensor in result.graph.initializer:
        if is_elsewhere(tensor):
            del tensor.external_data[:]
            place = {"location": location, "offset": offsets[tensor.name], "length": weights[tensor.name].nbytes}
            for key, value in place.items():
                tensor.external_data.add(key=key, value=str(value))
    return serialize(result)


def weights_file(model: onnx.ModelProto, weights: Weights) -> bytes:
    """The file beside: the large tensors in the graph's order, little-endian, with zeros between."""
    data = bytearray()
    for name, offset in _offsets(model, weights):
        data += bytes(offset - len(data))
        data += _raw(weights[name])
    return bytes(data)


def _offsets(model: onnx.ModelProto, weights: Weights) -> Iterator[tuple[str, int]]:
    end = 0
    for tensor in model.graph.initializer:
        if is_elsewhere(tensor):
            end += -end % _ALIGNMENT
            yield tensor.name, end
            end += weights[tensor.name].nbytes


def _pieces(model: onnx.ModelProto, weights: Weights) -> Iterator[bytes | memoryview]:
    """The fields in the order of their numbers, as protobuf itself writes them."""
    graph = list(_graph_pieces(model.graph, weights))
    before, behind = onnx.ModelProto(), onnx.ModelProto()
    before.CopyFrom(model)
    before.ClearField("graph")
    for field in ("opset_import", "metadata_props"):
        before.ClearField(field)
        getattr(behind, field).extend(getattr(model, field))
    yield before.SerializeToString(deterministic=True)
    yield _head(_GRAPH, sum(map(len, graph)))
    yield from graph
    yield behind.SerializeToString(deterministic=True)


def _graph_pieces(graph: onnx.GraphProto, weights: Weights) -> Iterator[bytes | memoryview]:
    first, last = onnx.GraphProto(name=graph.name), onnx.GraphProto()
    first.node.extend(graph.node)
    last.input.extend(graph.input)
    last.output.extend(graph.output)
    yield first.SerializeToString(deterministic=True)
    for tensor in graph.initializer:
        if is_elsewhere(tensor):
            plain = onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
            description, raw = plain.SerializeToString(deterministic=True), _raw(weights[tensor.name])
            head = _head(_RAW_DATA, len(raw))
            yield _head(_INITIALIZER, len(description) + len(head) + len(raw)) + description + head
            yield raw
        else:
            data = tensor.SerializeToString(deterministic=True)
            yield _head(_INITIALIZER, len(data)) + data
    yield last.SerializeToString(deterministic=True)


def _raw(value: Array) -> memoryview:
    little = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
    return memoryview(little.reshape(-1).view(np.uint8).data)


def _head(number: int, length: int) -> bytes:
    """A field's key and the length of what follows."""
    out = bytearray()
    for value in (number << 3 | _BYTES, length):
        while value > 127:
            out.append(value & 127 | 128)
            value >>= 7
        out.append(value)
    return bytes(out)
