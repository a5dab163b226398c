"""A codec on trial: what it makes of training and held-out samples, at any step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from aetool_exporters.compression.nodes import Floats
from aetool_runtime.compression.codecs import CodecRunner
from aetool_runtime.compression.description import Codec, Compression, Quality
from aetool_runtime.compression.entropy.coding import Coder
from aetool_runtime.specs import Array

__all__ = ["Fold", "Subject", "entropy"]

_SUBSET = 1 << 19  # values that distortion is measured on while qualities are chosen
_RATED = 1 << 21  # values of latents that bits are counted on
_SPAN = 1 << 11  # symbols beyond it count as one


@dataclass(frozen=True, eq=False)
class Fold:
    """Raw samples [n, …] and their latents [n, …], as the encoder makes them that will be used."""

    samples: Array
    latents: Floats

    def subset(self, values: int) -> Fold:
        """Samples spread over all, with about so many values."""
        stride = max(1, self.samples.size // values)
        return Fold(self.samples[::stride], self.latents[::stride])


@dataclass(frozen=True, eq=False)
class Subject:
    """A codec without qualities, and what it is tried on.

    Args:
        codec: its ``unit``, ``center`` and ``steps``.
        compression: what all codecs of the bundle have in common.
        scale: per channel of the samples: raw units that count as one, so that channels are weighed against each other.
        base: [C]: each channel's step, in units of the decoder's input, at the factor 1.
        training, held_out: see ``Fold``.
    """

    codec: Codec
    compression: Compression
    scale: Floats
    base: Floats
    training: Fold
    held_out: Fold

    @cached_property
    def runner(self) -> CodecRunner:
        """What runs it."""
        return CodecRunner(self.codec, self.compression)

    @cached_property
    def variance(self) -> float:
        """Of the training samples about their mean, in units of ``scale``: what a codec of no bits at all loses."""
        samples = self._some.samples
        return float(np.mean(((samples - samples.mean(axis=0)) / self.scale) ** 2))

    @cached_property
    def _some(self) -> Fold:
        return self.training.subset(_SUBSET)

    def quality(self, factor: float, rounding: float = 0.5) -> Quality:
        """Steps of ``base`` times the factor."""
        step = np.clip(np.rint(self.base * factor), 1, 65_535).astype(np.int32)
        return Quality(step, rounding, 0)

    def symbols(self, quality: Quality) -> NDArray[np.int32]:
        """Of the training samples."""
        return self.runner.symbols(self.training.latents, quality)

    def distortion(self, quality: Quality) -> float:
        """Mean squared error of training samples in units of ``scale``."""
        return self._error(self._some, quality, self.scale)

    def rate(self, quality: Quality) -> float:
        """Bits for each value of a sample, by the symbols' own frequencies in each channel."""
        latents = self.training.latents[:: max(1, self.training.latents.size // _RATED)]
        values = len(latents) * int(self.training.samples[0].size)
        return entropy(self.runner.symbols(latents, quality)) / values

    def measured(self, quality: Quality, coder: Coder) -> Quality:
        """With the root mean square error and the bits that held-out samples came to."""
        symbols = self.runner.symbols(self.held_out.latents, quality)
        rmse = float(np.sqrt(self._error(self.held_out, quality, np.ones(1))))
        bits = coder.bits(symbols, quality.model) / self.held_out.samples.size
        return replace(quality, rmse=float(f"{rmse:.6g}"), bits=float(f"{bits:.6g}"))

    def _error(self, fold: Fold, quality: Quality, scale: Floats) -> float:
        output = self.runner.output(self.runner.symbols(fold.latents, quality), quality)
        restored = output * self.compression.output_unit
        return float(np.mean(((restored - fold.samples) / scale) ** 2))


def entropy(symbols: NDArray[np.int32]) -> float:
    """Bits of all symbols [..., C], each channel by its own frequencies."""
    channels = symbols.shape[-1]
    flat = np.clip(symbols.reshape(-1, channels), -_SPAN, _SPAN - 1) + _SPAN
    counts = np.bincount((flat + 2 * _SPAN * np.arange(channels)).ravel(), minlength=2 * _SPAN * channels)
    seen = counts[counts > 0].astype(np.float64)
    return float(flat.size * np.log2(max(1, len(flat))) - (seen * np.log2(seen)).sum())
