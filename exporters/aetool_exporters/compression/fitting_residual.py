"""The entropy model of residuals and of the predictive path: one for all bundles, from silence to 24 bits of noise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aetool_exporters.compression.fitting_tables import MAX_VALUES, table_of
from aetool_runtime.compression.description import EntropyModel, EntropyTable
from aetool_runtime.compression.entropy.assignment import Assignment, Layout

__all__ = ["fit_residual_model"]

POSITIONS = 32
_NARROW = 16.0  # standard deviation up to which the shape matters, and two are offered
_WIDEST = 2.0**23
_STAY = 0.95  # how often the scale is the same again, when nobody has looked
_NEAR = 2.0  # scales: how quickly more distant ones become rarer
_KEPT_BITS = 5  # of a scale's standard deviation, that are coded; the bits below are written as they are


def fit_residual_model(
    residuals: Sequence[NDArray[np.int32]] = (), *, positions: int = POSITIONS
) -> tuple[list[EntropyTable], EntropyModel]:
    """Tables for values around 0 of any scale, and how scales follow each other.

    Below a standard deviation of 16 there are scales of a Laplace and of a nearly normal distribution, a factor of √2
    apart; above, where shape costs little, of a logistic one, 2^(2/3) apart, the low bits of which are not coded. And
    there are numbers of 1 to 7 bits, all alike, which no prediction can make cheaper.

    Args:
        residuals: values in the order in which they will be coded; without any, scales are taken to stay.
        positions: how many values share a scale.

    Returns:
        The tables, and a model of kind ``sets`` with indices into them.
    """
    scales = _scales()
    tables: list[EntropyTable] = []
    known: dict[tuple[str, float], int] = {}
    chosen = []
    for shape, deviation, raw in scales:
        key = (shape, round(deviation / 2**raw, 6))
        if key not in known:
            known[key] = len(tables)
            tables.append(_table(shape, deviation / 2**raw))
        chosen.append(known[key])
    deviations = np.array([deviation for _, deviation, _ in scales])
    selecting = _by_default(deviations)
    model = _model(chosen, [raw for _, _, raw in scales], len(tables), positions)
    if residuals:
        counts = _changes(tables + _selectors(selecting), model, residuals)
        selecting = counts + 20 * selecting  # so that changes which were not seen stay possible
    return tables + _selectors(selecting), model


def _scales() -> list[tuple[str, float, int]]:
    """Shape, standard deviation and raw bits of each set, by deviation; the first for zeros alone."""
    found = [(2.0 ** (k / 2), "laplace", 0) for k in range(-7, 8)]
    found += [(2.0 ** (k / 2), "normal", 0) for k in range(-3, 8)]
    found += [(2.0**k / math.sqrt(12), "flat", 0) for k in range(1, 8)]
    for deviation in 2.0 ** np.arange(math.log2(_NARROW), math.log2(_WIDEST), 2 / 3):
        raw = max(0, math.floor(math.log2(deviation) + 1e-9) + 1 - _KEPT_BITS)
        found.append((float(deviation), "logistic", raw))
    return [("zero", 0.0, 0), *((shape, deviation, raw) for deviation, shape, raw in sorted(found))]


def _table(shape: str, deviation: float) -> EntropyTable:
    if shape == "zero":
        return table_of(0, np.ones(1), 0.0)
    if shape == "flat":
        return table_of(0, np.ones(round(deviation * math.sqrt(12))), 1e-4)
    reach = min(MAX_VALUES // 2, math.ceil(8 * deviation) + 2)
    edges: NDArray[np.float64] = np.arange(-reach, reach + 2, dtype=np.float64) - 0.5
    probabilities = np.diff(_cumulative(shape, edges, deviation))
    (kept,) = (probabilities >= 0.4 / 2**14).nonzero()
    probabilities = probabilities[kept[0] : kept[-1] + 1]
    return table_of(int(kept[0]) - reach, probabilities, 1 - float(probabilities.sum()))


def _cumulative(shape: str, x: NDArray[np.float64], deviation: float) -> NDArray[np.float64]:
    logistic: NDArray[np.float64] = 0.5 * (1 + np.tanh(x * math.pi / (2 * math.sqrt(3) * deviation)))
    if shape == "logistic":
        return logistic
    if shape == "laplace":
        tail = 0.5 * np.exp(-np.abs(x) * math.sqrt(2) / deviation)
        return np.where(x < 0, tail, 1 - tail)
    normal = np.array([0.5 * (1 + math.erf(value / (deviation * math.sqrt(2)))) for value in x])
    mixed: NDArray[np.float64] = 0.9 * normal + 0.1 * logistic  # a few outliers are always there
    return mixed


# --- which scale follows which ---


def _by_default(deviations: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities [before, next]: the same, one near by, any other; from zeros hardly ever another."""
    octaves = np.log2(np.maximum(deviations, 0.05))
    near = np.exp(-np.abs(octaves[:, None] - octaves) / _NEAR)
    np.fill_diagonal(near, 0)
    chances = (1 - _STAY) * near / near.sum(axis=1, keepdims=True)
    chances[0] /= 20
    np.fill_diagonal(chances, 1 - chances.sum(axis=1))
    found: NDArray[np.float64] = chances
    return found


def _selectors(chances: NDArray[np.float64]) -> list[EntropyTable]:
    return [table_of(0, row / row.sum(), 0.0) for row in chances]


def _model(chosen: list[int], raw: list[int], first_selector: int, positions: int) -> EntropyModel:
    return EntropyModel(
        kind="sets",
        map=np.array(chosen, np.uint16)[:, None],
        raw_bits=np.array(raw, np.uint8),
        selectors=np.arange(first_selector, first_selector + len(chosen)).astype(np.uint16),
        positions=positions,
    )


def _changes(
    tables: list[EntropyTable], model: EntropyModel, residuals: Sequence[NDArray[np.int32]]
) -> NDArray[np.float64]:
    """How often each scale followed each [before, next] where an encoder chooses them."""
    assignment = Assignment(tables, model)
    counts = np.zeros((model.sets, model.sets))
    for values in residuals:
        shaped = values.reshape(1, -1, 1)
        sets = assignment.choose_sets(shaped, Layout(shaped.shape))
        np.add.at(counts, (sets[:-1], sets[1:]), 1)
    return counts
