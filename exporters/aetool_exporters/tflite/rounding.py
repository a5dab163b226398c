"""Rounding of weights that makes up in some for what it took from others.

A kernel's outputs are sums over inputs that rise and fall together. Rounded one by one, weights lose what nothing gives
back; here each error is passed on to the weights that are still to be rounded, as far as their inputs are like its own
(E. Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers", ICLR 2023).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aetool_runtime.specs import Array

__all__ = ["round_together"]

_Matrix = NDArray[np.float64]

_DAMPING = 0.05  # of the mean variance: what a few samples cannot tell of others like them
_TOGETHER = 1024  # inputs whose covariance is looked at; its cost grows with the third power
_BLOCK = 64


def round_together(weights: Array, scales: Array, largest: int, rows: Array, noise: float) -> NDArray[np.int16]:
    """Integers that are best together on what the weights are multiplied with.

    Args:
        weights: [outputs, inputs].
        scales: [outputs], > 0, the real value of one step.
        largest: integers lie between it and its opposite.
        rows: [samples, inputs] that the weights met; what is the same in all of them is left to the bias.
        noise: the variance that the inputs' own rounding adds.

    Returns:
        [outputs, inputs]. Weights that are whole multiples of their scale already are left as they are.
    """
    made = np.empty(weights.shape, np.int16)
    order = np.argsort(-rows.var(axis=0, dtype=np.float64), kind="stable")  # the heaviest, while all others can help
    for start in range(0, len(order), _TOGETHER):
        chosen = order[start : start + _TOGETHER]
        steps = weights[:, chosen].astype(np.float64) / np.asarray(scales, np.float64)[:, np.newaxis]
        made[:, chosen] = _rounded(steps, _passed_on(rows[:, chosen], noise), largest)
    return made


def _passed_on(rows: Array, noise: float) -> _Matrix:
    """[inputs, inputs], upper triangle: row i, the share of i's error that each later input makes up for."""
    centered = rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)
    covariance = centered.T @ centered / len(rows)
    mean = float(np.trace(covariance)) / len(covariance)
    covariance[np.diag_indices_from(covariance)] += noise + (_DAMPING * mean or 1.0)
    # the upper Cholesky factor U of the inverse = U'U, rows divided by the diagonal
    flipped = np.linalg.cholesky(covariance[::-1, ::-1])[::-1, ::-1]
    factor = np.linalg.inv(flipped)
    return factor / np.diag(factor)[:, np.newaxis]


def _rounded(steps: _Matrix, passed_on: _Matrix, largest: int) -> _Matrix:
    """In blocks, so that most of the work is matrix products."""
    left, made = steps, np.empty_like(steps)
    for start in range(0, steps.shape[1], _BLOCK):
        stop = min(start + _BLOCK, steps.shape[1])
        errors = np.empty((len(steps), stop - start))
        for place in range(start, stop):
            made[:, place] = np.clip(np.rint(left[:, place]), -largest, largest)
            errors[:, place - start] = left[:, place] - made[:, place]
            left[:, place + 1 : stop] -= np.outer(errors[:, place - start], passed_on[place, place + 1 : stop])
        left[:, stop:] -= errors @ passed_on[start:stop, stop:]
    return made
