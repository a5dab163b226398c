"""How the rows of a source become samples. Every rule is a reshape in C order of whole rows:

========================  ====================  =============================================
a row                     a sample              rule
========================  ====================  =============================================
``(28, 28, 1)``           ``(28, 28, 1)``       as it is
``(784,)``, ``(28, 28)``  ``(28, 28, 1)``       one of the two is flat, or lacks the last 1
``(28, 28, 1)``           ``(784,)``            the same, the other way round
``(2,)``                  ``(256, 2)``          a recording: 256 rows make one window
``()``                    ``(256, 1)``          a recording of one channel
========================  ====================  =============================================
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from aetool_runtime.errors import InputError
from aetool_runtime.specs import Array

__all__ = ["Dtype", "Layout", "resolve_sample_shape"]

Dtype: TypeAlias = Literal["float32", "int32"]


@dataclass(frozen=True)
class Layout:
    """Whole rows → samples.

    Args:
        sample_shape: the shape of one sample, without the batch dimension.
        window: rows per sample; 1 where each row is a sample, more for the windows of a recording.
        dtype: of samples: float32, or int32 for token ids.
    """

    sample_shape: tuple[int, ...]
    window: int = 1
    dtype: Dtype = "float32"

    @classmethod
    def fit(cls, row_shape: Sequence[int], sample_shape: Sequence[int], where: str = "") -> Layout:
        """Find the rule that turns rows into samples.

        Raises:
            InputError: there is none; names both shapes.
        """
        row, sample = tuple(row_shape), tuple(sample_shape)
        if _same_values(row, sample):
            return cls(sample)
        if len(row) < 2 and len(sample) > 1 and sample[1:] in (row, (*row, 1)):
            return cls(sample, sample[0])
        if row == () and len(sample) == 1:
            return cls(sample, sample[0])
        raise InputError(
            f"rows of shape {list(row)} do not make samples of shape {list(sample)}",
            where=where,
            expected=f"rows of shape {list(sample)}, {_others(sample)}",
        )

    @property
    def is_recording(self) -> bool:
        """Rows are the time steps of one recording."""
        return self.window > 1

    def count(self, rows: int) -> int:
        """How many samples ``rows`` rows hold; a remainder that fills no window does not count."""
        return rows // self.window

    def samples(self, rows: Array) -> Array:
        """[rows, …] → [rows / window, *sample_shape] of ``dtype``; ``rows`` must be a multiple of ``window``."""
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite, which is refused by name later
            return np.asarray(rows, self.dtype).reshape(-1, *self.sample_shape)


def _same_values(row: tuple[int, ...], sample: tuple[int, ...]) -> bool:
    """The same values in the same order: equal shapes, one of them flat, or one lacking the last 1."""
    if math.prod(row) != math.prod(sample):
        return False
    return len(row) == 1 or len(sample) == 1 or _without_channel(row) == _without_channel(sample)


def _without_channel(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[:-1] if shape and shape[-1] == 1 else shape


def _others(sample: tuple[int, ...]) -> str:
    flat = f"[{math.prod(sample)}]"
    recording = f", or one recording with rows of shape {list(sample[1:])}" if len(sample) < 3 else ""
    return f"{flat}{recording}" if len(sample) > 1 else f"any shape of {sample[0]} values"


def resolve_sample_shape(wanted: Sequence[int], row_shape: Sequence[int], where: str = "") -> tuple[int, ...]:
    """Fill in what the configuration leaves to the data.

    ``()`` takes the shape of a row; ``-1`` as the only size takes all values of a row, flat; ``-1`` elsewhere takes
    the row's size at that place, counted from the end: ``(256, -1)`` are windows with the recording's channels.

    Raises:
        InputError: the data does not say what is missing.
    """
    row, shape = tuple(row_shape), tuple(wanted)
    if not shape:
        shape = row
    elif shape == (-1,):
        shape = (math.prod(row),)
    sizes = [_size(size, row, place - len(shape)) for place, size in enumerate(shape)]
    if not sizes or None in sizes:
        raise InputError(
            f"sample_shape {list(wanted)} cannot be filled in from rows of shape {list(row)}",
            where=where,
            hint="write all sizes of [data] sample_shape, such as [256, 2] for windows of a two-channel recording",
        )
    return tuple(size for size in sizes if size is not None)


def _size(size: int, row: tuple[int, ...], place: int) -> int | None:
    if size != -1:
        return size
    if not row and place == -1:
        return 1  # a recording of one channel, stored without a channel axis
    return row[place] if -place <= len(row) else None
