"""Looks through an ONNX file for tensors kept in other files, before any engine would go and read those.

Only the protobuf wire format is needed (protobuf.dev/programming-guides/encoding); the field numbers are those of
onnx.proto. The walk is bounded by the file's length and by ``_MAX_DEPTH``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from aetool_runtime.errors import BackendError, UnsafeError

__all__ = ["check_external_data", "operators", "refuse_external_data", "varint"]

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
_DESCRIPTION = (1, 2, 8, 12)  # a tensor's sizes, type, name and remark
_OP_TYPE = 4
_CONSTANT = ("model", "graph", "tensor")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,15}", re.ASCII)


@dataclass(frozen=True)
class Elsewhere:
    """A tensor whose data are in another file.

    Args:
        location: that file, as the graph names it.
        offset, length: bytes in it.
    """

    location: str
    offset: int
    length: int


def refuse_external_data(model: bytes, where: str) -> None:
    """Raise if any tensor of a serialized ``ModelProto`` points to another file.

    Raises:
        UnsafeError: a tensor does.
        BackendError: the bytes are not a protobuf message.
    """
    if _found(model, where):
        raise _unsafe(where)


def check_external_data(model: bytes, location: str, size: int, where: str) -> None:
    """Raise unless what a ``ModelProto`` keeps elsewhere are constants of its outermost graph, all in one file.

    Args:
        location: what the graph may call that file.
        size: of the file, bytes.

    Raises:
        UnsafeError: a tensor is in another file, past the end of this one, somewhere deeper, or described strangely.
        BackendError: the bytes are not a protobuf message.
    """
    for place, tensor in _found(model, where):
        if place != _CONSTANT or _elsewhere(tensor) is None:
            raise _unsafe(where)
        found = _elsewhere(tensor)
        if found is None or found.location != location or found.offset + found.length > size:
            raise _unsafe(where)


def operators(model: bytes) -> Iterator[str]:
    """The operation of each node, bodies included.

    Raises:
        ValueError, IndexError: the bytes are not a protobuf message.
    """
    for place, node in _walk(memoryview(model), ("model",)):
        if place[-1] == "node":
            kinds = [
                bytes(value) for number, value in _fields(node) if number == _OP_TYPE and not isinstance(value, int)
            ]
            yield kinds[-1].decode() if kinds else ""


def _found(model: bytes, where: str) -> list[tuple[tuple[str, ...], memoryview]]:
    """The tensors that say that they are elsewhere, each with the kinds of messages that it lies in."""
    try:
        return [(place, part) for place, part in _walk(memoryview(model), ("model",)) if _points_away(place, part)]
    except (IndexError, ValueError) as error:
        raise BackendError(f"the graph is not valid ONNX ({error})", where=where, hint="export it again") from error


def _unsafe(where: str) -> UnsafeError:
    return UnsafeError(
        "the graph keeps a tensor in another file",
        where=where,
        expected="all weights inside the graph, or in the file beside it that the manifest names",
        hint="do not use this bundle; ask whoever made it for a new one",
    )


def _points_away(place: tuple[str, ...], message: memoryview) -> bool:
    return place[-1] == "tensor" and any(
        number == _EXTERNAL_DATA or (number == _DATA_LOCATION and _enum(value) == _EXTERNAL)
        for number, value in _fields(message)
    )


def _elsewhere(tensor: memoryview) -> Elsewhere | None:
    """What a tensor says of where its data are; ``None`` unless it is said once, in numbers, and nothing else is."""
    fields = list(_fields(tensor))
    if [value for number, value in fields if number == _DATA_LOCATION] != [_EXTERNAL]:
        return None
    if any(number not in (*_DESCRIPTION, _EXTERNAL_DATA, _DATA_LOCATION) for number, _ in fields):
        return None
    entries = [_entry(value) for number, value in fields if number == _EXTERNAL_DATA]
    told = dict(entry for entry in entries if entry is not None)
    if None in entries or len(entries) != 3 or told.keys() != {"location", "offset", "length"}:
        return None
    if not all(_NUMBER.fullmatch(told[key]) for key in ("offset", "length")):
        return None
    return Elsewhere(told["location"], int(told["offset"]), int(told["length"]))


def _entry(value: int | memoryview) -> tuple[str, str] | None:
    """A key and its value; ``None`` unless there is one of each."""
    fields = [] if isinstance(value, int) else list(_fields(value))
    if [number for number, _ in fields] != [1, 2]:
        return None
    try:
        key, text = (bytes(part).decode() for _, part in fields if not isinstance(part, int))
    except ValueError:
        return None
    return key, text


def _walk(message: memoryview, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], memoryview]]:
    """Every message of interest inside one, itself first, with the kinds of those around it."""
    if len(place) > _MAX_DEPTH:
        raise ValueError("nested too deeply")
    yield place, message
    children = _TREE.get(place[-1], {})
    for number, value in _fields(message):
        if number in children and isinstance(value, memoryview):
            yield from _walk(value, (*place, children[number]))


def _enum(value: int | memoryview) -> int | None:
    """As protobuf reads an enum: the lowest 32 bits."""
    return value & _INT32 if isinstance(value, int) else None


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    at = 0
    while at < len(message):
        key, at = varint(message, at)
        if key > _MAX_KEY:
            raise ValueError("a key is too large")
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = varint(message, at)
            yield number, value
            continue
        if wire == 2:
            length, at = varint(message, at)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if at + length > len(message):
            raise ValueError("a field ends outside its message")
        yield number, message[at : at + length]
        at += length


def varint(message: bytes | memoryview, at: int) -> tuple[int, int]:
    """A number of protobuf's variable length, and where it ends."""
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
