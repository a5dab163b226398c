"""What is tried: precision × calibration × granularity × layers that stay in float32."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from aetool_exporters.request import CALIBRATION_METHODS, QuantizationOptions

__all__ = ["CALIBRATED", "Candidate", "Space"]

CALIBRATED = ("int8", "int16x8")
"""Precisions that need data to measure ranges on."""
_NAMED = 4
_SCALED = ("int8", "dynamic_range", "int16x8")
# The cheapest wins first: what most models bear, then what some need; 16-bit activations are slow nearly everywhere.
_ORDER = ("int8", "dynamic_range", "float16", "int16x8")
_METHODS = ("minmax", "mse", "percentile", "entropy")
assert set(_METHODS) == set(CALIBRATION_METHODS)


@dataclass(frozen=True)
class Candidate:
    """One way to reach a reduced precision.

    Args:
        precision: see ``aetool_runtime.specs.PRECISIONS``.
        method: of calibration; "" where nothing is calibrated.
        per_channel: one scale for each channel of a kernel; ``None`` where weights have no scales.
        float_layers: Keras layers that stay in float32.
        tuned: from weights that were fine-tuned.
    """

    precision: str
    method: str = ""
    per_channel: bool | None = None
    float_layers: frozenset[str] = frozenset()
    tuned: bool = False

    def options(self, base: QuantizationOptions) -> QuantizationOptions:
        """``base`` with this candidate's choices."""
        calibration = base.calibration
        if calibration is not None and self.method:
            calibration = replace(calibration, method=self.method)
        per_channel = base.per_channel if self.per_channel is None else self.per_channel
        return replace(base, calibration=calibration, per_channel=per_channel, float_layers=self.float_layers)

    def keeping(self, layers: frozenset[str]) -> Candidate:
        """The same with other layers in float32."""
        return replace(self, float_layers=layers)

    @property
    def order(self) -> tuple[int, str]:
        """Of candidates that are equally good the least comes first: the plainest calibration, then by name."""
        return (_METHODS.index(self.method) if self.method in _METHODS else len(_METHODS), str(self))

    @property
    def granularity(self) -> str:
        """``per channel``, ``per tensor``, or "" where weights have no scales."""
        return "" if self.per_channel is None else ("per channel" if self.per_channel else "per tensor")

    def __str__(self) -> str:
        tuned = "fine-tuned" if self.tuned else ""
        parts = (self.precision, self.method, self.granularity, _kept(sorted(self.float_layers)), tuned)
        return ", ".join(part for part in parts if part)


def _kept(layers: list[str]) -> str:
    if not layers:
        return ""
    rest = f" and {len(layers) - _NAMED} more" if len(layers) > _NAMED else ""
    return f"float32 in {', '.join(layers[:_NAMED])}{rest}"


@dataclass(frozen=True)
class Space:
    """What may be tried.

    Args:
        precisions: reduced ones.
        methods: of calibration; () where there are no data to calibrate with.
        granularities: values of ``per_channel``.
        float_layers: that stay in float32 in any case.
        mixed: whether others may as well.
    """

    precisions: tuple[str, ...]
    methods: tuple[str, ...] = _METHODS
    granularities: tuple[bool, ...] = (True, False)
    float_layers: frozenset[str] = frozenset()
    mixed: bool = True

    def uniform(self, *, tuned: bool) -> Iterator[Candidate]:
        """Those that treat all layers alike, in the order in which they are worth trying.

        Each precision once with its likeliest choices, then the other choices.
        """
        firsts = [next(self._of(precision, tuned), None) for precision in self._ordered()]
        yield from (first for first in firsts if first is not None)
        for precision in self._ordered():
            yield from (other for other in self._of(precision, tuned) if other not in firsts)

    def mixable(self, precision: str) -> bool:
        """Whether single layers may stay in float32 at this precision."""
        return self.mixed and precision in _SCALED

    def _ordered(self) -> list[str]:
        known = [precision for precision in _ORDER if precision in self.precisions]
        return known + [precision for precision in self.precisions if precision not in known]

    def _of(self, precision: str, tuned: bool) -> Iterator[Candidate]:
        if precision not in _SCALED:
            if not tuned:  # fine-tuning prepares weights for integers
                yield Candidate(precision)
            return
        methods = [name for name in _METHODS if name in self.methods] if precision in CALIBRATED else [""]
        for per_channel in self.granularities:
            for method in methods:
                yield Candidate(precision, method, per_channel, self.float_layers, tuned)
