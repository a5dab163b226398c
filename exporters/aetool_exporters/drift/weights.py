"""Does an artifact hold the weights that the model has? Constants have no names: they are known by their values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from aetool_exporters.drift.program import Operation, Program, as_array
from aetool_exporters.drift.progress import Match
from aetool_exporters.drift.report import Cause
from aetool_exporters.drift.trace import Constant, Trace
from aetool_runtime.specs import Array

__all__ = ["changed_weights"]

_ALIKE = 0.7  # correlation from which a constant is taken for a weight
_EQUAL = 1e-4  # of the weight's largest value: folding rounds
_HALF = 2.0**-10  # of each value: float16 rounds
_STEPS = 3.5  # of a quantized weight: those of a layer are rounded together, so that their errors cancel
_MOST_CHANGED = 0.5  # share of the values; more is another weight, or a folded one


@dataclass(frozen=True)
class _Weight:
    layer: str
    name: str
    values: Array


def changed_weights(program: Program, trace: Trace, match: Match) -> Iterator[Cause]:
    """The weights of a layer, or of the group that it is fused with, that are not in the artifact as they should be."""
    constants = _constants(trace, match)
    operations = [program.operations[at] for at in (*match.fused, match.layer)]
    for weight in _weights(operations):
        found = _nearest(weight, constants)
        if found is None:
            continue
        constant, values, step = found
        off = np.abs(values - weight.values)
        size = np.abs(weight.values)
        wrong = off > np.maximum.reduce([step * _STEPS, _HALF * size, np.full_like(size, _EQUAL * size.max())])
        share = float(wrong.mean())
        if not share or share > _MOST_CHANGED:
            continue
        yield _cause(weight, constant, values, step, wrong)


def _cause(weight: _Weight, constant: Constant, values: Array, step: Array, wrong: Array) -> Cause:
    off = np.abs(values - weight.values)
    worst = tuple(map(int, np.unravel_index(int(np.argmax(off)), off.shape)))
    place = f"[{', '.join(map(str, worst))}]"
    what = (
        f"{weight.layer}: {int(wrong.sum())} of {wrong.size} values of its {weight.name} ({constant.name}) are not "
        f"Keras's, the furthest at {place}: {values[worst]:.4g} in place of {weight.values[worst]:.4g}"
    )
    if constant.grid is not None and _at_the_end(values, step, wrong):
        return Cause(
            "saturating_weights", what, "the scale is too small: quantize the weights again from their own range"
        )
    return Cause("changed_weights", what, "export again, from the model that it is held against")


def _at_the_end(values: Array, step: Array, wrong: Array) -> bool:
    """Whether most of the wrong values stand where the integers end."""
    integers = np.abs(values) / step
    return bool(np.mean(integers[wrong] >= 0.9 * integers.max()) > 0.5)


def _constants(trace: Trace, match: Match) -> list[Constant]:
    nodes = trace.between(match.sources, match.tensor)
    return [c for node in nodes for c in node.constants if c.values.size > 1 and c.values.dtype.kind == "f"]


def _weights(operations: Sequence[Operation]) -> Iterator[_Weight]:
    """Every weight as it is and, where BatchNormalization follows at once, as it is with that folded in."""
    for at, operation in enumerate(operations):
        for variable in getattr(operation.layer, "weights", ()):
            values = as_array(variable)
            if values.dtype.kind == "f" and values.size > 1:
                yield _Weight(operation.name, variable.name, values)
        if at + 1 < len(operations) and operations[at + 1].kind == "BatchNormalization":
            yield from _folded(operation, operations[at + 1])


def _folded(operation: Operation, norm: Operation) -> Iterator[_Weight]:
    own = {variable.name: as_array(variable) for variable in getattr(operation.layer, "weights", ())}
    other = {variable.name: as_array(variable) for variable in norm.layer.weights}
    kernel, mean, variance = own.get("kernel"), other.get("moving_mean"), other.get("moving_variance")
    if kernel is None or mean is None or variance is None:
        return
    gain = other.get("gamma", np.ones_like(mean)) / np.sqrt(variance + norm.layer.epsilon)
    transposed = "Transpose" in operation.kind
    if kernel.shape[-2 if transposed else -1] != gain.size:
        return
    folded = kernel * (gain[:, None] if transposed else gain)
    yield _Weight(operation.name, f"kernel, {norm.name} folded in", folded)
    bias = (own.get("bias", np.zeros_like(mean)) - mean) * gain + other.get("beta", np.zeros_like(mean))
    yield _Weight(operation.name, f"bias, {norm.name} folded in", bias)


def _nearest(weight: _Weight, constants: Sequence[Constant]) -> tuple[Constant, Array, Array] | None:
    """The constant that looks most like a weight, laid out like it, with the steps between its neighbours."""
    best, found = _ALIKE, None
    for constant in constants:
        if constant.values.size != weight.values.size:
            continue
        for values, step in _laid_out(constant, weight.values.shape):
            alike = _correlation(values, weight.values)
            if alike > best:
                best, found = alike, (constant, values, step)
    return found


def _laid_out(constant: Constant, shape: tuple[int, ...]) -> Iterator[tuple[Array, Array]]:
    steps = _steps(constant)
    squeezed = [axis for axis, size in enumerate(constant.values.shape) if size != 1]
    wanted = [size for size in shape if size != 1]
    core = [constant.values.shape[axis] for axis in squeezed]
    for order in permutations(range(len(core))):
        if [core[axis] for axis in order] == wanted:
            values = constant.values.reshape(core).transpose(order).reshape(shape)
            yield values, steps.reshape(core).transpose(order).reshape(shape)


def _steps(constant: Constant) -> Array:
    if constant.grid is None:
        return np.zeros_like(constant.values)
    scale, shape = constant.grid.scale, [1] * constant.values.ndim
    if constant.grid.axis is not None:
        shape[constant.grid.axis] = scale.size
    return np.broadcast_to(scale.reshape(shape), constant.values.shape)


def _correlation(one: Array, other: Array) -> float:
    first, second = one.reshape(-1).astype(np.float64), other.reshape(-1).astype(np.float64)
    length = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / length if length else 0.0
