"""A large ONNX graph in two parts without copying it: a small graph, and the file itself as where its weights lie.

An engine that is given a graph of 300 MB parses it into as much memory again, and copies the weights once more. Here it
parses only what is left when each large constant says: my data are so many bytes of this very file. See ``onnx_scan``
for the wire format.
"""

from __future__ import annotations

from collections.abc import Iterator

from aetool_runtime.backends.onnx_scan import varint

__all__ = ["LARGE", "pointing_at_itself"]

LARGE = 1 << 20
"""Bytes of a constant from which on it is pointed at."""

_GRAPH, _INITIALIZER, _RAW_DATA, _EXTERNAL_DATA = 7, 5, 9, 13
_IS_EXTERNAL = b"\x70\x01"  # data_location = EXTERNAL
_BYTES = 2


def pointing_at_itself(model: bytes, location: str) -> bytes:
    """The same graph, with its large constants in a file called ``location`` whose content is ``model``.

    Raises:
        ValueError, IndexError: the bytes are not a protobuf message.
    """
    return b"".join(
        _field(_GRAPH, _graph(model, start, end, location)) if number == _GRAPH and wire == _BYTES else model[at:end]
        for number, wire, at, start, end in _fields(model, 0, len(model))
    )


def _graph(model: bytes, begin: int, stop: int, location: str) -> bytes:
    return b"".join(
        _field(_INITIALIZER, _tensor(model, start, end, location))
        if number == _INITIALIZER and wire == _BYTES
        else model[at:end]
        for number, wire, at, start, end in _fields(model, begin, stop)
    )


def _tensor(model: bytes, begin: int, stop: int, location: str) -> bytes:
    if stop - begin < LARGE:
        return model[begin:stop]
    fields = list(_fields(model, begin, stop))
    data = [(start, end) for number, _, _, start, end in fields if number == _RAW_DATA]
    if len(data) != 1:
        return model[begin:stop]
    ((start, end),) = data
    kept = b"".join(model[at:ends] for number, _, at, _, ends in fields if number != _RAW_DATA)
    told = {"location": location, "offset": str(start), "length": str(end - start)}
    entries = (_field(1, key.encode()) + _field(2, value.encode()) for key, value in told.items())
    return kept + b"".join(_field(_EXTERNAL_DATA, entry) for entry in entries) + _IS_EXTERNAL


def _fields(model: bytes, at: int, stop: int) -> Iterator[tuple[int, int, int, int, int]]:
    """Number, wire type, where the field begins, where its content begins, where both end."""
    while at < stop:
        key, start = varint(model, at)
        wire = key & 7
        if wire == 0:
            end = varint(model, start)[1]
        elif wire == _BYTES:
            length, start = varint(model, start)
            end = start + length
        elif wire in (1, 5):
            end = start + (8 if wire == 1 else 4)
        else:
            raise ValueError(f"wire type {wire}")
        if end > stop:
            raise ValueError("a field ends outside its message")
        yield key >> 3, wire, at, start, end
        at = end


def _field(number: int, content: bytes) -> bytes:
    out = bytearray()
    for value in (number << 3 | _BYTES, len(content)):
        while value > 127:
            out.append(value & 127 | 128)
            value >>= 7
        out.append(value)
    return bytes(out) + content
