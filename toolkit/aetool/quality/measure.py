"""Runs data through a bundle once: the error of the whole stream, and samples to look at more closely."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aetool.spread import EvenSpread
from aetool_runtime import Autoencoder
from aetool_runtime.errors import InputError
from aetool_runtime.specs import Array

__all__ = ["Measured", "measure"]

_MOST = 5000


@dataclass(frozen=True)
class Measured:
    """A bundle on data.

    Args:
        samples: how many there were.
        mse: mean squared error of the reconstruction over all values, raw units; ``None`` where it cannot be compared.
        psnr: 10 · log10(peak² / mse) in dB; ``None`` without ``mse``, and where there is no error at all.
        accuracy: of tokens: the share for which the most probable one is the right one; ``None`` for other data.
        peak: the range of the training data, as the bundle tells it, or else of these data.
        kept: the places of the samples below, evenly spread, at most 5000.
        inputs: these samples, flat: [kept, values].
        latents: and their latents, in their own shape: [kept, …].
    """

    samples: int
    mse: float | None
    psnr: float | None
    accuracy: float | None
    peak: float
    kept: NDArray[np.int64] = field(repr=False)
    inputs: Array = field(repr=False)
    latents: Array = field(repr=False)


def measure(model: Autoencoder, batches: Iterable[Array], on_batch: Callable[[int], None]) -> Measured:
    """Encode, decode where input and reconstruction can be compared, and compare.

    Args:
        batches: raw samples, [n, …].
        on_batch: told the number of samples of each batch that is done.

    Raises:
        InputError: there were no samples, or a latent that is not finite.
    """
    error, spread, seen = _Error(model), EvenSpread(_MOST), _Range()
    for batch in batches:
        latents = model.encode(batch)
        if not np.isfinite(latents).all():
            raise InputError(
                f"a latent of samples {spread.seen} to {spread.seen + len(batch) - 1} is not finite",
                hint="look for extreme values in these samples",
            )
        error.add(batch, latents)
        seen.add(batch)
        spread.add(batch.reshape(len(batch), -1), latents)
        on_batch(len(batch))
    if not spread.seen:
        raise InputError("there is nothing to evaluate: the data hold no samples")
    peak = _told_range(model) or seen.width
    inputs, kept = spread.arrays()
    mse, accuracy = error.mean("squares"), error.mean("hits")
    return Measured(spread.seen, mse, _psnr(mse, peak), accuracy, peak, spread.indices, inputs, kept)


class _Error:
    """Squared errors of a stream, or, of tokens, hits."""

    def __init__(self, model: Autoencoder) -> None:
        given, returned = model.tensor("input"), model.bundle.manifest.tensor("reconstruction")
        self._decode, self._kind = model.decode, ""
        if returned is not None and returned.sample_shape == given.sample_shape:
            self._kind = "squares"
        elif returned is not None and returned.sample_shape[:-1] == given.sample_shape and given.dtype[:3] == "int":
            self._kind = "hits"
        self._sum, self._values = 0.0, 0

    def add(self, batch: Array, latents: Array) -> None:
        if not self._kind:
            return
        restored = self._decode(latents)
        if self._kind == "squares":
            self._sum += float(np.square(np.asarray(restored, np.float64) - batch).sum())
        else:
            self._sum += int((restored.argmax(axis=-1) == batch).sum())
        self._values += batch.size

    def mean(self, kind: str) -> float | None:
        return self._sum / self._values if kind == self._kind and self._values else None


class _Range:
    """The least and the greatest value of a stream."""

    def __init__(self) -> None:
        self._least, self._greatest = math.inf, -math.inf

    def add(self, batch: Array) -> None:
        self._least = min(self._least, float(batch.min()))
        self._greatest = max(self._greatest, float(batch.max()))

    @property
    def width(self) -> float:
        return self._greatest - self._least


def _told_range(model: Autoencoder) -> float:
    """The range that the bundle tells; 0 where it tells none."""
    manifest = model.bundle.manifest
    return max(manifest.input_maximum, default=0.0) - min(manifest.input_minimum, default=0.0)


def _psnr(mse: float | None, peak: float) -> float | None:
    return 10 * math.log10(peak**2 / mse) if mse and peak else None
