"""Unsigned LEB128 numbers: one, or many at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aetool_runtime.errors import DamagedStreamError

__all__ = ["format_varint", "format_zigzag", "parse_varint", "parse_zigzag"]

_MAX_BYTES = 9
_MAX_ZIGZAG_BYTES = 5  # of a 32-bit number


def format_varint(number: int) -> bytes:
    """The bytes of a number, 0 to 2^63 − 1."""
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def parse_varint(data: memoryview, at: int) -> tuple[int, int]:
    """The number that begins at ``at``, and where it ends.

    Raises:
        DamagedStreamError: it does not end, has more than 9 bytes, or superfluous ones.
    """
    number = 0
    for place, byte in enumerate(data[at : at + _MAX_BYTES]):
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            if place and not byte:
                break
            return number, at + place + 1
    raise _bad_number()


def format_zigzag(values: NDArray[np.int64]) -> bytes:
    """32-bit integers of either sign, one after the other: 2·s for s ≥ 0, −2·s − 1 for s < 0."""
    codes = np.where(values >= 0, 2 * values, -2 * values - 1)
    shifts = 7 * np.arange(_MAX_ZIGZAG_BYTES)
    digits = codes[:, None] >> shifts
    used = (digits > 0) | (shifts == 0)
    more = np.zeros_like(digits)
    more[:, :-1] = (digits[:, 1:] > 0) << 7
    found: NDArray[np.uint8] = (digits & 0x7F | more)[used].astype(np.uint8)
    return found.tobytes()


def parse_zigzag(digits: NDArray[np.int64]) -> NDArray[np.int64]:
    """The integers whose bytes ``format_zigzag`` wrote.

    Raises:
        DamagedStreamError: a number that does not end, has superfluous bytes, or more than 32 bits.
    """
    if not len(digits):
        return digits
    ends = np.flatnonzero(digits < 0x80)
    if not len(ends) or ends[-1] != len(digits) - 1:
        raise _bad_number()
    lengths = np.diff(ends, prepend=-1)
    if lengths.max() > _MAX_ZIGZAG_BYTES or np.any((lengths > 1) & (digits[ends] == 0)):
        raise _bad_number()
    starts = ends + 1 - lengths
    places = np.arange(len(digits)) - np.repeat(starts, lengths)
    codes = np.add.reduceat((digits & 0x7F) << 7 * places, starts)
    if codes.max() >= 1 << 32:
        raise _bad_number()
    return np.where(codes & 1, -(codes >> 1) - 1, codes >> 1)


def _bad_number() -> DamagedStreamError:
    return DamagedStreamError("a number is not a varint", expected="as few bytes as it needs, the last below 0x80")
