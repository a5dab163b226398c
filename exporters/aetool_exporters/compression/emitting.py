"""A program in real numbers → the steps of an integer decoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from aetool_exporters.compression.integer_weights import integer_weights, rescaling
from aetool_exporters.compression.nodes import (
    AddNode,
    Affine,
    Clamp,
    ConcatenateNode,
    CropNode,
    Elementwise,
    Floats,
    Linear,
    Node,
    Pad,
    Program,
    ReshapeNode,
    UpsampleNode,
)
from aetool_exporters.compression.precisions import Precision, passes_on
from aetool_runtime.compression.decoder.checking import INPUT_RANGE
from aetool_runtime.compression.description import (
    Add,
    Concatenate,
    Convolution,
    Crop,
    Dense,
    Lookup,
    Range,
    Rescale,
    Rescaling,
    Reshape,
    Step,
    Upsample,
)

__all__ = ["emit"]

_MAX_ADDED, _MAX_SHIFT = 1 << 20, 40


def emit(
    program: Program, unit: Floats, narrowed: int, wanted: Sequence[Precision], dtypes: Mapping[int, str]
) -> tuple[Step, ...]:
    """The steps.

    Args:
        unit: what 1 of the decoder's input stands for, per channel [C].
        narrowed: the largest magnitude that inputs have.
        wanted: the precision of each value; the last one's is the output's.
        dtypes: the type of each linear node's weights, by its number.
    """
    emitter = _Emitter(program, unit, wanted, dtypes)
    if narrowed < -INPUT_RANGE[0]:
        emitter.narrow_input((-narrowed, narrowed))
    for number in range(len(program.nodes)):
        emitter.emit(number)
    return tuple(emitter.steps)


class _Emitter:
    """Keeps, for each value that has been made, its number among the steps and its precision."""

    def __init__(self, program: Program, unit: Floats, wanted: Sequence[Precision], dtypes: Mapping[int, str]) -> None:
        self.steps: list[Step] = []
        self._program, self._wanted, self._dtypes, self._unit = program, list(wanted), dtypes, unit
        self._place = {0: 0}
        self._precision = {0: Precision(float(unit[0]), INPUT_RANGE)}

    def narrow_input(self, values: Range) -> None:
        """Clamp the input: a smaller range leaves weights more room."""
        channels = len(self._unit)
        same = Rescaling(np.ones(channels, np.int32), np.zeros(channels, np.uint8))
        self._append(
            0, Rescale((0,), values, same, np.zeros(channels, np.int32)), Precision(float(self._unit[0]), values)
        )

    def emit(self, number: int) -> None:
        """The step or steps of a node; none where nothing reads it."""
        value, node = number + 1, self._program.nodes[number]
        last = value == len(self._program.nodes)
        if not last and not self._program.readers(value):
            return
        inputs = [self._place[index] for index in node.inputs]
        if passes_on(node):
            self._move(value, node, inputs[0])
            return
        match node:
            case Linear():
                self._linear(number, node, inputs[0])
            case Affine():
                self._affine(value, node, inputs[0])
            case Clamp():
                self._clamp(value, node, inputs[0])
            case Elementwise():
                self._lookup(value, node)
            case AddNode():
                self._add(value, node, inputs)
            case ConcatenateNode():
                self._concatenate(value, node)

    def _append(self, value: int, step: Step, precision: Precision) -> None:
        self.steps.append(step)
        self._place[value], self._precision[value] = len(self.steps), precision

    def _linear(self, number: int, node: Linear, given: int) -> None:
        source, wanted = node.inputs[0], self._wanted[number + 1]
        unit = self._unit if source == 0 else np.array(self._precision[source].unit)
        weights = node.weights * np.reshape(unit, (-1, 1))
        largest = self._precision[source].largest
        whole = integer_weights(weights, node.bias, largest, self._dtypes[number], node.meeting)
        scaled = rescaling(whole.unit / wanted.unit)
        if node.kind == "dense":
            step: Step = Dense((given,), wanted.range, whole.weights, whole.bias, scaled)
        else:
            step = Convolution(
                (given,), wanted.range, whole.weights, whole.bias, scaled, node.stride, node.margins,
                node.kind == "conv_transposed",
            )  # fmt: skip
        self._append(number + 1, step, wanted)

    def _affine(self, value: int, node: Affine, given: int) -> None:
        source, wanted = self._precision[node.inputs[0]], self._wanted[value]
        if np.all(node.scale > 0):
            scaled = rescaling(node.scale * source.unit / wanted.unit)
            offset = np.rint(node.offset / wanted.unit).astype(np.int32)
            self._append(value, Rescale((given,), wanted.range, scaled, offset), wanted)
            return
        # A multiplier is positive: what turns signs is a matrix with a diagonal.
        whole = integer_weights(np.diag(node.scale) * source.unit, node.offset, source.largest, "int16")
        step = Dense((given,), wanted.range, whole.weights, whole.bias, rescaling(whole.unit / wanted.unit))
        self._append(value, step, wanted)

    def _clamp(self, value: int, node: Clamp, given: int) -> None:
        source, wanted = self._precision[node.inputs[0]], self._wanted[value]
        if source == wanted:
            self._place[value], self._precision[value] = given, wanted
            return
        low = max(round(max(node.low / wanted.unit, -(2.0**30))), wanted.range[0])
        high = min(round(min(node.high / wanted.unit, 2.0**30)), wanted.range[1])
        self._rescale(value, given, source, Precision(wanted.unit, (low, high)))

    def _lookup(self, value: int, node: Elementwise) -> None:
        wanted = self._wanted[value]
        given = self._converted(node.inputs[0], self._wanted[node.inputs[0]])
        source = self._wanted[node.inputs[0]]
        places = np.arange(source.range[0], source.range[1] + 1, dtype=np.float64) * source.unit
        values = np.clip(np.rint(node.function(places) / wanted.unit), *wanted.range).astype(np.int32)
        table = values.astype(np.int16) if wanted.largest < 1 << 15 else values
        self._append(value, Lookup((given,), wanted.range, table), wanted)

    def _add(self, value: int, node: AddNode, inputs: Sequence[int]) -> None:
        sources, wanted = [self._precision[index] for index in node.inputs], self._wanted[value]
        ratios = [source.unit / wanted.unit for source in sources]
        shift = min(_MAX_SHIFT, max(0, int(np.floor(np.log2(_MAX_ADDED / max(ratios))))))
        multipliers = [min(_MAX_ADDED, max(1, round(ratio * 2.0**shift))) for ratio in ratios]
        self._append(value, Add(tuple(inputs), wanted.range, (multipliers[0], multipliers[1]), shift), wanted)

    def _concatenate(self, value: int, node: ConcatenateNode) -> None:
        wanted = self._wanted[value]
        inputs = tuple(self._converted(index, wanted) for index in node.inputs)
        self._append(value, Concatenate(inputs, wanted.range), wanted)

    def _move(self, value: int, node: Node, given: int) -> None:
        precision = self._precision[node.inputs[0]]
        match node:
            case ReshapeNode():
                step: Step = Reshape((given,), precision.range, node.shape)
            case UpsampleNode():
                step = Upsample((given,), precision.range, node.factors)
            case CropNode():
                step = Crop((given,), precision.range, node.crop)
            case Pad():
                step = self._padded(value, node, given, precision)
        self._append(value, step, precision)

    def _padded(self, value: int, node: Pad, given: int, precision: Precision) -> Convolution:
        """A convolution with the identity."""
        channels, ones = self._program.shapes[value][-1] or 0, (1,) * len(node.padding)
        weights = np.eye(channels, dtype=np.int8).reshape(*ones, channels, channels)
        same = Rescaling(np.ones(channels, np.int32), np.zeros(channels, np.uint8))
        zero = np.zeros(channels, np.int32)
        return Convolution((given,), _with_zero(precision.range), weights, zero, same, ones, node.padding)

    def _converted(self, value: int, wanted: Precision) -> int:
        """The number of a value in another unit, or of itself."""
        source = self._precision[value]
        if source == wanted:
            return self._place[value]
        place = self._place[value]
        self._rescale(-1, place, source, wanted, channels=self._program.shapes[value][-1])
        return self._place.pop(-1)

    def _rescale(
        self, value: int, given: int, source: Precision, wanted: Precision, channels: int | None = None
    ) -> None:
        count = channels or self._program.shapes[value][-1] or 0
        scaled = rescaling(np.full(count, source.unit / wanted.unit, np.float64))
        self._append(value, Rescale((given,), wanted.range, scaled, np.zeros(count, np.int32)), wanted)


def _with_zero(values: Range) -> Range:
    return min(values[0], 0), max(values[1], 0)
