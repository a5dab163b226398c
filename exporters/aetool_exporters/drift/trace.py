"""The artifact's side: every tensor between input and output, as real values, whatever the format and precision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from aetool_runtime.specs import Array

__all__ = ["Constant", "Grid", "Tensor", "Trace"]


@dataclass(frozen=True)
class Grid:
    """The integers that a tensor is stored as: real = scale · (q − zero point).

    Args:
        scale, zero_point: one value, or one per slice along ``axis``.
        smallest, largest: the integers that the type has.
    """

    scale: NDArray[np.float64]
    zero_point: NDArray[np.float64]
    smallest: int
    largest: int
    axis: int | None = None

    @property
    def minimum(self) -> float:
        """The least real value of any slice."""
        return float(np.min((self.smallest - self.zero_point) * self.scale))

    @property
    def maximum(self) -> float:
        return float(np.max((self.largest - self.zero_point) * self.scale))

    @property
    def step(self) -> float:
        """The coarsest distance between neighbours."""
        return float(self.scale.max())

    def restore(self, integers: Array) -> NDArray[np.float64]:
        """Integers → real values."""
        shape = [1] * integers.ndim
        if self.axis is not None and self.scale.size > 1:
            shape[self.axis] = self.scale.size
        scale, zero_point = self.scale.reshape(shape), self.zero_point.reshape(shape)
        return (integers.astype(np.float64) - zero_point) * scale


@dataclass(frozen=True)
class Constant:
    """A weight.

    Args:
        name: in the artifact.
        values: real.
        integers: as stored, where it is quantized.
        grid: of the integers.
    """

    name: str
    values: Array
    integers: Array | None = None
    grid: Grid | None = None


@dataclass(frozen=True)
class Tensor:
    """What a node makes.

    Args:
        name: in the artifact.
        operator: the node's kind, such as ``Conv``.
        inputs: places of the tensors that the node reads.
        constants: that it reads.
        values: real, as the next node sees them, for all samples; ``None`` where it holds no numbers of the samples.
        grid: the integers that it passes through, if any.
    """

    name: str
    operator: str
    inputs: tuple[int, ...]
    constants: tuple[Constant, ...]
    values: Array | None
    grid: Grid | None = None


@dataclass(frozen=True)
class Trace:
    """The tensors in an order in which they are computed; the first is the input.

    Args:
        returned: output name → place.
    """

    tensors: tuple[Tensor, ...]
    returned: Mapping[str, int]

    @cached_property
    def ancestors(self) -> list[frozenset[int]]:
        """Of each tensor, those that it is computed from, itself included."""
        found: list[frozenset[int]] = []
        for place, tensor in enumerate(self.tensors):
            found.append(frozenset({place}).union(*(found[given] for given in tensor.inputs)))
        return found

    def between(self, sources: Sequence[int], place: int) -> Iterator[Tensor]:
        """The nodes that lead from some tensors to one, in the order of computation, that one included."""
        known = set(sources).union(*(self.ancestors[source] for source in sources))
        return (self.tensors[at] for at in sorted(self.ancestors[place] - known))
