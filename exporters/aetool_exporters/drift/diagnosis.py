"""Why a layer drifts: the usual causes, each held against what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from aetool_exporters.drift.measure import best_fit, likeness
from aetool_exporters.drift.program import Program, as_array
from aetool_exporters.drift.progress import Match
from aetool_exporters.drift.ranges import activation_causes, weight_causes
from aetool_exporters.drift.report import Cause
from aetool_exporters.drift.trace import Tensor, Trace
from aetool_exporters.drift.variants import explaining
from aetool_exporters.drift.weights import changed_weights
from aetool_runtime.specs import Array

__all__ = ["diagnose", "suspicions"]

_EXPLAINED = 10.0  # dB
_NORM = "BatchNormalization"
_ROWS = 16  # values for each channel, that a line through them says something
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
        norm = next((op.name for at in (*match.fused, match.layer) if (op := program.operations[at]).kind == _NORM), "")
        causes = list(_shape_of_the_error(match, norm, confident))
    return _distinct(causes) or (_UNKNOWN,)


def suspicions(program: Program, trace: Trace, match: Match) -> tuple[Cause, ...]:
    """What is unhealthy about a layer that is within tolerance by itself."""
    return _distinct(_measured(program, trace, match))


def _distinct(causes: Iterable[Cause]) -> tuple[Cause, ...]:
    """The first of each kind."""
    found: dict[str, Cause] = {}
    for cause in causes:
        found.setdefault(cause.kind, cause)
    return tuple(found.values())


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
    if len(met) > 1 and not np.ptp(met, axis=0).any() and np.ptp(match.expected, axis=0).any():
        what = f"it returns the same whatever it is given, {met.reshape(-1)[0]:.4g} first"
        return Cause("collapsed", what, "look at the scale of its output and of its weights, and calibrate again")
    return None


def _measured(program: Program, trace: Trace, match: Match) -> Iterator[Cause]:
    tensor = trace.tensors[match.tensor]
    yield from changed_weights(program, trace, match)
    nodes = list(trace.between(match.sources, match.tensor))
    yield from activation_causes(match.expected, match.met, tensor.grid)
    for node in nodes[:-1]:
        yield from _entering(match, node)
    seen: set[str] = set()
    for node in nodes:
        for constant in node.constants:
            if constant.name not in seen:
                seen.add(constant.name)
                yield from weight_causes(node, constant)


def _entering(match: Match, node: Tensor) -> Iterator[Cause]:
    """A range that what goes into the layer passes through on its way, in another shape perhaps."""
    for given in map(as_array, match.given.values()):
        fit = best_fit(given, node.values) if node.grid is not None and given.dtype.kind == "f" else None
        if fit is not None and fit.likeness < match.own + _EXPLAINED:
            for cause in activation_causes(given, fit.values, node.grid):
                yield Cause(cause.kind, f"of what goes in: {cause.what}", cause.hint)


def _shape_of_the_error(match: Match, norm: str, confident: float) -> Iterator[Cause]:
    """Where no mistake explains it: what the error looks like.

    Args:
        norm: the BatchNormalization among the layers, or "".
    """
    expected, met = (values.astype(np.float64) for values in (match.expected, match.met))
    power = float(np.sum(expected**2))
    gain = float(np.sum(expected * met)) / power if power else 1.0
    if abs(gain - 1) > _WRONG_GAIN and likeness(expected * gain, met) >= match.own + _EXPLAINED:
        what = f"the whole output is {gain:.4g} times what it should be"
        yield Cause("wrong_scale", what, "look at the scales of its output and its weights")
        return
    affine = _affine_channels(expected, met, norm, max(confident, match.own + _EXPLAINED))
    if affine is not None:
        yield affine
    else:
        yield from _few_channels(expected, met)


def _affine_channels(expected: Array, met: Array, norm: str, least: float) -> Cause | None:
    """A gain and an offset for each channel, as of a bias that is missing or a normalization that is folded wrong."""
    channels = expected.shape[-1] if expected.ndim > 1 else 1
    wanted, got = expected.reshape(-1, channels), met.reshape(-1, channels)
    if len(wanted) < _ROWS:
        return None
    offset = (got - wanted).mean(axis=0)
    middle, center = wanted.mean(axis=0), got.mean(axis=0)
    spread = np.sum((wanted - middle) ** 2, axis=0)
    gain = np.sum((wanted - middle) * (got - center), axis=0) / np.where(spread, spread, 1.0)
    if likeness(got, wanted + offset) >= least:
        worst = int(np.argmax(np.abs(offset)))
        alone = np.count_nonzero(np.abs(offset) > 0.01 * abs(offset[worst])) == 1
        which = f"channel {worst} alone is off" if alone else "channels are off by a constant each,"
        what = f"{which} by {'' if alone else 'at most '}{offset[worst]:+.3g}: a bias is wrong or missing"
        return Cause("wrong_bias", what, "export again, and look at the Add behind the layer")
    if likeness(got, (wanted - middle) * gain + center) < least:
        return None
    if norm:
        what = f"every channel has a gain of its own, from {gain.min():.3g} to {gain.max():.3g}: {norm} is folded wrong"
        return Cause("unfolded_batch_norm", what, "fold it from the moving statistics, gamma, beta and epsilon")
    what = f"every channel has a gain of its own, from {gain.min():.3g} to {gain.max():.3g}"
    return Cause("wrong_scale", what, "look at the scales of its weights, channel by channel")


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
