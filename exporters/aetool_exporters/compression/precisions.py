"""How finely each value of a program is written: what 1 of it stands for, and the range that it may have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aetool_exporters.compression.computing import Extent
from aetool_exporters.compression.integer_weights import concentration
from aetool_exporters.compression.nodes import (
    Clamp,
    CropNode,
    Elementwise,
    Linear,
    Pad,
    Program,
    ReshapeNode,
    UpsampleNode,
)
from aetool_runtime.compression.description import Range

__all__ = ["MARGIN", "Precision", "bits_of", "passes_on", "precisions"]

MARGIN = 2.0  # ranges are so much wider than what calibration met: a window beyond them is spoilt
_WIDEST, _NARROWEST = 15, 11
_TABLE_BITS, _LAST_TABLE_BITS = 11, 14
_ACCUMULATOR_BITS = 31


@dataclass(frozen=True)
class Precision:
    """real = unit · integer, with the integer in ``range``."""

    unit: float
    range: Range

    @property
    def largest(self) -> int:
        return max(abs(self.range[0]), abs(self.range[1]))


def passes_on(node: object) -> bool:
    """Whether a node hands on its input's numbers in other places."""
    return isinstance(node, ReshapeNode | UpsampleNode | CropNode | Pad)


def bits_of(program: Program, dtypes: Mapping[int, str]) -> list[int]:
    """How many bits, beside the sign, each value is written with: as many as what reads it can make use of.

    A sum has 31 bits for activations, weights and how many they are. With weights of 8 bits there is room for 15; those
    of 16 are worth their room only where activations take less, so both are given the same.

    Args:
        dtypes: the type of each linear node's weights, by its number.
    """
    found = [_WIDEST] * len(program.shapes)
    for number in reversed(range(len(program.nodes))):
        node = program.nodes[number]
        if isinstance(node, Linear):
            wanted = _WIDEST if dtypes[number] == "int8" else _balanced(node)
        elif isinstance(node, Elementwise):
            wanted = _LAST_TABLE_BITS if number + 1 == len(program.nodes) else _TABLE_BITS
        elif passes_on(node):
            wanted = found[number + 1]
        else:
            continue
        for value in node.inputs:
            found[value] = min(found[value], wanted)
    return found


def _balanced(node: Linear) -> int:
    bits = (_ACCUMULATOR_BITS - math.log2(concentration(node.weights, node.meeting))) / 2
    return max(_NARROWEST, min(_WIDEST, round(bits)))


def precisions(program: Program, extents: Sequence[Extent], bits: Sequence[int], output: Precision) -> list[Precision]:
    """Of each value, by what calibration met.

    What a node only moves, or clamps, is written as its result is, where nothing else reads it.

    Args:
        output: the last value's.
    """
    found = [_precision(extent, width) for extent, width in zip(extents, bits, strict=True)]
    found[-1] = output
    for number in reversed(range(len(program.nodes))):
        node, value = program.nodes[number], program.nodes[number].inputs[0]
        alone = value > 0 and len(program.readers(value)) == 1
        if isinstance(node, Clamp):
            found[number + 1] = _clamped(found[number + 1], node)
        if alone and (isinstance(node, Clamp) or passes_on(node)):
            found[value] = found[number + 1]
    return found


def _precision(extent: Extent, bits: int) -> Precision:
    largest = max(abs(extent[0]), abs(extent[1])) * MARGIN
    limit = 2**bits - 1
    return Precision(largest / limit if largest > 0 else 1.0, (-limit, limit))


def _clamped(precision: Precision, node: Clamp) -> Precision:
    low, high = precision.range
    if math.isfinite(node.low):
        low = max(low, round(node.low / precision.unit))
    if math.isfinite(node.high):
        high = min(high, round(node.high / precision.unit))
    return Precision(precision.unit, (low, high))
