"""Types that streams do not have, and what going there and back costs of a promised error."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from aetool_runtime.compression.batches import as_stream_type
from aetool_runtime.compression.framing.header import DTYPES
from aetool_runtime.errors import InputError, UsageError
from aetool_runtime.specs import Array

__all__ = ["Wanted", "back_to", "largest_magnitude", "narrowed"]

_FLOAT32, _FLOAT16 = 2.0**-24, 2.0**-11  # half a step in the last place, relative


@dataclass(frozen=True)
class Wanted:
    """What is to be kept: exactly one of three; see ``Compressor``.

    Raises:
        UsageError: none of them, or more than one.
    """

    quality: int | None = None
    max_error: float | None = None
    lossless: bool = False

    def __post_init__(self) -> None:
        if (self.quality is not None) + (self.max_error is not None) + self.lossless != 1:
            raise UsageError("what to keep is not clear", expected="one of --quality N, --max-error E and --lossless")
        if self.max_error is not None and not (math.isfinite(self.max_error) and self.max_error >= 0):
            raise UsageError(f"--max-error is {self.max_error}", expected="a finite number, 0 or more")

    @property
    def exact(self) -> bool:
        """Nothing may change."""
        return self.lossless or self.max_error == 0

    def less(self, loss: float, where: str) -> Wanted:
        """What the stream must keep when the file's own type takes up to ``loss`` besides.

        Raises:
            InputError: nothing is left of the promise.
        """
        if not loss or self.max_error is None or self.exact:
            return self
        if loss >= self.max_error:
            raise InputError(
                f"streams hold 32-bit floats, which are up to {loss:.3g} off here",
                where=where,
                expected=f"--max-error above {loss:.3g}",
            )
        return Wanted(max_error=self.max_error - loss)


def largest_magnitude(batches: Iterable[Array]) -> float:
    """Of all finite values."""
    return max((_largest(batch) for batch in batches), default=0.0)


def _largest(batch: Array) -> float:
    finite = batch[np.isfinite(batch)]
    return float(np.abs(finite).max()) if finite.size else 0.0


def loss_of(dtype: np.dtype[np.generic], largest: float, wanted: Wanted) -> float:
    """How far off a type's way through a stream puts values up to a magnitude."""
    error = wanted.max_error or 0.0
    if dtype == np.float64:
        return largest * _FLOAT32
    return (largest + error) * _FLOAT16 if dtype == np.float16 else 0.0


def narrowed(batches: Iterable[Array], wanted: Wanted, where: str) -> Iterator[Array]:
    """Batches in a type that streams have. Only doubles may change, and only where loss was asked for.

    Raises:
        InputError: values that no such type holds.
    """
    for batch in batches:
        if batch.dtype == np.float64 and not wanted.exact:
            with np.errstate(over="ignore"):
                found = batch.astype(np.float32)
            if not np.array_equal(np.isinf(found), np.isinf(batch)):
                raise InputError("holds values beyond 32-bit floats", where=where, hint="scale them")
            yield found
        else:
            try:
                yield as_stream_type(batch)
            except InputError as error:
                raise InputError(error.what, where=where, expected=error.expected, hint=_hint(batch)) from error


def _hint(batch: Array) -> str:
    return "--max-error E bounds what 32-bit floats lose" if batch.dtype == np.float64 else "scale or round them"


def back_to(values: Array, dtype: np.dtype[np.generic]) -> Array:
    """Values of a stream in the type that they had."""
    if values.dtype == dtype:
        return values
    if values.dtype.kind == "f" and dtype.kind in "iu":
        limits = np.iinfo(dtype.name)
        return np.clip(np.rint(values), limits.min, limits.max).astype(dtype)
    if values.dtype.kind in "iu" and dtype.kind == "u" and values.dtype.name in DTYPES:
        return np.maximum(values, 0).astype(dtype)
    return values.astype(dtype)
