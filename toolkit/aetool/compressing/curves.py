"""Rate and distortion: points, curves, and how much less one curve takes than another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aetool_runtime.specs import Array

__all__ = ["Curve", "Point", "bd_rate", "pchip", "point"]

_PLACES = 1000  # at which the gap between two curves is looked at
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Point:
    """What one setting of a coder came to.

    Args:
        setting: as a person would say it.
        bytes: of all data, every header counted.
        rmse, largest_error: raw units; 0 for no loss.
        recall: share of the ten nearest neighbours found; ``None`` where it was not asked for.
    """

    setting: str
    bytes: int
    rmse: float
    largest_error: float
    recall: float | None = None


@dataclass(frozen=True)
class Curve:
    """A coder's points, by falling error."""

    name: str
    points: tuple[Point, ...]


def point(setting: str, size: int, samples: Array, restored: Array) -> Point:
    """Measured on what came back."""
    gap = restored.astype(np.float64) - samples
    return Point(setting, size, math.sqrt(float(np.mean(gap**2))), float(np.abs(gap).max(initial=0.0)))


def bd_rate(curve: Curve, other: Curve) -> float | None:
    """The mean ratio of bytes at equal error, minus 1: −0.1 is a tenth less than ``other``. ``None`` without overlap.

    Bjøntegaard, ITU-T VCEG-M33 (2001): the mean difference of log rates over the quality in dB that both curves have;
    between points monotone cubics, as its successors take them (JCTVC-L1100).
    """
    one, two = _front(curve), _front(other)
    if min(len(one), len(two)) < 2:
        return None
    low, high = max(one[0, 0], two[0, 0]), min(one[-1, 0], two[-1, 0])
    if low >= high:
        return None
    places = np.linspace(low, high, _PLACES)
    gaps = pchip(one[:, 0], one[:, 1], places) - pchip(two[:, 0], two[:, 1], places)
    return float(np.exp(np.mean((gaps[1:] + gaps[:-1]) / 2)) - 1)


def _front(curve: Curve) -> Floats:
    """[quality, log bytes] of points with loss that no other point beats, ascending."""
    found: list[tuple[float, float]] = []
    for one in sorted(curve.points, key=lambda one: (one.bytes, one.rmse)):
        if one.rmse > 0 and one.bytes > 0:
            place = (-20 * math.log10(one.rmse), math.log(one.bytes))
            if not found or (place[0] > found[-1][0] and place[1] > found[-1][1]):
                found.append(place)
    return np.array(found, np.float64).reshape(-1, 2)


def pchip(x: Floats, y: Floats, places: Floats) -> Floats:
    """Piecewise cubic, monotone where the data are (Fritsch and Butland 1984), at places within ``x``, ascending."""
    step = np.diff(x)
    slope = np.diff(y) / step
    if len(x) == 2:
        return np.asarray(y[0] + slope[0] * (places - x[0]))
    inner = np.zeros(len(x) - 2)
    before, behind = slope[:-1], slope[1:]
    alike = before * behind > 0
    one, two = 2 * step[1:] + step[:-1], step[1:] + 2 * step[:-1]
    inner[alike] = (one + two)[alike] / (one[alike] / before[alike] + two[alike] / behind[alike])
    ends = _end(step[0], step[1], slope[0], slope[1]), _end(step[-1], step[-2], slope[-1], slope[-2])
    tangent = np.concatenate([[ends[0]], inner, [ends[1]]])
    at = np.clip(np.searchsorted(x, places, side="right") - 1, 0, len(step) - 1)
    t, h = (places - x[at]) / step[at], step[at]
    rise = (3 * slope[at] - 2 * tangent[at] - tangent[at + 1]) * t**2
    bend = (tangent[at] + tangent[at + 1] - 2 * slope[at]) * t**3
    return np.asarray(y[at] + h * (tangent[at] * t + rise + bend))


def _end(near: float, far: float, slope: float, next_slope: float) -> float:
    """The tangent at an end, by three points, kept monotone."""
    tangent = ((2 * near + far) * slope - near * next_slope) / (near + far)
    if tangent * slope <= 0:
        return 0.0
    if slope * next_slope <= 0 and abs(tangent) > 3 * abs(slope):
        return 3 * slope
    return float(tangent)


def best(curves: Sequence[Curve], reference: Curve) -> tuple[Curve, float] | None:
    """The curve that takes fewest bytes beside another, and its rate."""
    rated = [(curve, rate) for curve in curves if (rate := bd_rate(curve, reference)) is not None]
    return min(rated, key=lambda pair: pair[1], default=None)
