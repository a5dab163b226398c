"""A bundle beside what else could be used, and the sentence that comes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from aetool.compressing.curves import Curve, Point, bd_rate
from aetool.compressing.own_curves import Data, alone, curve_of, fitted_linear, lossless_point, model_bytes
from aetool.compressing.recall import NeighborJudge, quantizer_curves, recall_at
from aetool.compressing.rivals import RIVALS, rival_curves
from aetool_runtime import Bundle
from aetool_runtime.compression.description import Codec, Compression
from aetool_runtime.errors import UsageError
from aetool_runtime.specs import Array

__all__ = ["BUNDLE", "LINEAR", "Comparison", "compare", "steps_of"]

BUNDLE, LINEAR = "this bundle", "PCA"
_AIMS, _BEYOND = 8, 1.5  # errors that others aim at, from beyond this bundle's largest to beyond its smallest
_WORTH = -0.1  # what is not a tenth less is not worth a network


@dataclass(frozen=True)
class Comparison:
    """Curves, this bundle's first.

    Args:
        samples, values: how many they were measured on.
        curves: of all coders that are here.
        missing: name → why, of those that are not.
        linear_alone: the bundle's only codec is the linear one.
    """

    samples: int
    values: int
    curves: tuple[Curve, ...]
    missing: dict[str, str] = field(default_factory=dict)
    linear_alone: bool = False

    def curve(self, name: str) -> Curve | None:
        """The one of that name."""
        return next((curve for curve in self.curves if curve.name == name), None)

    @property
    def rates(self) -> dict[str, float]:
        """Of each other coder whose errors meet this bundle's: its bytes over the bundle's at equal error, minus 1."""
        found = {curve.name: bd_rate(curve, self.curves[0]) for curve in self.curves[1:]}
        return {name: rate for name, rate in found.items() if rate is not None}

    def verdict(self, *, by_recall: bool) -> str:
        """One sentence."""
        return _by_recall(self) if by_recall else _by_rate(self)


def steps_of(by_recall: bool) -> int:
    """How many steps ``compare`` tells of."""
    return 2 + (1 if by_recall else len(RIVALS))


def compare(
    bundle: Bundle,
    compression: Compression,
    data: Data,
    training: Array | None,
    *,
    by_recall: bool,
    count_model: bool,
    on_done: Callable[[int], None],
) -> Comparison:
    """Measure everything that is here.

    Args:
        training: samples that principal components are fitted to where the bundle has none, and quantizers' ranges.

    Raises:
        UsageError: the bundle has no codec to draw a curve of.
        InputError: data that have no neighbours, or that no principal components can be made of.
    """
    if not compression.codecs:
        raise UsageError("the bundle has no codec, so no qualities", where=str(bundle.path))
    digest = bytes.fromhex(bundle.digest)
    extra = model_bytes(compression) if count_model else 0
    own = curve_of(BUNDLE, compression, data, digest, extra=extra)
    if not by_recall:
        own = Curve(BUNDLE, (*own.points, lossless_point(compression, data, digest, extra)))
    on_done(1)
    curves, missing = [own], {}
    linear = _linear(bundle, compression, data.samples, training)
    only = linear is not None and len(compression.codecs) == 1 and compression.codecs[0].name == "linear"
    if linear is None:
        missing[LINEAR] = "the bundle has no linear codec; --train DATA fits one"
    elif not only:
        curves.append(curve_of(LINEAR, linear, data, digest, extra=model_bytes(linear) if count_model else 0))
    on_done(1)
    others, absent = _others(data, training, own, by_recall=by_recall, count_model=count_model, on_done=on_done)
    values = int(data.samples.size)
    return Comparison(len(data.samples), values, (*curves, *others), {**missing, **absent}, only)


def _linear(bundle: Bundle, compression: Compression, samples: Array, training: Array | None) -> Compression | None:
    codec: Codec | None = next((one for one in compression.codecs if one.encoder == "adjoint"), None)
    if codec is not None:
        return alone(compression, codec)
    return None if training is None else fitted_linear(bundle, compression, training, samples)


def _others(
    data: Data,
    training: Array | None,
    own: Curve,
    *,
    by_recall: bool,
    count_model: bool,
    on_done: Callable[[int], None],
) -> tuple[list[Curve], dict[str, str]]:
    if by_recall:
        assert isinstance(data.judge, NeighborJudge)
        learned = data.samples if training is None else training
        found = quantizer_curves(data.samples, learned, data.judge, count_model=count_model)
        on_done(1)
        return found
    errors = [one.rmse for one in own.points if one.rmse]
    aims = np.geomspace(_BEYOND * max(errors), min(errors) / _BEYOND, _AIMS) if errors else ()
    return rival_curves(data.samples, [float(aim) for aim in aims], on_done)


def _by_rate(found: Comparison) -> str:
    rates = found.rates
    linear = rates.get(LINEAR)
    others = {name: rate for name, rate in rates.items() if name != LINEAR}
    nearest = min(others, key=others.__getitem__, default=None)
    if nearest is not None and others[nearest] < 0:
        return f"Not worth it here: {nearest} takes {_less(others[nearest])} than this bundle at equal error."
    beside = "" if nearest is None else f"; of the others {nearest} comes nearest, with {_less(others[nearest])}"
    if found.linear_alone:
        return f"Worth it: principal components alone, no network{beside}." if beside else _UNKNOWN
    if linear is None:
        return f"Worth it{beside}; principal components were not compared." if beside else _UNKNOWN
    gain = 1 / (1 + linear) - 1  # this bundle's bytes over theirs
    amount = f"{_less(gain)} than principal components with the same coder"
    if gain > _WORTH:
        return (
            f"Not worth a network: at equal error this bundle takes {amount}, which need none "
            f"(aetool export --codec linear){beside}."
        )
    return f"Worth it: at equal error this bundle takes {amount}{beside}."


_UNKNOWN = "Nothing can be said: no other coder's errors meet this bundle's."


def _less(rate: float) -> str:
    return f"{abs(rate):.0%} {'fewer' if rate < 0 else 'more'} bytes"


def _by_recall(found: Comparison) -> str:
    own = found.curves[0]
    gaps = [(_own_recall(own, point), curve.name, point) for curve in found.curves[1:] for point in curve.points]
    met = [(mine - point.recall, mine, name, point) for mine, name, point in gaps if mine is not None and point.recall]
    if not met:
        return "Nothing can be said: no other coder's sizes meet this bundle's."
    gap, mine, name, point = min(met, key=lambda one: one[0])
    word = "Worth it" if gap > 0 else "Not worth it here"
    size = point.bytes / found.samples
    return (
        f"{word}: where it is closest, at {size:.1f} bytes a vector, recall@10 is {mine:.3f} with this bundle and "
        f"{point.recall:.3f} with {name}."
    )


def _own_recall(own: Curve, beside: Point) -> float | None:
    """A curve's recall at no more bytes than another's point; what is beyond its end counts where its end is better."""
    last = max(own.points, key=lambda one: one.bytes)
    if beside.bytes > last.bytes:
        return last.recall if (last.recall or 0) >= (beside.recall or 0) else None
    return recall_at(own.points, beside.bytes)
