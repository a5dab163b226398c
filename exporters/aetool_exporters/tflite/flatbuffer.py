"""A TFLite file ↔ the schema's objects, with the weights aligned as the schema demands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from aetool_runtime.errors import ConversionError

__all__ = ["IDENTIFIER", "builtin_name", "read", "tensor_dtype", "write"]

IDENTIFIER = b"TFL3"
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


def write(model: Any) -> bytes:
    """The bytes of a ``ModelT``, the same for equal models; what is equal in it is written once."""
    model.buffers = [_AlignedBuffer.of(buffer) for buffer in model.buffers]
    builder = _SharingBuilder(_START_SIZE)
    with _packed_once(model):
        builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


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
        data = None if self.data is None else _aligned_vector(builder, np.asarray(self.data, np.uint8).tobytes())
        schema.BufferStart(builder)
        if data is not None:
            schema.BufferAddData(builder, data)
        schema.BufferAddOffset(builder, self.offset)
        schema.BufferAddSize(builder, self.size)
        return schema.BufferEnd(builder)


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
        fields = [f.tobytes() if isinstance(f, np.ndarray) else f for f in vars(self.part).values()]
        if not all(field is None or isinstance(field, bytes | int | float | str) for field in fields):
            return self.part.Pack(builder)
        return builder.once((type(self.part), *fields), lambda: self.part.Pack(builder))


@contextmanager
def _packed_once(model: Any) -> Iterator[None]:
    """Inside, quantizations and options are shared."""
    holders = [(tensor, "quantization") for graph in model.subgraphs for tensor in graph.tensors]
    holders += [(operator, "builtinOptions") for graph in model.subgraphs for operator in graph.operators or ()]
    parts = [getattr(holder, name) for holder, name in holders]
    try:
        for (holder, name), part in zip(holders, parts, strict=True):
            setattr(holder, name, None if part is None else _Once(part))
        yield
    finally:
        for (holder, name), part in zip(holders, parts, strict=True):
            setattr(holder, name, part)
