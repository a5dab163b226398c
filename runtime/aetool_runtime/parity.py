"""Does an artifact compute what the reference computes? One definition, in units that suit the output.

For an output with centre c (the network's own zero) and scale s (how far from it real values lie; FORMAT.md, section
5), expected value e and met value a:

    |a − e| ≤ s · (atol · r + rtol · |e − c| / s) + 4 · ε · |e|        ε = 2⁻²³

where r = max(1, root mean square of (e − c) / s over the sample). The verdict does not change when the data are
measured in other units; a sample far from what training saw (r > 1) passes through larger numbers on its way, and is
allowed the rounding of those; and no value is asked to be finer than float32 can say.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aetool_runtime.specs import Array, OutputScale, Tolerance

__all__ = ["DEFAULT_TOLERANCES", "MAX_SNR", "ParityReport", "compare", "output_scale", "signal_to_noise", "worst"]

DEFAULT_TOLERANCES = {
    "float32": Tolerance(atol=1e-5, rtol=1e-4),
    # Between engines, against the artifact's own outputs: half floats widened or not, sums rounded in another order,
    # integer kernels a few steps apart.
    "float16": Tolerance(atol=1e-2, rtol=1e-2),
    "dynamic_range": Tolerance(atol=5e-2, rtol=5e-2),
    "int8": Tolerance(atol=2.5e-1, rtol=1e-1),  # kernels of one engine were up to 6 steps, 0.18, apart
    "int16x8": Tolerance(atol=1e-2, rtol=1e-2),
}
_ULPS = 4 * 2.0**-23
MAX_SNR = 200.0
"""What the ratio of two equal arrays is called, dB: manifests hold no infinities."""


@dataclass(frozen=True)
class ParityReport:
    """How one output of an artifact compares with the reference.

    Args:
        case: which inputs it was.
        tensor: the output's name.
        samples: how many were compared.
        worst_error: |met − expected| where it is largest in units of the output's scale; in the output's own units.
        worst_index: where that is: (sample, …).
        relative_error: the same in units of the output's scale.
        peak: the range (largest − smallest) of the expected values, in the output's units.
        psnr: peak signal-to-noise ratio, dB; inf when equal.
        tolerance: what was allowed.
        smallest: the smallest tolerance, of the same proportions, that would pass.
    """

    case: str
    tensor: str
    samples: int
    worst_error: float
    worst_index: tuple[int, ...]
    relative_error: float
    peak: float
    psnr: float
    tolerance: Tolerance
    smallest: Tolerance

    @property
    def passed(self) -> bool:
        return self.smallest.atol <= self.tolerance.atol

    def __str__(self) -> str:
        verdict = "ok" if self.passed else "FAILED"
        place = ", ".join(map(str, self.worst_index))
        return (
            f"{verdict}: {self.tensor} of case {self.case!r}: worst error {self.worst_error:.3g} at [{place}], "
            f"{self.relative_error:.2g} of the output's scale, PSNR {self.psnr:.1f} dB; "
            f"passes from atol {self.smallest.atol:.2g}, rtol {self.smallest.rtol:.2g} "
            f"(allowed {self.tolerance.atol:.2g}, {self.tolerance.rtol:.2g})"
        )


def output_scale(expected: Array, *, zero: Sequence[float] = (0.0,), unit: Sequence[float] = (1.0,)) -> OutputScale:
    """Where a reference output has its own zero, and how far from it the values lie on real data (root mean square).

    Args:
        expected: [samples, …].
        zero, unit: what the network itself calls 0 and 1, in the output's units: one value, or one per channel (the
            last axis). Of a reconstruction they are the normalization's offset and scale; of a latent 0 and 1. An
            output that hardly varies is given 1e-3 of a unit as its scale.
    """
    per_channel = max(len(zero), len(unit)) > 1
    distance = expected.astype(np.float64) - np.array(zero)
    axes = tuple(range(distance.ndim - 1)) if per_channel else None
    spread = np.atleast_1d(np.sqrt(np.mean(distance**2, axis=axes)))
    scale = np.maximum(spread, 1e-3 * np.abs(np.array(unit)))
    center = np.broadcast_to(np.array(zero, np.float64), scale.shape)
    return OutputScale(tuple(center.tolist()), tuple(scale.tolist()))


def compare(
    expected: Array, met: Array, scale: OutputScale, tolerance: Tolerance, *, case: str, tensor: str
) -> ParityReport:
    """Hold an output against the reference.

    Args:
        expected: [samples, …], what the reference computed.
        met: what the artifact computed; another shape, a NaN or an infinity fails.
    """
    if met.shape != expected.shape:
        return _hopeless(expected, tolerance, case, tensor)
    wanted, center, unit = expected.astype(np.float64), np.array(scale.center), np.array(scale.scale)
    with np.errstate(all="ignore"):
        error: Array = np.abs(met.astype(np.float64) - wanted)
        error[np.isnan(error)] = np.inf
        share = _share_of_tolerance(error, wanted, center, unit, tolerance)
    largest = float(np.where(np.isnan(share), np.inf, share).max())
    relative = error / unit
    index = np.unravel_index(int(np.argmax(relative)), relative.shape)
    return ParityReport(
        case=case,
        tensor=tensor,
        samples=len(expected),
        worst_error=float(error[index]),
        worst_index=tuple(map(int, index)),
        relative_error=float(relative[index]),
        peak=float(np.ptp(wanted)),
        psnr=_psnr(wanted, error),
        tolerance=tolerance,
        smallest=Tolerance(tolerance.atol * largest, tolerance.rtol * largest),
    )


def signal_to_noise(expected: Array, met: Array, scale: OutputScale) -> float:
    """How far an output is from the reference as a whole: 10 · log10(Σ u² / Σ ((a − e) / s)²) with u = (e − c) / s.

    Args:
        expected: [samples, …], what the reference computed.
        met: the same shape, what the artifact computed, real values.

    Returns:
        dB, at most ``MAX_SNR``; −``MAX_SNR`` where anything is not finite or the shapes differ.
    """
    if met.shape != expected.shape:
        return -MAX_SNR
    unit = np.array(scale.scale)
    with np.errstate(all="ignore"):
        signal = float(np.sum(((expected.astype(np.float64) - np.array(scale.center)) / unit) ** 2))
        noise = float(np.sum(((met.astype(np.float64) - expected) / unit) ** 2))
    if not math.isfinite(noise):
        return -MAX_SNR
    if noise == 0.0:
        return MAX_SNR
    return max(-MAX_SNR, min(MAX_SNR, 10 * math.log10(signal / noise))) if signal else -MAX_SNR


def worst(reports: Sequence[ParityReport]) -> ParityReport:
    """The report that is nearest to failing, or furthest past it."""
    return max(reports, key=lambda report: report.smallest.atol / report.tolerance.atol)


def _share_of_tolerance(error: Array, wanted: Array, center: Array, unit: Array, tolerance: Tolerance) -> Array:
    """How much of what is allowed each element uses; the rounding of float32 itself is free."""
    distance = np.abs(wanted - center) / unit
    sample_axes = tuple(range(1, wanted.ndim))
    reach = np.maximum(1.0, np.sqrt(np.mean(distance**2, axis=sample_axes, keepdims=True)))
    allowed = unit * (tolerance.atol * reach + tolerance.rtol * distance)
    share: Array = np.maximum(error - _ULPS * np.abs(wanted), 0.0) / allowed
    return share


def _psnr(wanted: Array, error: Array) -> float:
    with np.errstate(over="ignore"):
        mse = float(np.mean(error**2))
    if mse == 0.0:
        return math.inf
    peak = float(np.ptp(wanted)) or 1.0
    return 20 * math.log10(peak) - 10 * math.log10(mse) if math.isfinite(mse) else -math.inf


def _hopeless(expected: Array, tolerance: Tolerance, case: str, tensor: str) -> ParityReport:
    inf = math.inf
    peak = float(np.ptp(expected))
    nowhere = (0,) * expected.ndim
    return ParityReport(case, tensor, len(expected), inf, nowhere, inf, peak, -inf, tolerance, Tolerance(inf, inf))
