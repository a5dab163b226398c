"""Arrays that a JSON file describes and a data file holds: little-endian, C order, each once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from aetool_runtime.specs import MAX_RANK, Array
from aetool_runtime.strict_json import Node

__all__ = ["ArrayReader", "ArrayWriter"]

DTYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32")
ALIGNMENT = 8  # bytes: any of these types may be read in place


class ArrayReader:
    """The arrays of a data file, handed out as read-only views of it."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, node: Node, *dtypes: str, shape: tuple[int | None, ...] | None = None) -> Array:
        """The array that ``{dtype, shape, offset}`` describes.

        Args:
            dtypes: those that may stand here.
            shape: what it has to be, ``None`` for a size that may be any; ``None`` for any shape at all.

        Raises:
            ManifestError: another type or shape, or a range that is not inside the file.
        """
        dtype = node["dtype"].one_of(DTYPES)
        sizes = tuple(size.natural(1) for size in node["shape"].items())
        if dtype not in dtypes:
            node["dtype"].refuse(f"is {dtype}", " or ".join(dtypes))
        if not 1 <= len(sizes) <= MAX_RANK or not _agree(sizes, shape):
            node["shape"].refuse(f"is {list(sizes)[:MAX_RANK]}", _shown(shape))
        offset, length = node["offset"].natural(), math.prod(sizes) * np.dtype(dtype).itemsize
        if offset + length > len(self.data):
            node.refuse(f"reaches past the data file's {len(self.data)} bytes", "a range inside it")
        little = np.dtype(dtype).newbyteorder("<")
        array = np.frombuffer(self.data, little, math.prod(sizes), offset).reshape(sizes)
        return array.astype(dtype, copy=False)


def _agree(sizes: tuple[int, ...], shape: tuple[int | None, ...] | None) -> bool:
    if shape is None:
        return True
    return len(sizes) == len(shape) and all(want in (None, met) for want, met in zip(shape, sizes, strict=True))


def _shown(shape: tuple[int | None, ...] | None) -> str:
    if shape is None:
        return f"1 to {MAX_RANK} sizes"
    return "[" + ", ".join("any" if size is None else str(size) for size in shape) + "]"


class ArrayWriter:
    """Collects the arrays of a data file. Equal ones are written once, each at a multiple of ``ALIGNMENT``."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._known: dict[bytes, int] = {}

    def place(self, array: Array) -> dict[str, Any]:
        """The ``{dtype, shape, offset}`` of an array, which is added where it is new.

        Raises:
            ValueError: a type or shape that the format has not.
        """
        if array.dtype.name not in DTYPES or not array.size or not 1 <= array.ndim <= MAX_RANK:
            raise ValueError(f"an array {array.dtype}{list(array.shape)}")
        content = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        if content not in self._known:
            self.data += bytes(-len(self.data) % ALIGNMENT)
            self._known[content] = len(self.data)
            self.data += content
        return {"dtype": array.dtype.name, "shape": list(array.shape), "offset": self._known[content]}
