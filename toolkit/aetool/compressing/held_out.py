"""Data to measure compression on: samples as the bundle takes them, in the narrowest type that holds them."""

from __future__ import annotations

import math

import numpy as np

from aetool.data import ImageSource, Report, image_size_of, open_source, read_samples
from aetool_runtime.compression.description import Compression
from aetool_runtime.errors import InputError
from aetool_runtime.specs import Array

__all__ = ["in_own_type", "read_held_out"]

_TYPES = ("uint8", "int16", "int32")


def read_held_out(data: str, compression: Compression, most_values: int, report: Report) -> Array:
    """The first samples [n, …], about so many values of them; float32.

    Args:
        data: what ``open_source`` opens.
        report: told what was resized or left out.

    Raises:
        InputError: the data cannot be read or do not fit.
    """
    shape = compression.sample_shape
    source = open_source(data, image_size=None if None in shape else image_size_of(shape))
    if isinstance(source, ImageSource) and source.notice:
        report(source.notice)
    if None not in shape:
        sizes = [size or 0 for size in shape]
        return read_samples(source, sizes, limit=max(1, most_values // math.prod(sizes)), report=report)
    row = [size or 0 for size in source.shape[1:]]
    if len(row) != len(shape) or any(want not in (None, size) for want, size in zip(shape, row, strict=True)):
        raise InputError(f"samples have shape {row}", where=data, expected=f"{list(shape)}, where null is any size")
    samples = read_samples(source, row, limit=max(1, most_values // math.prod(row)), report=report)
    sizes = [_cropped(compression, place, size) for place, size in enumerate(row)]
    if sizes != row:
        report(f"samples {row} are cropped to {sizes}, as the codecs need")
    return samples[(slice(None), *map(slice, sizes))]


def _cropped(compression: Compression, place: int, size: int) -> int:
    if compression.sample_shape[place] is not None:
        return size
    factor = math.lcm(*(codec.downsampling[place] for codec in compression.codecs if codec.downsampling), 1)
    if size < factor:
        raise InputError(f"samples have a size of {size}", expected=f"{factor} or more")
    return size // factor * factor


def in_own_type(samples: Array) -> Array:
    """As integers, where all are."""
    if not np.array_equal(samples, np.rint(samples)):
        return samples
    low, high = samples.min(), samples.max()
    kinds = (kind for kind in _TYPES if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max)
    return samples.astype(next(kinds, "float32"))
