"""Builds a program node by node, and folds what scales and shifts into the weights before it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from aetool_exporters.compression.nodes import (
    Affine,
    ConcatenateNode,
    CropNode,
    Elementwise,
    Floats,
    InexpressibleError,
    Linear,
    Node,
    Pad,
    Program,
    ReshapeNode,
    UpsampleNode,
)

__all__ = ["Builder", "Shape", "resolved"]

Shape = tuple[int | None, ...]


class Builder:
    """Takes nodes in order.

    Args:
        latent_shape: of value 0, without the batch.
    """

    def __init__(self, latent_shape: Shape) -> None:
        self.nodes: list[Node] = []
        self.shapes: list[Shape] = [latent_shape]
        self._shared: set[int] = {0}

    def program(self) -> Program:
        """What was built."""
        return Program(tuple(self.nodes), tuple(self.shapes))

    def share(self, value: int) -> None:
        """Say that more than one layer reads a value: nothing may be folded into what made it."""
        self._shared.add(value)

    def add(self, node: Node) -> int:
        """Append a node; the number of its value."""
        self.shapes.append(self._shape(node))
        self.nodes.append(node)
        return len(self.nodes)

    def affine(self, name: str, value: int, scale: Floats, offset: Floats) -> int:
        """x · scale + offset along the channels, folded where that can be; the number of the result."""
        channels = self.shapes[value][-1]
        if channels is None:
            raise InexpressibleError(f"{name}: a free number of channels")
        scale, offset = (np.broadcast_to(np.asarray(v, np.float64), (channels,)) for v in (scale, offset))
        if np.all(scale == 1) and not np.any(offset):
            return value
        return value if self._fold(value, scale, offset) else self.add(Affine(name, (value,), scale, offset))

    def _fold(self, value: int, scale: Floats, offset: Floats) -> bool:
        if value in self._shared:
            return False
        node = self.nodes[value - 1]
        uniform = bool(np.all(scale == scale[0]) and np.all(offset == offset[0]))
        match node:
            case Linear():
                folded: Node = replace(node, weights=node.weights * scale, bias=node.bias * scale + offset)
            case Affine():
                folded = replace(node, scale=node.scale * scale, offset=node.offset * scale + offset)
            case Elementwise() if uniform:
                folded = replace(node, function=_then(node, float(scale[0]), float(offset[0])))
            case UpsampleNode() | CropNode():
                return self._fold(node.inputs[0], scale, offset)
            case ReshapeNode():
                return self._fold_before(node, scale, offset, uniform)
            case _:
                return False
        self.nodes[value - 1] = folded
        return True

    def _fold_before(self, node: ReshapeNode, scale: Floats, offset: Floats, uniform: bool) -> bool:
        """Into what a reshape was given, where its channels are whole samples or all are treated alike."""
        before = self.shapes[node.inputs[0]]
        if not uniform and len(before) != 1:
            return False
        repeated = [np.broadcast_to(v if not uniform else v[:1], node.shape).ravel() for v in (scale, offset)]
        channels = before[-1] or 1
        return self._fold(node.inputs[0], repeated[0][:channels], repeated[1][:channels])

    def _shape(self, node: Node) -> Shape:
        given = self.shapes[node.inputs[0]]
        match node:
            case Linear(kind="dense"):
                return (*given[:-1], node.weights.shape[-1])
            case Linear():
                return (*_convolved(node, given[:-1]), node.weights.shape[-1])
            case UpsampleNode():
                return (*(_times(n, f) for n, f in zip(given[:-1], node.factors, strict=True)), given[-1])
            case ReshapeNode():
                return node.shape
            case CropNode() | Pad():
                pairs, sign = (node.crop, -1) if isinstance(node, CropNode) else (node.padding, 1)
                inner = (None if n is None else n + sign * sum(p) for n, p in zip(given[:-1], pairs, strict=True))
                return (*inner, given[-1])
            case ConcatenateNode():
                return (*given[:-1], sum(self.shapes[value][-1] or 0 for value in node.inputs))
            case _:
                return given


def _convolved(node: Linear, sizes: Shape) -> Shape:
    kernel = node.weights.shape[:-2]
    found: list[int | None] = []
    for size, k, s, pair in zip(sizes, kernel, node.stride, node.margins, strict=True):
        if size is None:
            found.append(None)
        elif node.kind == "conv":
            found.append((size + sum(pair) - k) // s + 1)
        else:
            found.append((size - 1) * s + k - sum(pair))
    return tuple(found)


def _times(size: int | None, factor: int) -> int | None:
    return None if size is None else size * factor


def _then(node: Elementwise, scale: float, offset: float) -> Callable[[Floats], Floats]:
    return lambda values: node.function(values) * scale + offset


def resolved(name: str, wanted: Sequence[int | None], given: Shape) -> tuple[int, ...]:
    """A reshape's target, with −1 worked out."""
    if None in given or any(size is None for size in wanted):
        raise InexpressibleError(f"{name}: reshapes a free size")
    count = math.prod(size or 0 for size in given)
    known = math.prod(size for size in wanted if size is not None and size > 0)
    return tuple(count // known if size == -1 else int(size or 0) for size in wanted)
