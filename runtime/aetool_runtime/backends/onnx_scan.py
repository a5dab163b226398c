"""Looks through an ONNX file for tensors kept in other files, before any engine would go and read those.

Only the protobuf wire format is needed (protobuf.dev/programming-guides/encoding); the field numbers are those of
onnx.proto. The walk is bounded by the file's length and by ``_MAX_DEPTH``.
"""

from __future__ import annotations

from collections.abc import Iterator

from aetool_runtime.errors import BackendError, UnsafeError

__all__ = ["refuse_external_data"]

_MAX_DEPTH = 32
_MAX_KEY = 2**32 - 1  # some protobuf readers keep 32 bits of a longer key, and see another field than we do
_INT32 = 2**32 - 1
_EXTERNAL = 1

# message → field → the message that the field holds
_TREE = {
    "model": {7: "graph", 25: "function", 20: "training"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14


def refuse_external_data(model: bytes, where: str) -> None:
    """Raise if any tensor of a serialized ``ModelProto`` points to another file.

    Raises:
        UnsafeError: a tensor does.
        BackendError: the bytes are not a protobuf message.
    """
    try:
        found = _walk(memoryview(model), "model", 0)
    except (IndexError, ValueError) as error:
        raise BackendError(f"the graph is not valid ONNX ({error})", where=where, hint="export it again") from error
    if found:
        raise UnsafeError(
            "the graph keeps a tensor in another file",
            where=where,
            expected="all weights inside the graph",
            hint="do not use this bundle; ask whoever made it for a new one",
        )


def _walk(message: memoryview, kind: str, depth: int) -> bool:
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deeply")
    children = _TREE.get(kind, {})
    for number, value in _fields(message):
        if kind == "tensor":
            if number == _EXTERNAL_DATA or (number == _DATA_LOCATION and _enum(value) == _EXTERNAL):
                return True
        elif number in children and isinstance(value, memoryview) and _walk(value, children[number], depth + 1):
            return True
    return False


def _enum(value: int | memoryview) -> int | None:
    """As protobuf reads an enum: the lowest 32 bits."""
    return value & _INT32 if isinstance(value, int) else None


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        if key > _MAX_KEY:
            raise ValueError("a key is too large")
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire == 2:
            length, at = _varint(message, at)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if at + length > len(message):
            raise ValueError("a field ends outside its message")
        yield number, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")
