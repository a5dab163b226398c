"""The proof that no step overflows: BITSTREAM.md, section 4, "No overflow"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from aetool_runtime.compression.decoder.shapes import RefusedStep
from aetool_runtime.compression.description import Add, Convolution, Dense, Lookup, Range, Rescale, Rescaling, Step

__all__ = ["LIMIT", "check_bounds", "kernel_sums", "magnitude", "meeting_sums"]

Number = TypeVar("Number", np.int64, np.float64)

LIMIT = 1 << 31
_PRODUCT = 1 << 52


def magnitude(values: Range) -> int:
    """The largest absolute value in a range."""
    return max(abs(values[0]), abs(values[1]))


def kernel_sums(step: Dense | Convolution) -> NDArray[np.int64]:
    """The largest Σ |w| that meets in one place of an output channel, int64 [O]."""
    stride = step.stride if isinstance(step, Convolution) and step.transposed else ()
    return meeting_sums(np.abs(step.weights.astype(np.int64)), stride)


def meeting_sums(magnitudes: NDArray[Number], stride: Sequence[int]) -> NDArray[Number]:
    """Σ |w| of each output channel [O].

    Args:
        magnitudes: [..., I, O].
        stride: of a transposed convolution, in which only places with the same remainders meet; () for others.
    """
    remainders = np.ndindex(*map(min, stride, magnitudes.shape))  # of places of the kernel: no more than there are
    met = [magnitudes[tuple(slice(r, None, s) for r, s in zip(first, stride, strict=True))] for first in remainders]
    return np.asarray(np.max([part.reshape(-1, part.shape[-1]).sum(axis=0) for part in met], axis=0))


def check_bounds(step: Step, inputs: Sequence[Range]) -> None:
    """Refuse a step whose numbers could leave what its arithmetic holds.

    Args:
        inputs: the ranges of what it is given.

    Raises:
        RefusedStep: they could.
    """
    match step:
        case Dense() | Convolution():
            _check_sums(step, magnitude(inputs[0]))
        case Rescale():
            _check_rescaled(step.rescaling, step.bias, magnitude(inputs[0]))
        case Add():
            _check_sum(step, [magnitude(values) for values in inputs])
        case Lookup():
            _check_values(step, inputs[0])


def _check_sums(step: Dense | Convolution, largest: int) -> None:
    """|bias| + A · Σ |w| < 2³¹, divided instead of multiplied, so that int64 holds it."""
    room = LIMIT - 1 - np.abs(step.bias.astype(np.int64))
    over = np.flatnonzero((room < 0) | (kernel_sums(step) > room // max(largest, 1)) & (largest > 0))
    if len(over):
        raise RefusedStep(f"may reach 2^31 in the output channel {over[0]}", "|bias| + A · Σ|w| below 2^31")


def _check_rescaled(rescaling: Rescaling, bias: NDArray[np.int32], largest: int) -> None:
    for multiplier, shift, offset in zip(rescaling.multiplier, rescaling.shift, bias, strict=True):
        product = largest * int(multiplier)
        _check_term(product, _shifted(product, int(shift)) + abs(int(offset)))


def _check_sum(step: Add, largest: Sequence[int]) -> None:
    total = sum(most * multiplier for most, multiplier in zip(largest, step.multipliers, strict=True))
    _check_term(total, _shifted(total, step.shift))


def _check_term(term: int, result: int) -> None:
    if term >= _PRODUCT:
        raise RefusedStep(f"has terms of up to {term}", "less than 2^52")
    if result >= LIMIT:
        raise RefusedStep(f"may return {result} before it is clamped", "less than 2^31")


def _shifted(value: int, shift: int) -> int:
    return (value + ((1 << shift) >> 1)) >> shift


def _check_values(step: Lookup, given: Range) -> None:
    low, high = given
    if len(step.values) != high - low + 1 or len(step.values) > 1 << 16:
        raise RefusedStep(f"has a table of {len(step.values)} values", f"{high - low + 1}, at most 65,536")
    smallest, largest = int(step.values.min()), int(step.values.max())
    if smallest < step.range[0] or largest > step.range[1]:
        raise RefusedStep(f"has a table of values from {smallest} to {largest}", f"values in {list(step.range)}")
