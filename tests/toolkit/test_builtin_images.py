"""Built-in images: sizes, ranges, and that no two patches share a pixel."""

from __future__ import annotations

import numpy as np
import pytest

from aetool.data import open_source


@pytest.mark.parametrize(("name", "side"), [("builtin:digits", 28), ("builtin:digits32", 32)])
def test_digits(name: str, side: int) -> None:
    digits = open_source(name).array()
    assert digits.shape == (1797, side, side, 1)
    assert (digits.dtype, digits.min(), digits.max()) == (np.float32, 0, 255)


def test_photo_patches_are_the_photos_cut_side_by_side() -> None:
    photos = pytest.importorskip("sklearn.datasets").load_sample_images().images
    patches = open_source("builtin:photos").array()
    assert (patches.shape, patches.dtype) == ((520, 32, 32, 3), np.float32)
    assert 0 <= patches.min() < 10 < 245 < patches.max() <= 255
    for index, patch in enumerate(patches):  # 13 rows of 20 in each photo
        photo, (row, column) = photos[index // 260], divmod(index % 260, 20)
        np.testing.assert_array_equal(patch, photo[row * 32 : row * 32 + 32, column * 32 : column * 32 + 32])
