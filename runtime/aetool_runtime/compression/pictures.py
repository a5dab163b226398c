"""Pictures of any size as tiles of one, and back: a stream's flag 8 (BITSTREAM.md, section 6)."""

from __future__ import annotations

import numpy as np

from aetool_runtime.compression.framing.header import Picture
from aetool_runtime.errors import InputError, UsageError
from aetool_runtime.specs import Array

__all__ = ["cut", "join"]


def cut(pixels: Array, tile: tuple[int, int], halo: int = 0) -> tuple[Array, Picture]:
    """The tiles of a picture, in raster order. What lies outside the picture continues its edges.

    Args:
        pixels: [height, width, …].
        tile: height and width of a tile, halos included.
        halo: how far tiles overlap into each other at each side, so that no seams are seen.

    Returns:
        [tiles, height, width, …], and what a stream's header says of them.

    Raises:
        UsageError: the halos leave nothing of a tile.
        InputError: no picture, or an empty one.
    """
    if halo < 0 or min(tile) <= 2 * halo:
        raise UsageError(f"a halo of {halo} in tiles of {tile[0]}×{tile[1]}", expected="tiles of more than two halos")
    if pixels.ndim < 2 or 0 in pixels.shape:
        raise InputError(f"a picture has shape {list(pixels.shape)}", expected="[height, width, …]")
    height, width = pixels.shape[:2]
    cores = tile[0] - 2 * halo, tile[1] - 2 * halo
    rows, columns = -(-height // cores[0]), -(-width // cores[1])
    # Places, not a padded picture: the last tiles may lie mostly outside.
    down = np.clip(np.arange(rows)[:, None] * cores[0] - halo + np.arange(tile[0]), 0, height - 1)
    across = np.clip(np.arange(columns)[:, None] * cores[1] - halo + np.arange(tile[1]), 0, width - 1)
    tiles = pixels[down[:, None, :, None], across[None, :, None, :]]
    return tiles.reshape(rows * columns, *tile, *pixels.shape[2:]), Picture(height, width, halo)


def join(tiles: Array, picture: Picture) -> Array:
    """The picture [height, width, …] of its tiles; the halos are dropped.

    Args:
        tiles: [tiles, height, width, …], all of them, in raster order.
    """
    halo = picture.halo
    cores = tiles[:, halo : tiles.shape[1] - halo, halo : tiles.shape[2] - halo]
    rows, columns = -(-picture.height // cores.shape[1]), -(-picture.width // cores.shape[2])
    grid = cores.reshape(rows, columns, *cores.shape[1:]).swapaxes(1, 2)
    whole = grid.reshape(rows * cores.shape[1], columns * cores.shape[2], *cores.shape[3:])
    return np.ascontiguousarray(whole[: picture.height, : picture.width])
