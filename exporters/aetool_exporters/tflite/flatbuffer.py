"""A TFLite file ↔ the schema's objects, with the weights aligned as the schema demands.

Large weights stand behind all else in a file, to which they are written piece by piece: nothing holds them twice.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from aetool_exporters.tflite.large_data import LARGE, chunks, size
from aetool_runtime.errors import ConversionError

__all__ = ["IDENTIFIER", "Packed", "builtin_name", "pack", "read", "tensor_dtype", "write"]

IDENTIFIER = b"TFL3"
_LENGTH = struct.Struct("<I")
_DATA, _OPERATORS = 4, 10  # slots of Buffer.data, SubGraph.operators
_ALIGNMENT = 16  # force_align of Buffer.data in schema.fbs; the generated packer leaves it out
_START_SIZE = 4096


def read(data: bytes) -> Any:
    """The ``ModelT`` of a TFLite file.

    Raises:
        ConversionError: not a TFLite file.
    """
    if data[4:8] != IDENTIFIER:
        raise ConversionError("the converter's result is no TFLite file", expected="the identifier TFL3 at byte 4")
    return schema.ModelT.InitFromPackedBuf(data, 0)


@dataclass(frozen=True)
class Packed:
    """A TFLite file that is not yet written.

    Args:
        head: all but the data of large constants.
        large: these, each with the place of its vector in the file, in order.
    """

    head: bytes
    large: tuple[tuple[int, Any], ...]

    def write(self) -> bytes:
        """The file."""
        if not self.large:
            return self.head
        file = io.BytesIO()
        file.write(self.head)
        for start, data in self.large:
            file.write(bytes(start - file.tell()) + _LENGTH.pack(size(data)))
            for chunk in chunks(data):
                file.write(chunk)
        return file.getvalue()

    def alone(self, key: str) -> Packed:
        """The same file, but that the graphs of other signatures than ``key`` have no operations.

        An engine gets the weights of every graph ready, whichever runs.
        """
        head = bytearray(self.head)
        held = schema.Model.GetRootAs(head, 0)
        for place in range(held.SignatureDefsLength()):
            entry = held.SignatureDefs(place)
            if entry.SignatureKey() != key.encode():
                table = held.Subgraphs(entry.SubgraphIndex())._tab
                _LENGTH.pack_into(head, table.Vector(table.Offset(_OPERATORS)) - _LENGTH.size, 0)
        return Packed(bytes(head), self.large)


def pack(model: Any) -> Packed:
    """A ``ModelT`` as a file, the same for equal models; what is equal in it is written once."""
    model.buffers = [_AlignedBuffer.of(buffer) for buffer in model.buffers]
    builder = _SharingBuilder(_START_SIZE)
    with _packed_once(model):
        builder.Finish(model.Pack(builder), IDENTIFIER)
    head, large = builder.Output(), []
    held, end = schema.Model.GetRootAs(head, 0), len(head)
    for place, buffer in enumerate(model.buffers):
        if size(buffer.data) >= LARGE:
            start = end + -(end + _LENGTH.size) % _ALIGNMENT  # of the vector's length, which stands before its data
            table = held.Buffers(place)._tab
            field = table.Pos + table.Offset(_DATA)
            _LENGTH.pack_into(head, field, start - field)
            large.append((start, buffer.data))
            end = start + _LENGTH.size + size(buffer.data)
    return Packed(bytes(head), tuple(large))


def write(model: Any) -> bytes:
    """``pack``, written."""
    return pack(model).write()


def builtin_name(code: int) -> str:
    """The name of a builtin operation, such as ``FULLY_CONNECTED``."""
    return _constant(schema.BuiltinOperator, code)


def tensor_dtype(code: int) -> str:
    """NumPy's name of a tensor type, such as ``float32``."""
    return _constant(schema.TensorType, code).lower()


def _constant(enumeration: Any, code: int) -> str:
    names: dict[int, str] = {value: name for name, value in vars(enumeration).items() if not name.startswith("_")}
    return names.get(code, f"{enumeration.__name__} {code}")


class _AlignedBuffer(schema.BufferT):  # type: ignore[misc]
    @classmethod
    def of(cls, buffer: Any) -> _AlignedBuffer:
        return cls(buffer.data, buffer.offset, buffer.size)

    def Pack(self, builder: Any) -> Any:  # noqa: N802 (the generated packer calls it so)
        data = None if self.data is None else _aligned_vector(builder, self._data())
        schema.BufferStart(builder)
        if data is not None:
            schema.BufferAddData(builder, data)
        schema.BufferAddOffset(builder, self.offset)
        schema.BufferAddSize(builder, self.size)
        return schema.BufferEnd(builder)

    def _data(self) -> bytes:
        """What is packed: of large data a byte that makes their place."""
        return bytes(1) if size(self.data) >= LARGE else np.asarray(self.data, np.uint8).tobytes()


def _aligned_vector(builder: Any, data: bytes) -> Any:
    builder.StartVector(1, len(data), _ALIGNMENT)
    builder.head -= len(data)
    builder.Bytes[builder.head : builder.head + len(data)] = data
    return builder.EndVector()


class _SharingBuilder(flatbuffers.Builder):  # type: ignore[misc]
    """Refers to an equal vector that it has written already instead of writing another."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.written: dict[Any, Any] = {}

    def CreateNumpyVector(self, x: Any) -> Any:  # noqa: N802
        make = super().CreateNumpyVector
        return self.once(("vector", x.dtype.str, x.tobytes()), lambda: make(x))

    def CreateString(self, s: Any, *arguments: Any) -> Any:  # noqa: N802
        make = super().CreateString
        key = s.encode() if isinstance(s, str) else bytes(s)
        return self.once(("string", key, arguments), lambda: make(s, *arguments))

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self.written:
            self.written[key] = make()
        return self.written[key]


class _Once:
    """A part of a model that refers to an equal one that was written already."""

    def __init__(self, part: Any) -> None:
        self.part = part

    def Pack(self, builder: Any) -> Any:  # noqa: N802
        return builder.once(_content(self.part), lambda: self.part.Pack(builder))


def _content(part: Any) -> Any:
    """The same for equal parts."""
    if isinstance(part, np.ndarray):
        return (part.dtype.str, part.tobytes())
    if isinstance(part, list):
        return tuple(map(_content, part))
    return (type(part), *map(_content, vars(part).values())) if hasattr(part, "__dict__") else (type(part), part)


@contextmanager
def _packed_once(model: Any) -> Iterator[None]:
    """Inside, tensors, their quantizations, operations and their options are shared, within graphs and between them."""
    tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors]
    operators = [operator for graph in model.subgraphs for operator in graph.operators or ()]
    holders = [(tensor, "quantization") for tensor in tensors]
    holders += [(operator, "builtinOptions") for operator in operators]
    holders += [(graph, name) for graph in model.subgraphs for name in ("tensors", "operators")]
    parts = [getattr(holder, name) for holder, name in holders]
    try:
        for (holder, name), part in zip(holders, parts, strict=True):
            setattr(holder, name, _once(part))
        yield
    finally:
        for (holder, name), part in zip(holders, parts, strict=True):
            setattr(holder, name, part)


def _once(part: Any) -> Any:
    if part is None:
        return None
    return list(map(_Once, part)) if isinstance(part, list) else _Once(part)
