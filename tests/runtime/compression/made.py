"""Bundles that compress, made by hand: small enough to look at, with every kind of member.

FIXED: samples [8, 2]. A linear codec (adjoint) and a network of two dense layers with a table between.
FREE: pictures [?, ?, 1]. A linear codec of 4×4 blocks, and a network of convolutions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aetool_runtime.compression.description import (
    Codec,
    Compression,
    Convolution,
    Dense,
    EntropyModel,
    EntropyTable,
    Lookup,
    Quality,
    Rescaling,
    Reshape,
    Upsample,
)

__all__ = ["bare", "fixed", "free", "laplace_table", "residual_model"]

FULL_RANGE = (-(2**31) + 1, 2**31 - 1)


def laplace_table(scale: float, entries: int) -> EntropyTable:
    """A table centred on 0 for values whose magnitude is about ``scale``."""
    low = -(entries - 1) // 2
    weights = np.exp(-np.abs(np.arange(low, low + entries - 1)) / scale)
    frequencies = 1 + np.floor(weights / weights.sum() * (2**14 - 2 * entries)).astype(np.int64)
    frequencies = np.append(frequencies, 1)
    frequencies[-low] += 2**14 - frequencies.sum()
    return EntropyTable(low, frequencies.astype(np.uint16))


def selector_tables(sets: int, stay: float = 0.8) -> list[EntropyTable]:
    """One for each set before: the same again is likely."""
    found = []
    for before in range(sets):
        weights = np.full(sets, (1 - stay) / (sets - 1))
        weights[before] = stay
        frequencies = np.append(1 + np.floor(weights * (2**14 - 2 * sets - 2)).astype(np.int64), 1)
        frequencies[before] += 2**14 - frequencies.sum()
        found.append(EntropyTable(0, frequencies.astype(np.uint16)))
    return found


def residual_model(tables: list[EntropyTable], sets: int = 20) -> EntropyModel:
    """Scales from 2^-2 on, each twice the one before; raw bits from 2^4 on. Its tables are added."""
    first, chosen, raw = len(tables), [], []
    shapes: list[tuple[float, int]] = []
    for k in range(sets):
        bits = max(0, k - 6)
        shape = (2.0 ** (k - 2 - bits), 3 if k == 0 else 2 ** min(8, k + 2) + 2)
        if shape not in shapes:
            shapes.append(shape)
            tables.append(laplace_table(*shape))
        chosen.append([first + shapes.index(shape)])
        raw.append(bits)
    start = len(tables)
    tables += selector_tables(sets)
    return EntropyModel(
        "sets",
        np.array(chosen, np.uint16),
        np.array(raw, np.uint8),
        selectors=np.arange(start, start + sets, dtype=np.uint16),
        positions=16,
    )


def _rescaling(outputs: int, shift: int, multiplier: int = 1) -> Rescaling:
    return Rescaling(np.full(outputs, multiplier, np.int32), np.full(outputs, shift, np.uint8))


def _waves(count: int, size: int) -> NDArray[np.float64]:
    """The first rows of a cosine transform: orthonormal [count, size]."""
    k, n = np.arange(count)[:, None], np.arange(size)[None] + 0.5
    rows = np.cos(np.pi * k * n / size)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _basis(count: int) -> NDArray[np.int8]:
    """[count, 16] int8: cosines over 8 rows, for two series in turn."""
    basis = np.zeros((count, 8, 2))
    for c in range(count):
        basis[c, :, c % 2] = _waves(count // 2 + 1, 8)[c // 2]
    return np.rint(basis.reshape(count, 16) * 120).astype(np.int8)


def _qualities(channels: int, model: int, steps: Sequence[int] = (64, 16)) -> tuple[Quality, ...]:
    return tuple(
        Quality(np.full(channels, step, np.int32), 0.4, model, rmse=step / 4, bits=16 / step) for step in steps
    )


def fixed(outer_shift: int = 3) -> Compression:
    """Samples [8, 2]; 1 of the output is 1/8 raw unit."""
    tables = [laplace_table(3.0, 34), laplace_table(0.4, 6)]
    models = [EntropyModel("sets", np.array([[0, 0, 0, 1]], np.uint16), np.zeros(1, np.uint8)), residual_model(tables)]
    sets = selector_tables(2)
    tables += sets
    models.append(
        EntropyModel(
            "sets",
            np.array([[0, 1, 1], [1, 0, 0]], np.uint16),
            np.array([0, 2], np.uint8),
            selectors=np.arange(len(tables) - 2, len(tables), dtype=np.uint16),
        )
    )
    linear = Codec(
        name="linear",
        encoder="adjoint",
        latent_shape=(4,),
        downsampling=(),
        unit=np.full(4, 0.125),
        center=np.array([0, 0, 5, -5], np.int32),
        qualities=_qualities(4, 0),
        steps=(
            Dense((0,), FULL_RANGE, _basis(4), np.arange(16, dtype=np.int32) * 100, _rescaling(16, 7)),
            Reshape((1,), FULL_RANGE, (8, 2)),
        ),
    )
    ramp = np.arange(48, dtype=np.int64)
    network = Codec(
        name="network",
        encoder="artifact",
        latent_shape=(3,),
        downsampling=(),
        unit=np.array([0.5, 0.25, 1.0]),
        center=np.zeros(3, np.int32),
        qualities=_qualities(3, 2, (100, 10)),
        steps=(
            Dense(
                (0,),
                (-512, 511),
                (ramp[:24].reshape(3, 8) * 7 % 31 - 15).astype(np.int8),
                np.zeros(8, np.int32),
                _rescaling(8, 1),
            ),
            Lookup((1,), (-300, 900), np.clip(np.arange(-512, 512) * 2, -300, 900).astype(np.int16)),
            Dense(
                (2,),
                (-40_000, 40_000),
                (np.arange(128).reshape(8, 16) * 11 % 251 - 125).astype(np.int16),
                np.full(16, 9, np.int32),
                _rescaling(16, 7, 3),
            ),
            Reshape((3,), (-40_000, 40_000), (8, 2)),
        ),
    )
    return Compression((8, 2), 1 / 2**outer_shift, 1, outer_shift, tuple(tables), tuple(models), 1, (linear, network))


def free() -> Compression:
    """Pictures [?, ?, 1]; 1 of the output is 1/16 raw unit."""
    tables = [laplace_table(2.0, 20), laplace_table(6.0, 60), laplace_table(0.5, 8)]
    neighbors = EntropyModel(
        "neighbors",
        np.array([[2, 2], [0, 0], [1, 1]], np.uint16),
        np.zeros(3, np.uint8),
        thresholds=np.array([2, 9], np.uint32),
    )
    models = [neighbors, residual_model(tables)]
    blocks = np.einsum("am,bn->abmn", _waves(2, 4), _waves(2, 4)).reshape(4, 16)[:2]
    linear = Codec(
        name="linear",
        encoder="adjoint",
        latent_shape=(None, None, 2),
        downsampling=(4, 4, 1),
        unit=np.full(2, 1 / 16),
        center=np.array([1000, 0], np.int32),
        qualities=_qualities(2, 0),
        steps=(
            Convolution(
                (0,),
                FULL_RANGE,
                np.rint(blocks * 127).astype(np.int8).reshape(2, 4, 4).transpose(1, 2, 0)[..., None],
                np.array([64], np.int32),
                _rescaling(1, 7),
                (4, 4),
                ((0, 0), (0, 0)),
                transposed=True,
            ),
        ),
    )
    network = Codec(
        name="network",
        encoder="artifact",
        latent_shape=(None, None, 2),
        downsampling=(2, 2, 1),
        unit=np.ones(2),
        center=np.zeros(2, np.int32),
        qualities=_qualities(2, 0, (20,)),
        steps=(
            Upsample((0,), (-32768, 32767), (2, 2)),
            Convolution(
                (1,),
                (-20_000, 20_000),
                (np.arange(18).reshape(3, 3, 2, 1) * 5 % 13 - 6).astype(np.int8),
                np.array([7], np.int32),
                _rescaling(1, 3),
                (1, 1),
                ((1, 1), (1, 1)),
            ),
        ),
    )
    return Compression((None, None, 1), 1 / 16, 1, 4, tuple(tables), tuple(models), 1, (linear, network))


def bare() -> Compression:
    """No codec at all: linear prediction, and stored."""
    tables: list[EntropyTable] = []
    models = [residual_model(tables)]
    return Compression((8, 2), 0.125, 1, 3, tuple(tables), tuple(models), 0, ())
