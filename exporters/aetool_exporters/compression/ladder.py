"""The qualities of a codec: steps from coarse to fine, each with the rounding that is worth most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from aetool_exporters.compression.subject import Subject
from aetool_runtime.compression.description import Quality

__all__ = ["ladder"]

_RATIO = 2.0**0.5  # of one step to the next
_ROUNDINGS = (0.42, 0.35, 0.28, 0.2)  # beside ½; below, what is lost outweighs the bits everywhere
_COARSEST = 0.36  # of the variance, that may be lost
_GAIN = 0.98  # a finer step must lower the error so far
_MOST = 40  # steps that are looked at


@dataclass(frozen=True)
class _Rung:
    """A step, what it costs (bits a value) and what it loses (squared units of scale)."""

    factor: float
    quality: Quality
    rate: float
    distortion: float


def ladder(subject: Subject, start: float, finest: float, count: int) -> list[Quality]:
    """Qualities without models, coarse to fine.

    From ``start`` on steps become finer while that helps, down to ``finest``, and coarser until a third of the variance
    is lost. Of these, ``count`` are kept, evenly spread.

    Args:
        start: the factor of the steps to begin with.
        finest: the smallest factor.
        count: at most so many.
    """
    rungs = [_rung(subject, start)]
    while len(rungs) < _MOST and rungs[-1].factor / _RATIO >= finest * 0.999:
        finer = _rung(subject, rungs[-1].factor / _RATIO)
        if finer.distortion > _GAIN * rungs[-1].distortion or not _finer(finer, rungs[-1]):
            break
        rungs.append(finer)
    while len(rungs) < _MOST and rungs[0].distortion < _COARSEST * subject.variance:
        coarser = _rung(subject, rungs[0].factor * _RATIO)
        if coarser.distortion > _COARSEST * subject.variance or not _finer(rungs[0], coarser):
            break
        rungs.insert(0, coarser)
    return [_rounded(subject, rungs, place).quality for place in _spread(len(rungs), count)]


def _finer(one: _Rung, other: _Rung) -> bool:
    """Costs more for less error: otherwise it is of no use beside the other."""
    return one.rate > other.rate and one.distortion < other.distortion


def _rung(subject: Subject, factor: float) -> _Rung:
    quality = subject.quality(factor)
    return _Rung(factor, quality, subject.rate(quality), subject.distortion(quality))


def _spread(there: int, wanted: int) -> list[int]:
    if there <= wanted:
        return list(range(there))
    return sorted({round(place) for place in np.linspace(0, there - 1, wanted)}) if wanted > 1 else [there // 2]


def _rounded(subject: Subject, rungs: Sequence[_Rung], place: int) -> _Rung:
    """With the rounding of least error + slope · bits, where the slope is what bits buy at this place of the ladder."""
    rung = rungs[place]
    before, behind = rungs[max(0, place - 1)], rungs[min(len(rungs) - 1, place + 1)]
    spent = behind.rate - before.rate
    slope = (before.distortion - behind.distortion) / spent if spent > 0 else 0.0
    best = rung
    for rounding in _ROUNDINGS:
        quality = replace(rung.quality, rounding=rounding)
        found = _Rung(rung.factor, quality, subject.rate(quality), subject.distortion(quality))
        if found.distortion + slope * found.rate >= best.distortion + slope * best.rate:
            break
        best = found
    return best
