"""A picture ↔ its tiles, as BITSTREAM.md has them: cores side by side, halos around, edges continued."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from aetool_runtime.compression.description import Compression
from aetool_runtime.compression.framing.header import Header, Picture
from aetool_runtime.errors import InputError, UsageError
from aetool_runtime.specs import Array

__all__ = ["Mosaic", "cut", "tile_shape"]

_WHOLE = 1 << 22  # values: larger pictures are tiled even where sizes are free
_SIDE, _HALO = 1024, 32  # of such tiles
_LARGEST_SIDE = 2**24
_LARGEST_PICTURE = 2**33  # values


def tile_shape(compression: Compression, picture: Array, halo: int | None, where: str) -> tuple[tuple[int, int], int]:
    """Height and width of tiles for a picture [height, width, channels], and their halo.

    Sizes that the bundle leaves free are the whole picture's, as a multiple of what its codecs need.

    Raises:
        UsageError: the halo leaves nothing of a tile.
    """
    free = None in compression.sample_shape[:2]
    large = free and picture.size > _WHOLE
    margin = halo if halo is not None else _HALO if large else 0
    sides = [
        size if size is not None else _free_side(compression, place, _SIDE if large else picture.shape[place])
        for place, size in enumerate(compression.sample_shape[:2])
    ]
    if min(sides) <= 2 * margin:
        raise UsageError(f"a halo of {margin} leaves nothing of tiles {sides}", where=where, hint="a smaller --halo")
    return (sides[0], sides[1]), margin


def _free_side(compression: Compression, place: int, size: int) -> int:
    """A size rounded up to what every codec divides."""
    factor = math.lcm(*(codec.downsampling[place] for codec in compression.codecs if codec.downsampling), 1)
    return -(-size // factor) * factor


def cut(picture: Array, tile: Sequence[int], halo: int) -> Iterator[Array]:
    """Tiles [tiles in one row of them, height, width, channels], in raster order."""
    height, width = picture.shape[:2]
    core = [side - 2 * halo for side in tile]
    if max(height, width) >= _LARGEST_SIDE:
        raise InputError(f"a picture of {height}×{width} is too large", expected=f"sides below {_LARGEST_SIDE}")
    columns = [np.clip(np.arange(left - halo, left - halo + tile[1]), 0, width - 1) for left in _starts(width, core[1])]
    for top in _starts(height, core[0]):
        band = picture[np.clip(np.arange(top - halo, top - halo + tile[0]), 0, height - 1)]
        yield np.stack([band[:, places] for places in columns])


def _starts(size: int, core: int) -> range:
    return range(0, size, core)


class Mosaic:
    """A picture that is put together tile by tile; what is missing stays 0."""

    def __init__(self, header: Header) -> None:
        assert header.picture is not None
        self._picture: Picture = header.picture
        halo = header.picture.halo
        if math.prod((header.picture.height, header.picture.width, *header.shape[2:])) > _LARGEST_PICTURE:
            raise InputError(f"claims a picture of {header.picture.height}×{header.picture.width}, too large for here")
        self._core = (header.shape[0] - 2 * halo, header.shape[1] - 2 * halo)
        self._columns = -(-header.picture.width // self._core[1])
        self._bands: dict[int, Array] = {}
        self._header = header
        self.missing = header.tiles or 0

    def put(self, first: int, tiles: Array) -> None:
        """Place tiles [n, …], the first of which has a number."""
        halo = self._picture.halo
        for number, tile in enumerate(tiles, first):
            row, column = divmod(number, self._columns)
            core = tile[halo : halo + self._core[0], halo : halo + self._core[1]]
            top, left = row * self._core[0], column * self._core[1]
            height, width = min(len(core), self._picture.height - top), min(core.shape[1], self._picture.width - left)
            self._band(row, height)[:, left : left + width] = core[:height, :width]
            self.missing -= 1

    def _band(self, row: int, height: int) -> Array:
        if row not in self._bands:
            shape = (height, self._picture.width, *self._header.shape[2:])
            self._bands[row] = np.zeros(shape, self._header.dtype)
        return self._bands[row]

    def picture(self) -> Array:
        """[height, width, …] from bands: rows that no tile was put in are made here alone, in one piece.

        Raises:
            InputError: no tile was put.
        """
        if not self._bands:
            raise InputError("no tile of the picture could be read")
        rows = range(-(-self._picture.height // self._core[0]))
        heights = [min(self._core[0], self._picture.height - row * self._core[0]) for row in rows]
        return np.concatenate([self._band(row, height) for row, height in zip(rows, heights, strict=True)])
