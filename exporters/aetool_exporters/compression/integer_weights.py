"""Real weights as integers whose sums provably fit 32 bits, and real ratios as multiplications with a shift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aetool_exporters.compression.nodes import Floats
from aetool_runtime.compression.decoder.bounds import meeting_sums
from aetool_runtime.compression.description import Rescaling

__all__ = ["LARGEST_ACCUMULATED", "IntegerWeights", "concentration", "integer_weights", "rescaling"]

LARGEST_ACCUMULATED = 2**31 - 1
_MAX_MULTIPLIER, _MAX_SHIFT = 2**21 - 1, 40


@dataclass(frozen=True, eq=False)
class IntegerWeights:
    """Weights and biases, and what 1 of each output channel's accumulator stands for.

    Args:
        weights: int8 or int16, shaped like the real ones.
        bias: int32 [O].
        unit: [O], > 0.
    """

    weights: NDArray[np.int8] | NDArray[np.int16]
    bias: NDArray[np.int32]
    unit: Floats


def integer_weights(
    weights: Floats, bias: Floats, largest: int, dtype: str, stride: Sequence[int] = ()
) -> IntegerWeights:
    """The finest integers of a type with |bias| + ``largest`` · Σ|w| < 2³¹ in each output channel.

    Args:
        weights: [..., I, O]: what an input of 1 adds to each output.
        bias: [O], in the same unit.
        largest: magnitude of the inputs.
        dtype: ``int8`` or ``int16``.
        stride: of a transposed convolution: only places of the kernel that meet count together.
    """
    sums = largest * meeting_sums(np.abs(weights), stride) + np.abs(bias)
    most = np.iinfo(dtype).max
    highest = np.abs(weights).reshape(-1, weights.shape[-1]).max(axis=0)
    unit = np.maximum(highest / most, sums / LARGEST_ACCUMULATED)
    unit = np.where(unit > 0, unit, 1.0)
    while True:
        found = np.rint(weights / unit).astype(np.int64)
        offset = np.rint(bias / unit).astype(np.int64)
        over = np.abs(offset) + largest * meeting_sums(np.abs(found), stride) > LARGEST_ACCUMULATED
        if not over.any():
            break
        unit = np.where(over, unit * 1.01, unit)  # rounding took it past the limit
    return IntegerWeights(found.astype(dtype), offset.astype(np.int32), unit)


def concentration(weights: Floats, stride: Sequence[int] = ()) -> float:
    """Σ|w| over the largest |w|, of the output channel where it is largest: how many weights count, so to say."""
    magnitudes = np.abs(weights)
    largest = magnitudes.reshape(-1, weights.shape[-1]).max(axis=0)
    live = largest > 0
    return float((meeting_sums(magnitudes, stride)[live] / largest[live]).max()) if live.any() else 1.0


def rescaling(ratios: NDArray[np.floating[Any]]) -> Rescaling:
    """x → x · ratio as multiplier and shift, as exact as 21 bits allow. Ratios [C], > 0."""
    _, exponents = np.frexp(ratios)  # ratio = m · 2^e with ½ ≤ m < 1
    shift = np.clip(21 - exponents, 0, _MAX_SHIFT)
    multiplier = np.clip(np.rint(np.ldexp(ratios, shift)), 1, _MAX_MULTIPLIER)
    return Rescaling(multiplier.astype(np.int32), shift.astype(np.uint8))
