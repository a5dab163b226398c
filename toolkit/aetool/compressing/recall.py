"""Vectors judged by their neighbours: how many of the ten nearest are found among vectors that were compressed."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from aetool.compressing.curves import Curve, Point, point
from aetool_runtime.errors import InputError
from aetool_runtime.specs import Array

__all__ = ["NeighborJudge", "quantizer_curves", "recall_at"]

_NEIGHBORS = 10
_QUERIES = 500
_BLOCK = 64  # queries at once
_PQ_BYTES = (8, 16, 24, 32, 48, 64, 96, 128)
_PQ_TRAINED = 256 * 256  # vectors: more make no better codebooks


class NeighborJudge:
    """Judges what was restored of vectors [n, d] by the nearest neighbours (Euclidean) of some of them.

    Queries are vectors as they were, at most 500 evenly spread ones; each is left out of its own neighbours.

    Raises:
        InputError: no vectors, or too few.
    """

    def __init__(self, vectors: Array) -> None:
        if vectors.ndim != 2 or len(vectors) <= _NEIGHBORS:
            raise InputError(
                f"samples {list(vectors.shape)} have no ten neighbours", expected="more than ten vectors, [n, d]"
            )
        self._queries = np.unique(np.linspace(0, len(vectors) - 1, min(_QUERIES, len(vectors))).round().astype(int))
        self._vectors = vectors.astype(np.float32)
        self._truth = self._nearest(self._vectors)

    def __call__(self, setting: str, size: int, samples: Array, restored: Array) -> Point:
        found = self._nearest(restored.astype(np.float32))
        hits = (found[:, :, None] == self._truth[:, None, :]).any(axis=1).sum()
        return replace(point(setting, size, samples, restored), recall=float(hits) / self._truth.size)

    def _nearest(self, among: NDArray[np.float32]) -> NDArray[np.int64]:
        norms = np.einsum("nd,nd->n", among, among)
        found = []
        for start in range(0, len(self._queries), _BLOCK):
            some = self._queries[start : start + _BLOCK]
            distances = norms - 2 * (self._vectors[some] @ among.T)
            distances[np.arange(len(some)), some] = np.inf
            found.append(np.argpartition(distances, _NEIGHBORS, axis=1)[:, :_NEIGHBORS])
        return np.concatenate(found)


def quantizer_curves(
    vectors: Array, training: Array, judge: NeighborJudge, *, count_model: bool
) -> tuple[list[Curve], dict[str, str]]:
    """Scalar quantization to 8 and 4 bits, and product quantization where faiss is here; and what is missing.

    Args:
        training: vectors that ranges and codebooks are learned from.
        count_model: codebooks count as well; ranges always do.
    """
    curves = [Curve(f"int{bits}", (_scalar(vectors, training, bits, judge),)) for bits in (8, 4)]
    try:
        faiss = importlib.import_module("faiss")
    except ImportError:
        return curves, {"PQ": "faiss is not installed"}
    points = []
    for size in _PQ_BYTES:
        if vectors.shape[1] % size == 0 and len(training) >= 256:
            quantizer = faiss.ProductQuantizer(vectors.shape[1], size, 8)
            quantizer.cp.min_points_per_centroid = 1  # it would warn once for each byte
            quantizer.train(np.ascontiguousarray(training[:_PQ_TRAINED], np.float32))
            codes = quantizer.compute_codes(np.ascontiguousarray(vectors, np.float32))
            taken = codes.nbytes + (4 * 256 * vectors.shape[1] if count_model else 0)
            points.append(judge(f"{size} bytes", taken, vectors, np.asarray(quantizer.decode(codes))))
    return [*curves, Curve("PQ", tuple(points))], {}


def _scalar(vectors: Array, training: Array, bits: int, judge: NeighborJudge) -> Point:
    """Each dimension from its least to its largest value in training, evenly."""
    low, high = training.min(axis=0), training.max(axis=0)
    step = np.maximum((high - low) / (2**bits - 1), np.finfo(np.float32).tiny)
    codes = np.clip(np.rint((vectors - low) / step), 0, 2**bits - 1)
    size = len(vectors) * math.ceil(vectors.shape[1] * bits / 8) + 8 * vectors.shape[1]
    return judge(f"{bits} bits", size, vectors, (codes * step + low).astype(np.float32))


def recall_at(points: Sequence[Point], size: float) -> float | None:
    """A curve's recall at a number of bytes, between points by their logarithm; ``None`` outside of them."""
    known = sorted((one.bytes, one.recall) for one in points if one.recall is not None)
    if not known or not known[0][0] <= size <= known[-1][0]:
        return None
    sizes, recalls = zip(*known, strict=True)
    return float(np.interp(math.log(size), np.log(sizes), recalls))
