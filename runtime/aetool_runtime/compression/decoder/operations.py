"""Each step as a function from arrays to an array."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from aetool_runtime.compression.decoder.arithmetic import Numbers, Rescaler, clamp, exact_type, number_type
from aetool_runtime.compression.decoder.bounds import kernel_sums, magnitude
from aetool_runtime.compression.decoder.convolution import Convolver, TransposedConvolver
from aetool_runtime.compression.description import (
    Add,
    Concatenate,
    Convolution,
    Crop,
    Dense,
    Lookup,
    Range,
    Rescale,
    Reshape,
    Step,
    Upsample,
)

__all__ = ["Operation", "operation"]

Operation: TypeAlias = Callable[[Sequence[Numbers]], Numbers]


def operation(step: Step, inputs: Sequence[Range]) -> Operation:
    """What a checked step does: values [samples, …], integers in floating point → its own, clamped into its range.

    Args:
        inputs: the ranges of what it is given.
    """
    match step:
        case Dense() | Convolution():
            return _weighted(step, inputs[0])
        case Lookup():
            return _lookup(step, inputs[0][0])
        case Rescale():
            rescale = Rescaler(step.rescaling, np.zeros_like(step.bias), step.range, after=step.bias)
            return lambda given: rescale(given[0])
        case Add():
            return _add(step)
        case _:
            return _moved(step, inputs)


def _weighted(step: Dense | Convolution, given: Range) -> Operation:
    finish = Rescaler(step.rescaling, step.bias, step.range)
    dtype = exact_type(magnitude(given) * int(kernel_sums(step).max()))
    matrix = step.weights.astype(dtype)
    if isinstance(step, Convolution):
        apply = (TransposedConvolver if step.transposed else Convolver)(matrix, step.stride, step.margins, finish)
        return lambda inputs: apply(inputs[0])
    return lambda inputs: finish(_product(inputs[0], matrix))


def _product(given: Numbers, matrix: Numbers) -> Numbers:
    """Over the last dimension, as one matrix product."""
    rows = given.reshape(-1, given.shape[-1]).astype(matrix.dtype, copy=False)
    return (rows @ matrix).reshape(*given.shape[:-1], matrix.shape[1])


def _lookup(step: Lookup, low: int) -> Operation:
    values = step.values.astype(number_type(step.range))
    return lambda inputs: values[(inputs[0] - low).astype(np.intp)]


def _add(step: Add) -> Operation:
    first, second = map(float, step.multipliers)
    half = 2.0 ** (step.shift - 1) if step.shift else 0.0
    dtype = number_type(step.range)

    def add(inputs: Sequence[Numbers]) -> Numbers:
        total = np.multiply(inputs[0], first, dtype=np.float64)
        total += np.multiply(inputs[1], second, dtype=np.float64)
        total += half
        total *= 2.0**-step.shift
        return clamp(np.floor(total, out=total), step.range).astype(dtype)

    return add


def _moved(step: Upsample | Reshape | Crop | Concatenate, inputs: Sequence[Range]) -> Operation:
    """Values that only change place; clamped where they do not keep the range by themselves."""
    keeps = all(step.range[0] <= low and high <= step.range[1] for low, high in inputs)
    dtype: DTypeLike = number_type(step.range)
    move = _move(step)
    if keeps:
        return lambda given: move(given).astype(dtype, copy=False)
    # In the inputs' own type first: the range's may be too narrow for what is outside it.
    return lambda given: clamp(np.array(move(given)), step.range).astype(dtype, copy=False)


def _move(step: Upsample | Reshape | Crop | Concatenate) -> Operation:
    match step:
        case Upsample():
            return lambda inputs: _repeated(inputs[0], step.factors)
        case Reshape():
            return lambda inputs: inputs[0].reshape(len(inputs[0]), *step.shape)
        case Crop():
            return lambda inputs: inputs[0][_cuts(inputs[0].shape, step.crop)]
        case Concatenate():
            return lambda inputs: np.concatenate(inputs, axis=-1)


def _repeated(numbers: Numbers, factors: Sequence[int]) -> Numbers:
    for axis, factor in enumerate(factors, start=1):
        if factor > 1:
            numbers = np.repeat(numbers, factor, axis=axis)
    return numbers


def _cuts(shape: Sequence[int], crop: Sequence[tuple[int, int]]) -> tuple[slice, ...]:
    inner = [slice(before, size - after) for size, (before, after) in zip(shape[1:-1], crop, strict=True)]
    return (slice(None), *inner, slice(None))
