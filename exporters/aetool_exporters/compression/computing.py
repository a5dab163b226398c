"""A program in real numbers: what it computes, and the ranges of all its values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

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
from aetool_runtime.compression.decoder.convolution import Convolver, TransposedConvolver
from aetool_runtime.specs import Array

__all__ = ["Extent", "compute", "extents", "values_of"]

_BATCH = 16
Extent = tuple[float, float]


def compute(program: Program, latents: Array) -> Floats:
    """The output for latents [n, …], float64."""
    return np.concatenate([values[-1] for values in _batches(program, latents)])


def extents(program: Program, latents: Array) -> list[Extent]:
    """The smallest and the largest number of each value."""
    found = [(np.inf, -np.inf)] * len(program.shapes)
    for values in _batches(program, latents):
        found = [(min(low, v.min()), max(high, v.max())) for (low, high), v in zip(found, values, strict=True)]
    return [(float(low), float(high)) for low, high in found]


def values_of(program: Program, latents: Floats) -> list[Floats]:
    """Every value, the latents first."""
    values = [latents]
    for node in program.nodes:
        values.append(_apply(node, [values[index] for index in node.inputs]))
    return values


def _batches(program: Program, latents: Array) -> Iterator[list[Floats]]:
    for start in range(0, len(latents), _BATCH):
        yield values_of(program, np.asarray(latents[start : start + _BATCH], np.float64))


def _apply(node: Node, inputs: Sequence[Floats]) -> Floats:
    given = inputs[0]
    match node:
        case Linear():
            return _linear(node, given)
        case Affine():
            return given * node.scale + node.offset
        case Clamp():
            return np.clip(given, node.low, node.high)
        case Elementwise():
            return node.function(given)
        case AddNode():
            return given + inputs[1]
        case ConcatenateNode():
            return np.concatenate(inputs, axis=-1)
        case _:
            return _moved(node, given)


def _moved(node: UpsampleNode | ReshapeNode | CropNode | Pad, given: Floats) -> Floats:
    match node:
        case UpsampleNode():
            for axis, factor in enumerate(node.factors, start=1):
                given = np.repeat(given, factor, axis=axis)
            return given
        case ReshapeNode():
            return given.reshape(len(given), *node.shape)
        case CropNode():
            cuts = [slice(b, n - a) for n, (b, a) in zip(given.shape[1:-1], node.crop, strict=True)]
            return given[(slice(None), *cuts)]
        case Pad():
            return np.pad(given, [(0, 0), *node.padding, (0, 0)])


def _linear(node: Linear, given: Floats) -> Floats:
    def finish(sums: Floats) -> Floats:
        return sums + node.bias

    if node.kind == "dense":
        return finish(given @ node.weights)
    kind = Convolver if node.kind == "conv" else TransposedConvolver
    return kind(node.weights, node.stride, node.margins, finish)(given)
