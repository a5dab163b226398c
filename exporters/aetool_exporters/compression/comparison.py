"""Two codecs by their curves: how many bits one takes of the other's, at equal error."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aetool_runtime.compression.description import Quality

__all__ = ["bd_rate"]


def bd_rate(curve: Sequence[Quality], other: Sequence[Quality]) -> float | None:
    """The mean ratio of bits over the errors that both curves have, minus 1: −0.1 is a tenth less than ``other``.

    After Bjøntegaard (VCEG-M33, 2001): the mean difference of log bits over log error, here between points that are
    joined by straight lines. ``None`` where the curves have no error in common.
    """
    one, two = _points(curve), _points(other)
    if len(one) < 2 or len(two) < 2:
        return None
    low, high = max(one[0, 0], two[0, 0]), min(one[-1, 0], two[-1, 0])
    if low >= high:
        return None
    errors = np.linspace(low, high, 200)
    gaps = np.interp(errors, one[:, 0], one[:, 1]) - np.interp(errors, two[:, 0], two[:, 1])
    return float(np.exp(gaps.mean()) - 1)


def _points(curve: Sequence[Quality]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """[log error, log bits], ascending in error."""
    known = sorted({(q.rmse, q.bits) for q in curve if q.rmse and q.bits})
    return np.log(np.array(known, np.float64).reshape(-1, 2))
