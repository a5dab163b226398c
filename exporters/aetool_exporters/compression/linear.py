"""The linear codec: principal components of whole samples, or of blocks of them. No network when it is used."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aetool_exporters.compression.integer_weights import integer_weights, rescaling
from aetool_exporters.compression.nodes import Floats
from aetool_exporters.compression.precisions import Precision
from aetool_runtime.compression.description import Convolution, Dense, Reshape, Step
from aetool_runtime.specs import Array

__all__ = ["LinearCodec", "block_of", "linear_codec"]

LARGEST_INPUT = 32768
_WHOLE = 1024  # values of a sample that is transformed as a whole
_LARGEST_WHOLE = 4096
_BLOCKS = (16, 8, 4)  # places on a side
_ENOUGH = 4  # samples or blocks for each of their values, that principal components are worth their room
_ROOM = 1.25
_DROPPED = 0.29  # components that spread less than this share of the finest step, 1/√12, are worth no bits there


@dataclass(frozen=True, eq=False)
class LinearCodec:
    """Steps, and what their input is.

    Args:
        unit: [C]: normalized units that 1 of the input stands for; the basis is orthonormal there.
        downsampling: places of a sample for each of the latent, by dimension.
    """

    unit: Floats
    latent_shape: tuple[int | None, ...]
    downsampling: tuple[int, ...]
    steps: tuple[Step, ...]


def linear_codec(
    samples: Array, shape: Sequence[int | None], scale: Floats, output: Precision, block: tuple[int, ...], finest: float
) -> LinearCodec:
    """Principal components about the mean, as integers.

    Args:
        samples: raw, [n, …], to learn them from.
        shape: of a sample; ``None`` where it is free.
        scale: per channel: raw units that count as one.
        output: of the decoder's output.
        block: places of what is transformed at once, for each dimension but the last; () for whole samples.
        finest: the smallest step, in units of ``scale``.
    """
    mean = samples.mean(axis=tuple(range(samples.ndim - 1)), dtype=np.float64) if block else samples.mean(axis=0)
    rows = _rows((samples - mean) / scale, block)
    basis, spread = _components(rows)
    basis = basis[: max(1, int(np.count_nonzero(spread > _DROPPED * finest)))]
    largest = max(float(np.abs(rows @ basis.T).max()), finest)
    unit = largest * _ROOM / LARGEST_INPUT
    steps = _block_steps(basis, mean, scale, unit, output, block) if block else _steps(basis, mean, scale, unit, output)
    if not block:
        return LinearCodec(np.full(len(basis), unit), (len(basis),), (), steps)
    places = [None if size is None else size // side for size, side in zip(shape[:-1], block, strict=True)]
    return LinearCodec(np.full(len(basis), unit), (*places, len(basis)), (*block, 1), steps)


def block_of(shape: Sequence[int | None], samples: int) -> tuple[int, ...] | None:
    """What to transform at once: () for whole samples, else places of each dimension; ``None`` where nothing fits.

    Args:
        samples: how many there are to learn from.
    """
    channels = shape[-1] or 1
    known = [size for size in shape if size is not None]
    whole = math.prod(known)
    if len(known) == len(shape) and whole <= _WHOLE:
        return ()
    for side in _BLOCKS if len(shape) == 3 else (256, 128, 64, 32, 16) if len(shape) == 2 else ():
        values = side ** (len(shape) - 1) * channels
        places = math.prod((size or side) // side for size in shape[:-1])
        divides = all(size is None or size % side == 0 for size in shape[:-1])
        if divides and values <= _WHOLE and samples * places >= _ENOUGH * values:
            return (side,) * (len(shape) - 1)
    return () if len(known) == len(shape) and whole <= _LARGEST_WHOLE else None


def _rows(values: Floats, block: tuple[int, ...]) -> Floats:
    """Samples, or their blocks, each a row."""
    if not block:
        return values.reshape(len(values), -1)
    if len(block) == 1:
        (side,), count = block, values.shape[1] // block[0]
        return values[:, : count * side].reshape(-1, side * values.shape[-1])
    (a, b), (height, width) = block, (values.shape[1] // block[0], values.shape[2] // block[1])
    cut = values[:, : height * a, : width * b].reshape(len(values), height, a, width, b, -1)
    return cut.transpose(0, 1, 3, 2, 4, 5).reshape(-1, a * b * values.shape[-1])


def _components(rows: Floats) -> tuple[Floats, Floats]:
    """Orthonormal rows [C, D], those of largest spread first, and the spread (standard deviation) along each."""
    variances, vectors = np.linalg.eigh(rows.T @ rows / len(rows))
    order = np.argsort(-variances, kind="stable")
    basis = vectors[:, order].T
    basis *= np.sign(basis[np.arange(len(basis)), np.argmax(np.abs(basis), axis=1)])[:, None]  # the same everywhere
    return basis, np.sqrt(np.maximum(variances[order], 0.0))


def _steps(basis: Floats, mean: Floats, scale: Floats, unit: float, output: Precision) -> tuple[Step, ...]:
    shape = mean.shape
    weights = basis * np.broadcast_to(scale, shape).ravel() * unit
    whole = integer_weights(weights, mean.ravel(), LARGEST_INPUT, "int16")
    step = Dense((0,), output.range, whole.weights, whole.bias, rescaling(whole.unit / output.unit))
    return (step,) if len(shape) == 1 else (step, Reshape((1,), output.range, shape))


def _block_steps(
    basis: Floats, mean: Floats, scale: Floats, unit: float, output: Precision, block: tuple[int, ...]
) -> tuple[Step, ...]:
    channels = len(mean)
    kernels = np.moveaxis(basis.reshape(len(basis), *block, channels), 0, -2) * np.broadcast_to(scale, channels) * unit
    whole = integer_weights(kernels, mean, LARGEST_INPUT, "int16", block)
    scaled, crop = rescaling(whole.unit / output.unit), ((0, 0),) * len(block)
    return (Convolution((0,), output.range, whole.weights, whole.bias, scaled, block, crop, True),)
