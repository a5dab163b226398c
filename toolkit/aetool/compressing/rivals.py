"""What others make of the same samples: coders of bytes, arrays, sound and pictures, where they are installed.

Lossless ones are given the samples in uniform steps (pulse-code modulation), bounded ones a bound, those of pictures
one sample at a time, as a file. Every byte that they write counts.
"""

from __future__ import annotations

import importlib
import io
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aetool.compressing.curves import Curve, Point, point
from aetool_runtime.specs import Array

__all__ = ["RIVALS", "Rival", "rival_curves"]

_QUALITIES = (10, 20, 35, 50, 65, 80, 90)
_DISTANCES = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
Measure = Callable[[Array, Sequence[float], Any], list[Point]]


@dataclass(frozen=True)
class Rival:
    """A coder.

    Args:
        name: as people call it.
        package: what brings it; "" for the standard library.
        measure: its points for samples, root mean square errors to aim at, and the package.
        fits: whether it is for such samples.
    """

    name: str
    package: str
    measure: Measure
    fits: Callable[[Array], bool]


def rival_curves(
    samples: Array, errors: Sequence[float], on_done: Callable[[int], None]
) -> tuple[list[Curve], dict[str, str]]:
    """The curves of all that fit the samples and are here, and those that are not: name → why.

    Args:
        samples: [n, …].
        errors: root mean square errors to aim at, raw units, where a coder can be told.
    """
    curves, missing = [], {}
    for rival in RIVALS:
        if not rival.fits(samples):
            missing[rival.name] = "not for such samples"
        elif (library := _library(rival.package)) is None:
            missing[rival.name] = f"{rival.package} is not installed"
        else:
            try:
                points = rival.measure(samples, errors, library)
                curves.append(Curve(rival.name, tuple(sorted(points, key=lambda one: -one.rmse))))
            except Exception as error:  # a stranger's library on data that it may not take
                missing[rival.name] = f"{type(error).__name__}: {error}"
        on_done(1)
    return curves, missing


def _library(package: str) -> Any:
    if not package:
        return zlib
    try:
        return importlib.import_module(package)
    except ImportError:
        return None


# --- uniform steps, then a lossless coder ---


def _stepped(samples: Array, error: float) -> tuple[Array, float]:
    """Multiples of the step whose rounding error is so large, as the narrowest integers, and the step."""
    step = error * 12**0.5
    if samples.dtype.kind != "f" and step <= 1:
        return samples, 1.0
    numbers = np.rint(samples / step)
    for kind in ("int8", "int16", "int32"):
        if np.abs(numbers).max(initial=0) <= np.iinfo(kind).max:
            return numbers.astype(kind), step
    raise ValueError("steps beyond 32 bits")


def _pcm(encode: Callable[[Array, Any], bytes]) -> Measure:
    def measure(samples: Array, errors: Sequence[float], library: Any) -> list[Point]:
        points = [point("lossless", len(encode(samples, library)), samples, samples)]
        for error in errors:
            numbers, step = _stepped(samples, error)
            if step != 1.0:
                size = len(encode(numbers, library))
                points.append(point(f"step {step:.4g}", size, samples, numbers.astype(np.float64) * step))
        return points

    return measure


def _zlib(numbers: Array, library: Any) -> bytes:
    return bytes(library.compress(numbers.tobytes(), 9))


def _zstd(numbers: Array, library: Any) -> bytes:
    return bytes(library.Codec("zstd", compression_level=19).compress(numbers.tobytes(), asbytes=True))


def _flac(numbers: Array, library: Any) -> bytes:
    """Windows one after the other, the last size as channels."""
    if numbers.dtype.kind == "f" or numbers.dtype.itemsize > 2:
        raise ValueError("not for 16 bits")
    file = io.BytesIO()
    frames = numbers.reshape(-1, _flac_channels(numbers)).astype(np.int16)
    library.write(file, frames, 44_100, format="FLAC", subtype="PCM_16", compression_level=1.0)
    return file.getvalue()


def _flac_channels(samples: Array) -> int:
    return samples.shape[-1] if samples.ndim == 3 and samples.shape[-1] <= 8 else 1


# --- coders of arrays, within a bound ---


def _bounded(encode: Callable[[Array, float, Any], tuple[int, Array]]) -> Measure:
    def measure(samples: Array, errors: Sequence[float], library: Any) -> list[Point]:
        values = np.ascontiguousarray(_three(samples), np.float32)
        points = []
        for error in errors:
            bound = error * 3**0.5  # of a uniform error
            size, restored = encode(values, bound, library)
            points.append(point(f"bound {bound:.4g}", size, samples, restored.reshape(samples.shape)))
        return points

    return measure


def _three(samples: Array) -> Array:
    """At most three dimensions: windows in a row, as one recording."""
    if samples.ndim == 3:
        return samples.reshape(-1, samples.shape[-1])
    return samples.reshape(len(samples), -1, samples.shape[-1]) if samples.ndim > 3 else samples


def _sz3(values: Array, bound: float, library: Any) -> tuple[int, Array]:
    data = library.sz3_encode(values, mode="abs", abs=bound)
    return len(data), np.asarray(library.sz3_decode(data, values.shape, values.dtype))


def _zfp(values: Array, bound: float, library: Any) -> tuple[int, Array]:
    data = library.zfp_encode(values, level=bound, mode="a")
    return len(data), np.asarray(library.zfp_decode(data))


# --- pictures, one by one ---


def _is_picture(samples: Array) -> bool:
    return (
        samples.ndim == 4 and samples.shape[3] in (1, 3) and samples.dtype == np.uint8 and min(samples.shape[1:3]) > 7
    )


def _pictures(
    settings: Sequence[float], label: str, encode: Callable[[Array, float, Any], tuple[int, Array]]
) -> Measure:
    def measure(samples: Array, errors: Sequence[float], library: Any) -> list[Point]:
        points = []
        for setting in settings:
            size, restored = 0, np.empty_like(samples)
            for place, picture in enumerate(samples):
                plain = picture[..., 0] if picture.shape[-1] == 1 else picture
                taken, back = encode(np.ascontiguousarray(plain), setting, library)
                size += taken
                restored[place] = back.reshape(picture.shape)
            points.append(point(f"{label} {setting:g}", size, samples, restored))
        return points

    return measure


def _pillow(kind: str, **options: Any) -> Callable[[Array, float, Any], tuple[int, Array]]:
    def encode(picture: Array, quality: float, library: Any) -> tuple[int, Array]:
        file = io.BytesIO()
        library.fromarray(picture).save(file, format=kind, quality=int(quality), **options)
        with library.open(io.BytesIO(file.getvalue())) as image:
            return len(file.getvalue()), np.asarray(image.convert("L" if picture.ndim == 2 else "RGB"))

    return encode


def _jpegxl(picture: Array, distance: float, library: Any) -> tuple[int, Array]:
    data = library.jpegxl_encode(picture, distance=distance)
    return len(data), np.asarray(library.jpegxl_decode(data))


def _any(samples: Array) -> bool:
    return True


def _is_sound(samples: Array) -> bool:
    return samples.ndim in (2, 3) and samples.dtype.itemsize <= 2


RIVALS = (
    Rival("zlib", "", _pcm(_zlib), _any),
    Rival("zstd -19", "pyarrow", _pcm(_zstd), _any),
    Rival("FLAC", "soundfile", _pcm(_flac), _is_sound),
    Rival("SZ3", "imagecodecs", _bounded(_sz3), _any),
    Rival("ZFP", "imagecodecs", _bounded(_zfp), _any),
    Rival("JPEG", "PIL.Image", _pictures(_QUALITIES, "quality", _pillow("JPEG", optimize=True)), _is_picture),
    Rival("WebP", "PIL.Image", _pictures(_QUALITIES, "quality", _pillow("WEBP", method=6)), _is_picture),
    Rival("AVIF", "PIL.Image", _pictures(_QUALITIES, "quality", _pillow("AVIF", speed=6)), _is_picture),
    Rival("JPEG XL", "imagecodecs", _pictures(_DISTANCES, "distance", _jpegxl), _is_picture),
)
