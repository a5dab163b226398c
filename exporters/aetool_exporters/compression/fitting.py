"""Entropy models and their tables from the symbols of training data, one model for each quality."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aetool_exporters.compression.fitting_neighbors import fit_neighbors
from aetool_exporters.compression.fitting_pool import Fit, join_fits, pool_tables
from aetool_exporters.compression.fitting_sets import fit_sets
from aetool_runtime.compression.description import EntropyModel, EntropyTable
from aetool_runtime.compression.entropy.coding import Coder

__all__ = ["SETS", "fit_model", "fit_models", "join_fits"]

Kind = Literal["auto", "sets", "neighbors"]
SETS = (1, 2, 4, 8, 16)
_FOLDS, _FOLD_BLOCKS = 5, 20  # every fifth of these consecutive parts is held out
_GAIN = 0.998  # more sets must save as much of the bits
_MAX_VALUES = 1 << 21  # that choices are based on; tables are fitted to all


def fit_model(
    symbols: NDArray[np.int32], *, kind: Kind = "auto", sets: Sequence[int] = SETS
) -> tuple[list[EntropyTable], EntropyModel]:
    """The tables, and a model with indices into them, that code such symbols in few bits.

    Kind and number of sets are those that are cheapest on samples that the candidates were not fitted to; the tables
    are then fitted to all. Deterministic.

    Args:
        symbols: int32 [samples, positions …, channels], the training part.
        kind: ``sets``, ``neighbors``, or the cheaper of both.
        sets: the numbers of sets to choose from, ascending.
    """
    tables, (model,) = fit_models([symbols], kind=kind, sets=sets)
    return tables, model


def fit_models(
    symbols: Sequence[NDArray[np.int32]], *, kind: Kind = "auto", sets: Sequence[int] = SETS
) -> tuple[list[EntropyTable], list[EntropyModel]]:
    """As ``fit_model``, for several qualities, which share tables where that costs less than 0.2 %."""
    return pool_tables([_fit_best(quality, kind, sets) for quality in symbols])


def _fit_best(symbols: NDArray[np.int32], kind: Kind, sets: Sequence[int]) -> Fit:
    chosen_kind, count = _choose(_some_samples(symbols), kind, sets)
    return _fit(symbols, chosen_kind, count)


def _choose(symbols: NDArray[np.int32], kind: Kind, sets: Sequence[int]) -> tuple[str, int]:
    """What codes held-out samples in the fewest bits."""
    block = np.arange(len(symbols)) * _FOLD_BLOCKS // max(len(symbols), 1)
    held = block % _FOLDS == _FOLDS - 1
    training, test = (symbols[~held], symbols[held]) if held.any() else (symbols, symbols)
    best, least = ("sets", sets[0]), np.inf
    for one in _kinds(symbols, kind):
        for count in sets:
            bits = _bits(_fit(training, one, count), test)
            if bits < _GAIN * least:
                best, least = (one, count), bits
            elif one == best[0] and count > 2 * best[1]:
                break
    return best


def _kinds(symbols: NDArray[np.int32], kind: Kind) -> tuple[str, ...]:
    """Without positions nothing is beside anything."""
    if kind == "auto":
        return ("sets", "neighbors") if symbols.ndim > 2 else ("sets",)
    return (kind,)


def _fit(symbols: NDArray[np.int32], kind: str, sets: int) -> Fit:
    return fit_neighbors(symbols, sets) if kind == "neighbors" else fit_sets(symbols, sets)


def _bits(fit: Fit, symbols: NDArray[np.int32]) -> float:
    return Coder(fit.tables, [fit.model]).bits(symbols, 0)


def _some_samples(symbols: NDArray[np.int32]) -> NDArray[np.int32]:
    """Samples spread over all of them, as many as are quick to look at."""
    stride = max(1, symbols.size // _MAX_VALUES)
    return symbols[::stride]
