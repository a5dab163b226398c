"""A decoder as the few kinds of operation that integers can do, still in real numbers.

Value 0 is the latent [samples, …]; node i makes value i + 1. What is more in a Keras model (normalizations, activations
with parameters, nested models) has been turned into these, or folded into the weights before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "AddNode",
    "Affine",
    "Clamp",
    "ConcatenateNode",
    "CropNode",
    "Elementwise",
    "Floats",
    "InexpressibleError",
    "Linear",
    "Node",
    "Pad",
    "Program",
    "ReshapeNode",
    "UpsampleNode",
]

Floats: TypeAlias = NDArray[np.float64]
Pairs: TypeAlias = tuple[tuple[int, int], ...]


class InexpressibleError(Exception):
    """A layer that integers of version 1 cannot express; the message names it."""


@dataclass
class Linear:
    """Weights [I, O] or [k…, I, O] and bias [O]; ``margins`` pad a convolution, or crop a transposed one."""

    name: str
    inputs: tuple[int, ...]
    kind: Literal["dense", "conv", "conv_transposed"]
    weights: Floats
    bias: Floats
    stride: tuple[int, ...] = ()
    margins: Pairs = ()

    @property
    def meeting(self) -> tuple[int, ...]:
        """The stride modulo which places of a transposed kernel meet; () where all of a kernel does."""
        return self.stride if self.kind == "conv_transposed" else ()


@dataclass
class Affine:
    """x · scale + offset, per channel."""

    name: str
    inputs: tuple[int, ...]
    scale: Floats
    offset: Floats


@dataclass
class Clamp:
    """Into low … high, either of which may be infinite: a rectifier."""

    name: str
    inputs: tuple[int, ...]
    low: float
    high: float


@dataclass
class Elementwise:
    """A function of one value, the same for all."""

    name: str
    inputs: tuple[int, ...]
    function: Callable[[Floats], Floats]


@dataclass
class AddNode:
    """The sum of two values."""

    name: str
    inputs: tuple[int, ...]


@dataclass
class ConcatenateNode:
    """Values side by side along the channels."""

    name: str
    inputs: tuple[int, ...]


@dataclass
class UpsampleNode:
    """Each value repeated, ``factors`` times for each dimension between batch and channels."""

    name: str
    inputs: tuple[int, ...]
    factors: tuple[int, ...]


@dataclass
class ReshapeNode:
    """In C order; without the batch."""

    name: str
    inputs: tuple[int, ...]
    shape: tuple[int, ...]


@dataclass
class CropNode:
    """What is cut off before and behind, for the dimensions between batch and channels."""

    name: str
    inputs: tuple[int, ...]
    crop: Pairs


@dataclass
class Pad:
    """Zeros before and behind, for the dimensions between batch and channels."""

    name: str
    inputs: tuple[int, ...]
    padding: Pairs


Node: TypeAlias = (
    Linear | Affine | Clamp | Elementwise | AddNode | ConcatenateNode | UpsampleNode | ReshapeNode | CropNode | Pad
)


@dataclass(frozen=True)
class Program:
    """A decoder.

    Args:
        nodes: in an order in which they can be computed; the last one's value is the output.
        shapes: of each value, the latent first, without the batch; ``None`` for a free size.
    """

    nodes: Sequence[Node]
    shapes: Sequence[tuple[int | None, ...]]

    def readers(self, value: int) -> list[int]:
        """The nodes that read a value."""
        return [number for number, node in enumerate(self.nodes) if value in node.inputs]
