"""Pictures as tiles: every size comes back, halos leave no trace, and nothing but a picture is taken for one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aetool_runtime import Compressor, Decompressor
from aetool_runtime.bundle import Bundle
from aetool_runtime.compression.pictures import cut, join
from aetool_runtime.errors import AetoolError, InputError, UsageError

sizes = st.integers(1, 25)


@settings(max_examples=100, deadline=None)
@given(sizes, sizes, st.integers(1, 9), st.integers(1, 9), st.integers(0, 3))
def test_what_is_cut_is_joined(height: int, width: int, tall: int, wide: int, halo: int) -> None:
    pixels = np.arange(height * width * 2).reshape(height, width, 2)
    tile = (tall + 2 * halo, wide + 2 * halo)
    tiles, picture = cut(pixels, tile, halo)
    assert tiles.shape == (-(-height // tall) * -(-width // wide), *tile, 2)
    assert np.array_equal(join(tiles, picture), pixels)


def test_halos_show_the_neighbours_and_edges_go_on() -> None:
    tiles, _ = cut(np.arange(4).reshape(1, 4), (3, 4), 1)
    assert tiles.tolist() == [[[0, 0, 1, 2]] * 3, [[1, 2, 3, 3]] * 3]


@pytest.mark.parametrize("tile", [(16, 12), (8, 8), (64, 64)])
def test_pictures_go_through_streams(free_bundle: Bundle, tile: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    pixels = (100 + 80 * np.sin(np.arange(50 * 37).reshape(50, 37, 1) / 90) + rng.normal(0, 3, (50, 37, 1))).astype(
        "u1"
    )
    with Compressor(free_bundle, max_error=2) as compressor:
        stream = compressor.compress_picture(pixels, tile=tile, halo=2)
    found = Decompressor(free_bundle).decompress_picture(stream)
    assert found.shape == pixels.shape
    assert np.abs(found.astype(int) - pixels).max() <= 2


REFUSED: dict[str, tuple[type[AetoolError], tuple[int, ...], tuple[int, int] | None, int]] = {
    "halos that fill a tile": (UsageError, (9, 9, 1), (4, 4), 2),
    "a negative halo": (UsageError, (9, 9, 1), (4, 4), -1),
    "no tile where the bundle has none": (UsageError, (9, 9, 1), None, 0),
    "a row of pixels": (InputError, (9,), (4, 4), 0),
    "an empty picture": (InputError, (0, 9, 1), (4, 4), 0),
    "three channels where the bundle has one": (InputError, (9, 9, 3), (4, 4), 0),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(free_bundle: Bundle, name: str) -> None:
    kind, shape, tile, halo = REFUSED[name]
    with Compressor(free_bundle, lossless=True) as compressor, pytest.raises(kind):
        compressor.compress_picture(np.zeros(shape, np.uint8), tile=tile, halo=halo)


def test_samples_are_no_picture(free_bundle: Bundle) -> None:
    with Compressor(free_bundle, lossless=True) as compressor:
        stream = compressor.compress(np.zeros((1, 8, 8, 1), np.uint8))
    with pytest.raises(UsageError):
        Decompressor(free_bundle).decompress_picture(stream)
