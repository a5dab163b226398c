"""Pictures: tiles of grey levels or colours; alpha and palette travel beside them, without loss."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from aetool.compressing.content import Content
from aetool.compressing.form import Form
from aetool.compressing.numbers import Wanted
from aetool.compressing.tiles import cut, tile_shape
from aetool.data.packages import import_package
from aetool_runtime.compression.description import Compression
from aetool_runtime.compression.framing.header import Picture
from aetool_runtime.errors import InputError
from aetool_runtime.specs import Array, format_shape

__all__ = ["PICTURES", "picture_content", "write_picture"]

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
_INDEXED = ("1", "P")  # a value of these is none, but a choice
_ORIENTATION = 0x0112  # Exif


def picture_content(path: Path, compression: Compression, wanted: Wanted, halo: int | None) -> Content:
    """One picture, whole where the bundle's sizes are free, else as tiles.

    Grey ones fill all three channels of a bundle for colours; colours go one plane below the other through a bundle
    for grey ones.

    Raises:
        InputError: broken, a pixel format that is not known, or a bundle that takes no pictures.
        DependencyError: Pillow is not installed.
    """
    channels = _channels(compression, str(path))
    with _opened(path) as image:
        form, pixels = _parts(image, path)
    planes = pixels.shape[2]
    values = _stacked(pixels, channels)
    tile, margin = tile_shape(compression, values, halo, str(path))
    picture = Picture(values.shape[0], values.shape[1], margin)
    members = {**form.members, **({"planes": planes} if planes > channels else {})}
    kept = wanted if form.members["mode"] not in _INDEXED or wanted.quality is not None else Wanted(lossless=True)
    return Content(
        str(path), lambda: cut(values, tile, margin), Form("picture", members, form.blob), kept, False, picture,
        value_bytes=planes / min(planes, channels) / max(1, channels // planes) * values.itemsize,
    )  # fmt: skip


def _channels(compression: Compression, where: str) -> int:
    shape = compression.sample_shape
    if len(shape) != 3 or shape[2] not in (1, 3):
        raise InputError(
            "is a picture",
            where=where,
            expected=f"samples {format_shape((None, *shape))}, as the bundle takes",
            hint="a bundle for pictures, [height, width, 1 or 3]",
        )
    return shape[2]


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    library = import_package("PIL.Image", extra="data")
    try:
        with library.open(path) as image:
            image.load()
            if image.mode not in _MODES or getattr(image, "n_frames", 1) > 1:
                several = getattr(image, "n_frames", 1) > 1
                raise InputError(
                    "holds several pictures" if several else f"has the pixel format {image.mode}",
                    where=str(path),
                    expected=f"one picture, {', '.join(_MODES)}",
                )
            yield image
    except (OSError, SyntaxError, ValueError, library.DecompressionBombError) as error:
        raise InputError(f"cannot be read as an image ({error})", where=str(path)) from error


def _parts(image: Any, path: Path) -> tuple[Form, Array]:
    """What travels beside the pixels, and these, [height, width, channels]."""
    members: dict[str, Any] = {"mode": image.mode}
    if (turned := image.getexif().get(_ORIENTATION, 1)) != 1:
        members["orientation"] = int(turned)
    blob = b""
    if image.mode == "P":
        palette = image.palette
        members |= {"palette": palette.mode, "colors": len(palette.tobytes()) // len(palette.mode)}
        blob = palette.tobytes()
    if (clear := image.info.get("transparency")) is not None:
        members["transparency"] = list(clear) if isinstance(clear, bytes | tuple) else clear
        members["clear"] = type(clear).__name__
    if image.mode in ("LA", "RGBA"):
        blob = _packed(np.asarray(image.getchannel("A")))
    plain = {"1": "L", "LA": "L", "RGBA": "RGB"}.get(image.mode)
    if image.mode == "P":
        pixels = _palette(members, blob)[np.asarray(image)]
    else:
        pixels = np.asarray(image.convert(plain) if plain else image)
    return Form("picture", members, blob), pixels.reshape(image.height, image.width, -1)


def _palette(members: dict[str, Any], blob: bytes) -> Array:
    """Colours [256, 3]."""
    colors = np.frombuffer(blob, np.uint8).reshape(-1, len(members["palette"]))[:, :3]
    return np.concatenate([colors, np.zeros((256 - len(colors), 3), np.uint8)])[:256]


def _stacked(pixels: Array, channels: int) -> Array:
    planes = pixels.shape[2]
    if planes < channels:
        return np.repeat(pixels, channels, axis=2)
    return pixels if planes == channels else np.concatenate(np.split(pixels, planes, axis=2))


def _packed(alpha: Array) -> bytes:
    """Without loss: what each row adds to the one above, deflated, or the values themselves where that is less."""
    plain = b"\0" + zlib.compress(alpha.tobytes(), 9)
    steps = b"\1" + zlib.compress(np.diff(alpha, axis=0, prepend=np.zeros_like(alpha[:1])).tobytes(), 9)
    return min(plain, steps, key=len)


def _unpacked(blob: bytes, height: int, width: int) -> Array:
    unzip = zlib.decompressobj()
    data = unzip.decompress(blob[1:], height * width + 1)
    if len(data) != height * width:
        raise ValueError("alpha of another size")
    alpha = np.frombuffer(data, np.uint8).reshape(height, width)
    return np.cumsum(alpha, axis=0, dtype=np.uint8) if blob[0] else alpha


# --- back ---


def write_picture(values: Array, form: Form, file: BinaryIO, kind: str) -> tuple[int, ...]:
    """Write a picture of the mode that it had; its shape.

    Args:
        values: [height, width, channels], as the stream's tiles made them.
        kind: PNG, TIFF or BMP.
    """
    library = import_package("PIL.Image", extra="data")
    members, mode = form.members, form.members["mode"]
    planes = int(members.get("planes", 0))
    pixels = np.concatenate(np.split(values, planes), axis=2) if planes else values
    image = _image(library, pixels, mode, form)
    extra: dict[str, Any] = {}
    if "transparency" in members:
        clear = members["transparency"]
        extra["transparency"] = {"bytes": bytes, "tuple": tuple}.get(members["clear"], int)(clear)
    if "orientation" in members:
        exif = library.Exif()
        exif[_ORIENTATION] = int(members["orientation"])
        extra["exif"] = exif
    image.save(file, format=kind, **extra)
    return (*pixels.shape[:2], len(image.getbands()))


def _image(library: Any, pixels: Array, mode: str, form: Form) -> Any:
    grey = np.ascontiguousarray(pixels[..., min(1, pixels.shape[2] - 1)])
    if mode in ("L", "LA", "I;16"):
        image = library.fromarray(grey)
    elif mode == "1":
        image = library.fromarray(grey >= 128)
    elif mode == "P":
        return _indexed(library, pixels, form)
    else:
        image = library.fromarray(np.ascontiguousarray(pixels), "RGB")
    if mode in ("LA", "RGBA"):
        image.putalpha(library.fromarray(_unpacked(form.blob, *grey.shape)))
    return image


def _indexed(library: Any, pixels: Array, form: Form) -> Any:
    """The nearest colour of the palette for each pixel: without loss, its own."""
    colors = _palette(dict(form.members), form.blob)[: int(form.members["colors"])]
    found, places = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True)
    nearest = np.empty(len(found), np.uint8)
    for start in range(0, len(found), 4096):
        gaps = np.abs(found[start : start + 4096, None].astype(np.int16) - colors[None]).max(axis=2)
        nearest[start : start + 4096] = gaps.argmin(axis=1)
    image = library.fromarray(nearest[places.reshape(-1)].reshape(pixels.shape[:2]), "L")
    image.putpalette(form.blob, form.members["palette"])
    return image
