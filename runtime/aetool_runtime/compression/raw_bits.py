"""Low bits of values, written as they are: the lowest first, each byte filled from its lowest bit on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aetool_runtime.errors import DamagedStreamError

__all__ = ["pack_bits", "unpack_bits"]

_BLOCK = 1 << 18  # values: bounds what the work needs beside the values
_WINDOW = 4  # bytes: 24 bits that may begin at any bit of a byte


def pack_bits(values: NDArray[np.int32], widths: NDArray[np.uint8]) -> bytes:
    """The ``widths[i]`` (0 to 24) low bits of each value."""
    packed = np.zeros((int(widths.sum(dtype=np.int64)) + 7) // 8 + _WINDOW, np.uint8)
    place = 0
    for first in range(0, len(values), _BLOCK):
        some = widths[first : first + _BLOCK].astype(np.int64)
        starts = np.cumsum(some) - some + place % 8
        low = (values[first : first + _BLOCK] & ((1 << some) - 1)) << (starts & 7)
        size = int(starts[-1] >> 3) + _WINDOW
        for byte in range(_WINDOW):  # bits of different values never meet, so that sums are what | would give
            sums = np.bincount(starts >> 3, low >> 8 * byte & 0xFF, size - byte)
            packed[place // 8 + byte : place // 8 + size] += sums.astype(np.uint8)
        place += int(some.sum())
    return packed[:-_WINDOW].tobytes()


def unpack_bits(data: memoryview, at: int, widths: NDArray[np.uint8]) -> tuple[NDArray[np.int32], int]:
    """What ``pack_bits`` wrote, and where it ends.

    Raises:
        DamagedStreamError: the data are shorter, or unused bits are not 0.
    """
    total = int(widths.sum(dtype=np.int64))
    end = at + (total + 7) // 8
    if end > len(data):
        raise DamagedStreamError("the raw bits end too early", expected=f"{total} bits")
    if total % 8 and data[end - 1] >> total % 8:
        raise DamagedStreamError("unused bits of the last byte are not 0")
    packed = np.append(np.frombuffer(data[at:end], np.uint8), np.zeros(_WINDOW, np.uint8))
    values = np.empty(len(widths), np.int32)
    place = 0
    for first in range(0, len(widths), _BLOCK):
        some = widths[first : first + _BLOCK].astype(np.int64)
        starts = np.cumsum(some) - some + place
        window = np.zeros(len(some), np.int64)
        for byte in range(_WINDOW):
            window |= packed[(starts >> 3) + byte].astype(np.int64) << 8 * byte
        values[first : first + _BLOCK] = window >> (starts & 7) & ((1 << some) - 1)
        place += int(some.sum())
    return values, end
