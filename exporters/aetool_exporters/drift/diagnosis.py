"""Why a layer drifts: the usual causes, each held against what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from aetool_exporters.drift.alignment import Match
from aetool_exporters.drift.measure import snr
from aetool_exporters.drift.program import Program
from aetool_exporters.drift.ranges import activation_causes, weight_causes
from aetool_exporters.drift.report import Cause
from aetool_exporters.drift.trace import Trace
from aetool_exporters.drift.variants import explaining
from aetool_exporters.drift.weights import changed_weights
from aetool_runtime.specs import Array

__all__ = ["diagnose"]

_EXPLAINED = 10.0  # dB
_WRONG_GAIN = 0.02
_MOST_OF_THE_ERROR = 0.9
_FEW_CHANNELS = 0.2


def diagnose(
    program: Program, trace: Trace, match: Match, shapes: Mapping[int, tuple[int, ...]], confident: float
) -> tuple[Cause, ...]:
    """The causes that fit, the most telling first; one that says so where none does.

    Args:
        shapes: of every slot of the program.
        confident: dB from which a mistake explains what was met.
    """
    broken = _broken(match)
    if broken is not None:
        return (broken,)
    causes = list(_measured(program, trace, match))
    mistake = explaining(program, match, shapes, confident)
    if mistake is not None:
        causes.insert(0, mistake)
    if not causes:
        causes = list(_shape_of_the_error(match))
    return tuple({cause.kind: cause for cause in reversed(causes)}.values())[::-1] or (_UNKNOWN,)


_UNKNOWN = Cause(
    "unknown",
    "none of the usual causes explains it",
    "keep the layer in float, or export another format and compare the tables",
)


def _broken(match: Match) -> Cause | None:
    met = match.met
    if not np.all(np.isfinite(met)):
        share = float(np.mean(~np.isfinite(met)))
        what = f"{share:.1%} of its values are not finite, and nothing before it was so"
        return Cause(
            "not_finite", what, "look for a division by zero or an overflow of float16 there; keep the layer in float32"
        )
    if met.size > 1 and not np.ptp(met) and np.ptp(match.expected):
        what = f"it returns {met.reshape(-1)[0]:.4g} whatever it is given"
        return Cause("collapsed", what, "look at the scale of its output and of its weights, and calibrate again")
    return None


def _measured(program: Program, trace: Trace, match: Match) -> Iterator[Cause]:
    tensor = trace.tensors[match.tensor]
    yield from changed_weights(program, trace, match)
    nodes = list(trace.between(match.sources, match.tensor))
    yield from activation_causes(match.expected, match.met, tensor.grid)
    seen: set[str] = set()
    for node in nodes:
        for constant in node.constants:
            if constant.name not in seen:
                seen.add(constant.name)
                yield from weight_causes(node, constant)


def _shape_of_the_error(match: Match) -> Iterator[Cause]:
    """Where no cause is found: what the error looks like."""
    expected, met = (values.astype(np.float64) for values in (match.expected, match.met))
    power = float(np.sum(expected**2))
    gain = float(np.sum(expected * met)) / power if power else 1.0
    if abs(gain - 1) > _WRONG_GAIN and snr(expected * gain, met) >= match.own + _EXPLAINED:
        what = f"the whole output is {gain:.4g} times what it should be"
        yield Cause("wrong_scale", what, "look at the scales of its output and its weights")
        return
    yield from _few_channels(expected, met)


def _few_channels(expected: Array, met: Array) -> Iterator[Cause]:
    channels = expected.shape[-1] if expected.ndim > 1 else 1
    energy = np.sum((met - expected).reshape(-1, channels) ** 2, axis=0)
    order = np.argsort(energy)[::-1]
    share = np.cumsum(energy[order]) / energy.sum() if energy.sum() else np.zeros(channels)
    count = int(np.searchsorted(share, _MOST_OF_THE_ERROR)) + 1
    if channels >= 4 and count <= max(1, int(_FEW_CHANNELS * channels)):
        listed = ", ".join(str(int(channel)) for channel in order[:count])
        offset = float(np.mean((met - expected).reshape(-1, channels)[:, order[0]]))
        what = (
            f"{share[count - 1]:.0%} of the error is in channel{'s' if count > 1 else ''} {listed}; the first is "
            f"off by {offset:+.3g} on average"
        )
        yield Cause("few_channels", what, "look at the weights and scales of these channels")
