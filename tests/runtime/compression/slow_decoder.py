"""BITSTREAM.md, section 4, word for word: one value at a time, in Python's integers, which have no largest one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aetool_runtime.compression.description import (
    Add,
    Codec,
    Convolution,
    Crop,
    Dense,
    Lookup,
    Range,
    Rescale,
    Rescaling,
    Reshape,
    Step,
    Upsample,
)

__all__ = ["decode_slowly"]

Values = NDArray[Any]  # of Python integers


def decode_slowly(codec: Codec, values: NDArray[np.int32]) -> NDArray[np.int32]:
    """[samples, *latent_shape] → [samples, *sample_shape]."""
    made = [_integers(values)]
    ranges: list[Range] = [(-32768, 32767)]
    for step in codec.steps:
        found = _results(step, [made[i] for i in step.inputs], [ranges[i] for i in step.inputs])
        low, high = step.range
        made.append(np.vectorize(lambda v, low=low, high=high: max(low, min(high, v)), otypes=[object])(found))
        ranges.append(step.range)
    return made[-1].astype(np.int32)


def shift(x: int, s: int) -> int:
    return (x + (2 ** (s - 1) if s else 0)) // 2**s


def _results(step: Step, inputs: Sequence[Values], ranges: Sequence[Range]) -> Values:
    x = inputs[0]
    match step:
        case Dense():
            return _dense(step, x)
        case Convolution():
            return _conv_transposed(step, x) if step.transposed else _conv(step, x)
        case Lookup():
            return np.vectorize(lambda v: int(step.values[v - ranges[0][0]]), otypes=[object])(x)
        case Rescale():
            result = _rescaled(x, step.rescaling)
            for place in np.ndindex(x.shape):
                result[place] += int(step.bias[place[-1]])
            return result
        case Add():
            m0, m1 = step.multipliers
            return np.vectorize(lambda a, b: shift(a * m0 + b * m1, step.shift), otypes=[object])(*inputs)
        case _:
            return _moved(step, inputs)


def _moved(step: Step, inputs: Sequence[Values]) -> Values:
    x = inputs[0]
    match step:
        case Upsample():
            sizes = [n * f for n, f in zip(x.shape[1:-1], step.factors, strict=True)]
            result = _empty(len(x), *sizes, x.shape[-1])
            for place in np.ndindex(result.shape):
                inner = (p // f for p, f in zip(place[1:-1], step.factors, strict=True))
                result[place] = x[(place[0], *inner, place[-1])]
            return result
        case Reshape():
            return x.reshape(len(x), *step.shape)
        case Crop():
            return x[(slice(None), *(slice(b, n - a) for n, (b, a) in zip(x.shape[1:-1], step.crop, strict=True)))]
        case _:
            return np.concatenate(inputs, axis=-1)


def _dense(step: Dense, x: Values) -> Values:
    result = _empty(*x.shape[:-1], len(step.bias))
    for place in np.ndindex(result.shape):
        before, o = place[:-1], place[-1]
        terms = (x[(*before, i)] * int(step.weights[i, o]) for i in range(x.shape[-1]))
        result[place] = int(step.bias[o]) + sum(terms)
    return _rescaled(result, step.rescaling)


def _conv(step: Convolution, x: Values) -> Values:
    kernel = step.weights.shape[:-2]
    sizes = [
        (n + b + a - k) // s + 1
        for n, (b, a), k, s in zip(x.shape[1:-1], step.margins, kernel, step.stride, strict=True)
    ]
    result = _empty(len(x), *sizes, len(step.bias))
    for place in np.ndindex(result.shape):
        sample, o = place[0], place[-1]
        total = int(step.bias[o])
        for j in product(*map(range, kernel)):
            at = [p * s + k - b for p, s, k, (b, _) in zip(place[1:-1], step.stride, j, step.margins, strict=True)]
            if all(0 <= a < n for a, n in zip(at, x.shape[1:-1], strict=True)):
                total += sum(x[(sample, *at, i)] * int(step.weights[(*j, i, o)]) for i in range(x.shape[-1]))
        result[place] = total
    return _rescaled(result, step.rescaling)


def _conv_transposed(step: Convolution, x: Values) -> Values:
    kernel = step.weights.shape[:-2]
    whole = [(n - 1) * s + k for n, s, k in zip(x.shape[1:-1], step.stride, kernel, strict=True)]
    sums = _empty(len(x), *whole, len(step.bias))
    for place in np.ndindex(sums.shape):
        sums[place] = int(step.bias[place[-1]])
    for place, j in _scattered(x.shape, kernel):
        at = [p * s + k for p, s, k in zip(place[1:-1], step.stride, j, strict=True)]
        for o in range(len(step.bias)):
            sums[(place[0], *at, o)] += x[place] * int(step.weights[(*j, place[-1], o)])
    cuts = (slice(b, n - a) for n, (b, a) in zip(whole, step.margins, strict=True))
    return _rescaled(sums[(slice(None), *cuts)], step.rescaling)


def _scattered(shape: Sequence[int], kernel: Sequence[int]) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    for place in np.ndindex(*shape):
        for j in product(*map(range, kernel)):
            yield place, j


def _rescaled(acc: Values, rescaling: Rescaling) -> Values:
    result = _empty(*acc.shape)
    for place in np.ndindex(acc.shape):
        o = place[-1]
        result[place] = shift(acc[place] * int(rescaling.multiplier[o]), int(rescaling.shift[o]))
    return result


def _integers(values: NDArray[np.int32]) -> Values:
    return np.vectorize(int, otypes=[object])(values)


def _empty(*shape: int) -> Values:
    return np.empty(shape, dtype=object)
