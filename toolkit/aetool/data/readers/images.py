"""A folder of PNG and JPEG images: sorted by name, of one size, grey or RGB, float32 grey levels 0 to 255."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aetool.data.packages import import_package
from aetool_runtime.errors import InputError
from aetool_runtime.specs import Array

__all__ = ["ImageSource", "image_size_of", "open_images"]

_SUFFIXES = (".png", ".jpg", ".jpeg")
_GREY = ("1", "L")
_COLOUR = ("RGB", "P")


def image_size_of(sample_shape: Sequence[int | None]) -> tuple[int, int] | None:
    """Height and width of what a model takes; ``None`` unless that is an image of a fixed size, grey or RGB."""
    if len(sample_shape) != 3 or None in sample_shape or sample_shape[2] not in (1, 3):
        return None
    return sample_shape[0] or 0, sample_shape[1] or 0


def open_images(folder: Path, size: tuple[int, int] | None = None) -> ImageSource:
    """List the folder and look at the first image: it decides size and channels for all.

    Args:
        folder: files that are not PNG or JPEG by name are passed over; subfolders are not entered.
        size: height and width to resize to (bilinear); ``None`` wants all images of the first one's size.

    Raises:
        InputError: no image there, or the first one cannot be read.
        DependencyError: Pillow is not installed.
    """
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES and path.name[0] != ".")
    if not paths:
        raise InputError("holds no image", where=str(folder), expected="files ending in .png, .jpg or .jpeg")
    with _Opened(paths[0]) as first:
        found = first.height, first.width
        channels = 1 if first.mode in _GREY else 3
    return ImageSource(str(folder), (len(paths), *(size or found), channels), size is not None, found, tuple(paths))


@dataclass(frozen=True)
class ImageSource:
    """A folder of images.

    Args:
        name: of the folder.
        shape: images, height, width, channels: as they are read.
        resize: to that height and width, whatever an image has.
        found: height and width of the first image's file.
        paths: of the images, in order.
    """

    name: str
    shape: tuple[int, int, int, int]
    resize: bool
    found: tuple[int, int]
    paths: tuple[Path, ...] = field(repr=False)

    @property
    def notice(self) -> str:
        """What a user who did not ask for a size should know, or nothing."""
        (height, width), (_, new_height, new_width, _) = self.found, self.shape
        if (height, width) == (new_height, new_width):
            return ""
        return (
            f"images of {height}×{width} (height × width) are resized to {new_height}×{new_width}, as the model wants"
        )

    def batches(self, rows: int, start: int = 0) -> Iterator[Array]:
        for at in range(start, len(self.paths), rows):
            yield np.stack([self._read(path) for path in self.paths[at : at + rows]])

    def array(self) -> Array:
        """All images in memory, float32."""
        result = np.empty(self.shape, np.float32)
        for index, path in enumerate(self.paths):
            result[index] = self._read(path)
        return result

    def _read(self, path: Path) -> NDArray[np.float32]:
        _, height, width, channels = self.shape
        with _Opened(path) as image:
            if channels == 1 and image.mode not in _GREY:
                raise InputError("is in colour", where=str(path), expected=f"grey like {self.paths[0].name}")
            pixels = image.convert("L" if channels == 1 else "RGB")
        if self.resize:
            pixels = pixels.resize((width, height), import_package("PIL.Image", extra="data").Resampling.BILINEAR)
        if (pixels.height, pixels.width) != (height, width):
            raise InputError(
                f"is {pixels.height}×{pixels.width} (height × width)",
                where=str(path),
                expected=f"{height}×{width} like {self.paths[0].name}",
                hint="set [data] image_size = [height, width] to resize all images",
            )
        return np.asarray(pixels, np.float32).reshape(height, width, channels)


class _Opened:
    """An open image whose failures are ours."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Any:
        library = import_package("PIL.Image", extra="data")
        try:
            self._image = library.open(self._path)
            self._image.load()
        except (OSError, SyntaxError, ValueError, library.DecompressionBombError) as error:
            raise InputError(f"cannot be read as an image ({error})", where=str(self._path)) from error
        if self._image.mode not in _GREY + _COLOUR:
            raise InputError(
                f"has the pixel format {self._image.mode}", where=str(self._path), expected="8-bit grey or RGB"
            )
        return self._image

    def __exit__(self, *exception: object) -> None:
        self._image.close()
