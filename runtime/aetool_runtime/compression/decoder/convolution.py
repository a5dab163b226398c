"""Convolutions over one or two dimensions as matrix products, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from aetool_runtime.compression.decoder.arithmetic import Numbers

__all__ = ["Convolver", "TransposedConvolver"]

Finish: TypeAlias = Callable[[Numbers], Numbers]
Margins: TypeAlias = Sequence[tuple[int, int]]

_WORKSPACE = 1 << 20  # numbers laid out for one matrix product


class Convolver:
    """Correlation over zero-padded input: windows are laid out as the rows of a matrix.

    Args:
        weights: [k…, I, O], of the type that holds every sum.
        stride, padding: for each dimension of the kernel.
        finish: accumulated sums [n, O] → results.
    """

    def __init__(self, weights: Numbers, stride: Sequence[int], padding: Margins, finish: Finish) -> None:
        self._kernel = weights.shape[:-2]
        self._matrix = weights.reshape(-1, weights.shape[-1])
        self._stride, self._padding, self._finish = tuple(stride), padding, finish

    def __call__(self, numbers: Numbers) -> Numbers:
        """[samples, n…, I] → [samples, m…, O]."""
        padded = _padded(numbers, self._padding)
        spatial = zip(padded.shape[1:-1], self._kernel, self._stride, strict=True)
        sizes = [(size - k) // s + 1 for size, k, s in spatial]
        cost = math.prod(sizes[1:]) * len(self._matrix)
        results = None
        for samples, rows in _pieces(len(padded), sizes[0], cost):
            piece = self._finish(self._windows(padded[samples], rows) @ self._matrix)
            if results is None:
                results = np.empty((len(padded), *sizes, piece.shape[-1]), piece.dtype)
            part = results[samples, rows]
            part[...] = piece.reshape(part.shape)
        assert results is not None
        return results

    def _windows(self, padded: Numbers, rows: slice) -> Numbers:
        """The windows of some rows of output, a row of the matrix each: [samples · rows · …, k… · I]."""
        stride, kernel = self._stride, self._kernel
        last = (rows.stop - 1) * stride[0] + kernel[0]
        needed = padded[:, rows.start * stride[0] : last]
        views = sliding_window_view(needed, kernel, axis=tuple(range(1, 1 + len(kernel))))
        views = views[(slice(None), *(slice(None, None, s) for s in stride))]
        columns = np.moveaxis(views, 1 + len(kernel), -1)
        return columns.reshape(-1, len(self._matrix)).astype(self._matrix.dtype, copy=False)


class TransposedConvolver:
    """y[n·s + j] += x[n] · w[j]: each place becomes a kernel of results, and these are added where they overlap.

    The kernel is filled up with zeros to a multiple m·s of the stride: then m (or m₁·m₂) additions of large arrays do.

    Args:
        weights: [k…, I, O], of the type that holds every sum.
        stride, crop: for each dimension of the kernel.
        finish: accumulated sums [samples, …, O] → results.
    """

    def __init__(self, weights: Numbers, stride: Sequence[int], crop: Margins, finish: Finish) -> None:
        self._kernel = weights.shape[:-2]
        self._stride, self._crop, self._finish = tuple(stride), crop, finish
        self._times = tuple(-(-k // s) for k, s in zip(self._kernel, self._stride, strict=True))
        fill = [(0, m * s - k) for k, m, s in zip(self._kernel, self._times, self._stride, strict=True)]
        filled = np.moveaxis(np.pad(weights, [*fill, (0, 0), (0, 0)]), -2, 0)
        self._channels = filled.shape[-1]
        self._matrix = np.ascontiguousarray(filled.reshape(len(filled), -1))

    def __call__(self, numbers: Numbers) -> Numbers:
        """[samples, n…, I] → [samples, (n − 1)·s + k − crop…, O]."""
        sums = self._sums(numbers)
        spatial = zip(numbers.shape[1:-1], self._kernel, self._stride, self._crop, strict=True)
        cuts = [slice(before, (n - 1) * s + k - after) for n, k, s, (before, after) in spatial]
        return self._finish(sums[(slice(None), *cuts)])

    def _sums(self, numbers: Numbers) -> Numbers:
        """What is accumulated, with the places that the filled kernel reaches: [samples, (n + m − 1)·s…, O]."""
        sizes = numbers.shape[1:-1]
        grown = [n + m - 1 for n, m in zip(sizes, self._times, strict=True)]
        # For each dimension the place and, behind it, the place within the stride.
        pairs = [part for pair in zip(grown, self._stride, strict=True) for part in pair]
        sums = np.zeros((len(numbers), *pairs, self._channels), self._matrix.dtype)
        for samples, rows in _pieces(len(numbers), sizes[0], math.prod(sizes[1:]) * self._matrix.shape[1]):
            given = numbers[samples, rows].astype(self._matrix.dtype, copy=False)
            self._scatter(
                given.reshape(-1, given.shape[-1]) @ self._matrix, given.shape[:-1], sums[samples], rows.start
            )
        filled = [g * s for g, s in zip(grown, self._stride, strict=True)]
        return sums.reshape(len(numbers), *filled, self._channels)

    def _scatter(self, products: Numbers, places: tuple[int, ...], sums: Numbers, start: int) -> None:
        """Add the products of ``places`` [samples, rows, …], whose first row is ``start``."""
        dimensions = len(self._kernel)
        parts = [part for pair in zip(self._times, self._stride, strict=True) for part in pair]
        products = products.reshape(*places, *parts, self._channels)
        # [samples, n₁, n₂, m₁, s₁, m₂, s₂, O] → [m₁, m₂, samples, n₁, s₁, n₂, s₂, O]
        times = [1 + dimensions + 2 * i for i in range(dimensions)]
        inner = [axis for i in range(dimensions) for axis in (1 + i, times[i] + 1)]
        products = products.transpose(*times, 0, *inner, products.ndim - 1)
        for shift in np.ndindex(*self._times):
            firsts = (shift[0] + start, *shift[1:])
            where = [slice(first, first + n) for first, n in zip(firsts, places[1:], strict=True)]
            target = sums[(slice(None), *(index for piece in where for index in (piece, slice(None))))]
            target += products[shift]


def _padded(numbers: Numbers, padding: Margins) -> Numbers:
    if not any(map(any, padding)):
        return numbers
    return np.pad(numbers, [(0, 0), *padding, (0, 0)])


def _pieces(samples: int, rows: int, cost: int) -> Iterator[tuple[slice, slice]]:
    """Samples × rows in pieces: as many whole samples as fit, or of one sample as many rows.

    Args:
        cost: numbers that a row needs.
    """
    if cost * rows <= _WORKSPACE:
        count = _WORKSPACE // (cost * rows)
        for start in range(0, samples, count):
            yield slice(start, min(start + count, samples)), slice(0, rows)
        return
    count = max(1, _WORKSPACE // cost)
    for sample in range(samples):
        for start in range(0, rows, count):
            yield slice(sample, sample + 1), slice(start, min(start + count, rows))
