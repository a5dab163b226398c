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
    total = int(widths.sum(dtype=np.int64))
    packed = np.zeros(total // 32 + 2, "<u4")
    place = 0
    for first in range(0, len(values), _BLOCK):
        some = widths[first : first + _BLOCK].astype(np.int64)
        (used,) = some.nonzero()
        some = some[used]
        starts = np.cumsum(some) - some + place
        low = values[first + used] & ((1 << some) - 1)
        if len(used):
            _add_words(packed, starts, low << (starts & 31))
        place += int(some.sum())
    return packed.tobytes()[: (total + 7) // 8]


def _add_words(packed: NDArray[np.uint32], starts: NDArray[np.int64], shifted: NDArray[np.int64]) -> None:
    """Join the bits that begin in the same word, there is none without any; what is too much is the next one's."""
    word = starts >> 5
    joined = np.bitwise_or.reduceat(shifted, np.flatnonzero(np.diff(word, prepend=-1)))
    packed[word[0] : word[-1] + 1] |= (joined & 0xFFFFFFFF).astype(np.uint32)
    packed[word[0] + 1 : word[-1] + 2] |= (joined >> 32).astype(np.uint32)


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
    values = np.zeros(len(widths), np.int32)
    place = 0
    for first in range(0, len(widths), _BLOCK):
        some = widths[first : first + _BLOCK].astype(np.int64)
        starts = np.cumsum(some) - some + place
        (used,) = some.nonzero()
        begins, window = starts[used], np.zeros(len(used), np.int64)
        for byte in range(_WINDOW):
            window |= packed[(begins >> 3) + byte].astype(np.int64) << 8 * byte
        values[first + used] = window >> (begins & 7) & ((1 << some[used]) - 1)
        place += int(some.sum())
    return values, end
