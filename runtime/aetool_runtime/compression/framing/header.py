"""A stream's header (BITSTREAM.md, section 6).

0x93 'A' 'E' 'Z', version, digest, flags, dtype, rank and shape, then what flags announce:
1 grid · 2 largest error · 4 rows · 8 picture · 16 chunks checked · 32 attachment
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np

from aetool_runtime.compression.fields import Fields
from aetool_runtime.compression.varints import format_varint
from aetool_runtime.errors import VersionError, WrongBundleError

__all__ = [
    "DTYPES", "MAGIC", "MAX_ATTACHMENT", "MAX_VALUES", "VERSION", "Grid", "Header", "Picture",
    "format_header", "parse_header",
]  # fmt: skip

MAGIC = b"\x93AEZ"
VERSION = 1
DTYPES = ("uint8", "int8", "uint16", "int16", "int32", "float32")
MAX_RANK = 7
MAX_VALUES = 2**24  # of a sample, and of a chunk
MAX_ATTACHMENT = 2**20
_GRID, _MAX_ERROR, _ROWS, _PICTURE, _CHECKED, _ATTACHMENT = 1, 2, 4, 8, 16, 32
_DIGEST_BYTES = 8


@dataclass(frozen=True)
class Grid:
    """float32: a value is ``step`` · n, and n of a codec's output is shift(output · multiplier, shift)."""

    step: float
    multiplier: int = 1
    shift: int = 0


@dataclass(frozen=True)
class Picture:
    """The samples are the tiles of one picture, each with ``halo`` more values at its four sides than its core."""

    height: int
    width: int
    halo: int = 0


@dataclass(frozen=True)
class Header:
    """What a stream says of itself.

    Args:
        digest: the first 8 bytes of the bundle's digest.
        dtype: of the samples, one of ``DTYPES``.
        shape: of a sample.
        grid: float32: other than the bundle's; ``None`` for the bundle's.
        max_error: the largest error that was promised, raw units; ``None`` when none was. For people.
        rows: whether chunks count rows of the first dimension.
        picture: of which picture the samples are tiles; ``None`` for none.
        checked: whether every chunk holds a crc32 of what it returns.
        attachment: at most 2^20 bytes, for applications.
    """

    digest: bytes
    dtype: str
    shape: tuple[int, ...]
    grid: Grid | None = None
    max_error: float | None = None
    rows: bool = False
    picture: Picture | None = None
    checked: bool = True
    attachment: bytes = b""

    @property
    def sample_values(self) -> int:
        return math.prod(self.shape)

    @property
    def is_float(self) -> bool:
        return self.dtype == "float32"

    @property
    def limits(self) -> tuple[int, int]:
        """What n is clamped to."""
        if self.is_float:
            return -(2**31) + 1, 2**31 - 1
        return int(np.iinfo(self.dtype).min), int(np.iinfo(self.dtype).max)

    def samples_of(self, count: int) -> int:
        """How many samples a chunk of that count holds."""
        return -(-count // self.shape[0]) if self.rows else count

    @property
    def tiles(self) -> int | None:
        """How many samples the picture has; ``None`` where there is no picture."""
        if self.picture is None:
            return None
        sizes = (self.picture.height, self.picture.width)
        cores = (size - 2 * self.picture.halo for size in self.shape[:2])
        return math.prod(-(-size // core) for size, core in zip(sizes, cores, strict=True))

    @property
    def item_shape(self) -> tuple[int, ...]:
        """The shape of what is counted: of a row, or of a sample."""
        return self.shape[1:] if self.rows else self.shape


def format_header(header: Header) -> bytes:
    """The header's bytes."""
    flags = [
        (header.grid is not None, _GRID),
        (header.max_error is not None, _MAX_ERROR),
        (header.rows, _ROWS),
        (header.picture is not None, _PICTURE),
        (header.checked, _CHECKED),
        (bool(header.attachment), _ATTACHMENT),
    ]
    parts = [
        MAGIC,
        bytes([VERSION]),
        header.digest,
        bytes([sum(bit for said, bit in flags if said), DTYPES.index(header.dtype), len(header.shape)]),
        *map(format_varint, header.shape),
    ]
    if header.grid is not None:
        parts += [struct.pack("<d", header.grid.step), format_varint(header.grid.multiplier)]
        parts.append(bytes([header.grid.shift]))
    if header.max_error is not None:
        parts.append(struct.pack("<d", header.max_error) if header.is_float else format_varint(int(header.max_error)))
    if header.picture is not None:
        parts += map(format_varint, (header.picture.height, header.picture.width, header.picture.halo))
    if header.attachment:
        parts += [format_varint(len(header.attachment)), header.attachment]
    return b"".join(parts)


def parse_header(fields: Fields, digest: bytes | None = None) -> Header:
    """Read a header.

    Args:
        digest: of the bundle at hand, 8 bytes or more; ``None`` to take any.

    Raises:
        DamagedStreamError: no stream, or one that breaks BITSTREAM.md.
        VersionError: a newer version, or a flag that is unknown here.
        WrongBundleError: another bundle made it.
        TruncatedError: it ends too early.
    """
    for byte in MAGIC:
        if fields.u8() != byte:
            fields.refuse("does not begin like a compressed stream", "0x93 'AEZ'")
    version = fields.u8()
    if version != VERSION:
        raise _too_new(fields, f"version {version}", f"version {VERSION}")
    made_by = bytes(fields.take(_DIGEST_BYTES))
    if digest is not None and made_by != digest[:_DIGEST_BYTES]:
        raise WrongBundleError(
            f"was made with the bundle {made_by.hex()}…",
            where=fields.where,
            expected=f"{digest[:_DIGEST_BYTES].hex()}…, the bundle at hand",
            hint="give the bundle that the stream was made with",
        )
    flags = fields.u8()
    if flags >= 2 * _ATTACHMENT:
        raise _too_new(fields, f"flags {flags:#04x}", "no unknown flag")
    return _described(fields, made_by, flags)


def _too_new(fields: Fields, met: str, expected: str) -> VersionError:
    return VersionError(f"the stream has {met}", where=fields.where, expected=expected, hint="update aetool")


def _described(fields: Fields, made_by: bytes, flags: int) -> Header:
    kind = fields.u8()
    if kind >= len(DTYPES):
        fields.refuse(f"has the dtype {kind}", f"0 to {len(DTYPES) - 1}")
    dtype = DTYPES[kind]
    shape = _shape(fields)
    if flags & _GRID and dtype != "float32":
        fields.refuse(f"has a grid and {dtype} values", "a grid for float32 alone")
    if flags & _ROWS and flags & _PICTURE:
        fields.refuse("has rows that are tiles", "rows or a picture")
    grid = _grid(fields) if flags & _GRID else None
    return Header(
        digest=made_by,
        dtype=dtype,
        shape=shape,
        grid=grid,
        max_error=_max_error(fields, dtype) if flags & _MAX_ERROR else None,
        rows=bool(flags & _ROWS),
        picture=_picture(fields, shape) if flags & _PICTURE else None,
        checked=bool(flags & _CHECKED),
        attachment=bytes(fields.take(fields.varint(1, MAX_ATTACHMENT))) if flags & _ATTACHMENT else b"",
    )


def _shape(fields: Fields) -> tuple[int, ...]:
    rank = fields.u8()
    if not 1 <= rank <= MAX_RANK:
        fields.refuse(f"has samples of rank {rank}", f"1 to {MAX_RANK}")
    shape = tuple(fields.varint(1, MAX_VALUES) for _ in range(rank))
    if math.prod(shape) > MAX_VALUES:
        fields.refuse(f"has samples of {math.prod(shape)} values", f"at most {MAX_VALUES}")
    return shape


def _grid(fields: Fields) -> Grid:
    step = fields.f64()
    if not (math.isfinite(step) and step > 0):
        fields.refuse(f"has the grid {step}", "a finite number > 0")
    multiplier, shift = fields.varint(1, 2**21 - 1), fields.u8()
    if shift > 40:
        fields.refuse(f"has the shift {shift}", "0 to 40")
    return Grid(step, multiplier, shift)


def _max_error(fields: Fields, dtype: str) -> float:
    if dtype != "float32":
        return fields.varint(0, 2**32)
    error = fields.f64()
    if not (math.isfinite(error) and error >= 0):
        fields.refuse(f"has the largest error {error}", "a finite number, 0 or more")
    return error


def _picture(fields: Fields, shape: tuple[int, ...]) -> Picture:
    picture = Picture(fields.varint(1), fields.varint(1), fields.varint(0, MAX_VALUES))
    if len(shape) < 2 or min(shape[:2]) <= 2 * picture.halo:
        fields.refuse(f"has tiles {list(shape)} with a halo of {picture.halo}", "[height, width, …] beyond the halos")
    return picture
