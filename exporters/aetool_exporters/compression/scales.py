"""What all codecs of a bundle have in common: samples, units, how fine an output may be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aetool_exporters.compression.nodes import Floats
from aetool_exporters.compression.precisions import Precision
from aetool_exporters.reference import Reference
from aetool_runtime.compression.description import Compression
from aetool_runtime.specs import Array

__all__ = ["Setting", "setting_of"]

_FINEST = 0.03  # of the standard deviation: root mean square error of the finest quality
_ROUNDED = 0.29  # root mean square of what rounding to integers loses: finer than that is of no use to them
_PARTS = 8  # of the finest error, that an output's unit is at most
_INTEGER_PARTS = 16  # of one raw unit, where raw values are integers
_LARGEST = 1 << 30
_MAX_SHIFT, _MAX_EXPONENT = 40, 20


@dataclass(frozen=True, eq=False)
class Setting:
    """Args:
    shape: of a sample; ``None`` for a free size.
    training, held_out: raw samples.
    scale: per channel, raw units that count as one: the normalization's.
    finest: root mean square error of the finest quality, in units of ``scale``.
    output: of all decoders.
    """

    shape: tuple[int | None, ...]
    training: Array
    held_out: Array
    scale: Floats
    finest: float
    output: Precision

    @property
    def compression(self) -> Compression:
        """Without codecs, tables and models."""
        exponent = round(math.log2(self.output.unit))
        multiplier, shift = (1 << exponent, 0) if exponent > 0 else (1, min(_MAX_SHIFT, -exponent))
        return Compression(self.shape, self.output.unit, multiplier, shift, (), (), 0, ())


def setting_of(reference: Reference, shape: tuple[int | None, ...], training: Array, held_out: Array) -> Setting:
    """Units by the data: an output's is a power of two, so that rounding to integers is a shift."""
    scale = _scale(reference, training)
    deviation = float(np.sqrt(np.mean(((training - _mean(training)) / scale) ** 2))) or 1.0
    integers = bool(np.all(training == np.rint(training)))
    smallest = float(scale.min())
    finest = max(_FINEST * deviation, _ROUNDED / smallest if integers else 0.0)
    unit = finest * smallest / _PARTS
    if integers:
        unit = min(unit, 1 / _INTEGER_PARTS)
    extent = 2 * max(float(np.abs(training).max()), float(np.abs(held_out).max())) + 4 * deviation * float(scale.max())
    unit = 2.0 ** min(_MAX_EXPONENT, math.floor(math.log2(max(unit, extent / _LARGEST))))
    while extent / unit > _LARGEST:
        unit *= 2
    limit = math.ceil(extent / unit)
    return Setting(shape, training, held_out, scale, finest, Precision(unit, (-limit, limit)))


def _scale(reference: Reference, training: Array) -> Floats:
    """The normalization's, per channel or one for all; of raw models the standard deviation."""
    normalization = reference.normalization
    if normalization.is_identity:
        return np.array([float(training.std(dtype=np.float64)) or 1.0])
    return np.abs(np.array(normalization.scale, np.float64))


def _mean(samples: Array) -> Array:
    axes: Sequence[int] = tuple(range(samples.ndim - 1))
    return np.asarray(samples.mean(axis=tuple(axes), dtype=np.float64))
