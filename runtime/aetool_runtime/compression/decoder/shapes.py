"""The shapes of values from step to step, where sizes may be free."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from aetool_runtime.compression.description import (
    Add,
    Concatenate,
    Convolution,
    Crop,
    Dense,
    Lookup,
    Rescale,
    Reshape,
    Step,
    Upsample,
)

__all__ = ["MAX_VALUES", "RefusedStep", "Shape", "Size", "fixed_shape", "free_shape", "shape_after", "sizes_at"]

MAX_VALUES = 1 << 28  # of one sample: the product of fixed sizes


class RefusedStep(Exception):  # noqa: N818 (it becomes a ManifestError where the step's number is known)
    """A step breaks the specification.

    Args:
        met: what it has.
        expected: what it should have.
    """

    def __init__(self, met: str, expected: str) -> None:
        super().__init__(met)
        self.met = met
        self.expected = expected


class Size(NamedTuple):
    """A dimension: factor · n + offset, with n ≥ 1 the latent's free size at that place; fixed where factor is 0."""

    factor: int
    offset: int

    def __str__(self) -> str:
        return str(self.offset) if not self.factor else f"{self.factor}n{self.offset:+d}"

    def at(self, free: int) -> int:
        """The size where n is ``free``."""
        return self.factor * free + self.offset


Shape: TypeAlias = tuple[Size, ...]


def fixed_shape(sizes: Sequence[int]) -> Shape:
    """A shape whose sizes are known."""
    return tuple(Size(0, size) for size in sizes)


def free_shape(sizes: Sequence[int | None]) -> Shape:
    """A latent's shape: ``None`` becomes n."""
    return tuple(Size(1, 0) if size is None else Size(0, size) for size in sizes)


def sizes_at(shape: Shape, free: Sequence[int]) -> tuple[int, ...]:
    """The sizes, given the latent's own."""
    return tuple(size.at(free[place]) if size.factor else size.offset for place, size in enumerate(shape))


def shape_after(step: Step, inputs: Sequence[Shape]) -> Shape:
    """The shape, without the batch, of what a step makes of values of these shapes.

    Raises:
        RefusedStep: they do not go together.
    """
    shape = _shape(step, inputs)
    for size in shape:
        _want(size.at(1) >= 1, f"makes values of {_shown(shape)}", "every size to be at least 1")
    known = math.prod(size.offset for size in shape if not size.factor)
    _want(known <= MAX_VALUES, f"makes values of {_shown(shape)}", f"at most {MAX_VALUES} of a sample")
    return shape


def _shape(step: Step, inputs: Sequence[Shape]) -> Shape:
    given = inputs[0]
    match step:
        case Dense():
            _want(given[-1] == (0, step.weights.shape[0]), *_channels(given, step.weights.shape[0]))
            return (*given[:-1], Size(0, step.weights.shape[1]))
        case Convolution():
            return _convolved(step, given)
        case Rescale():
            _want(given[-1] == (0, len(step.bias)), *_channels(given, len(step.bias)))
            return given
        case Add():
            _want(inputs[0] == inputs[1], f"adds {_shown(inputs[0])} and {_shown(inputs[1])}", "one shape")
            return given
        case Upsample():
            _wants_positions(given, len(step.factors))
            _want(min(step.factors) >= 1, f"has the factors {list(step.factors)}", "1 or more")
            sizes = zip(given, (*step.factors, 1), strict=True)
            return tuple(Size(size.factor * times, size.offset * times) for size, times in sizes)
        case Reshape():
            return _reshaped(step, given)
        case Crop():
            _wants_positions(given, len(step.crop))
            return (*_cut(given[:-1], step.crop), given[-1])
        case Concatenate():
            _want(
                len({shape[:-1] for shape in inputs}) == 1, _beside(inputs), "shapes that differ in the last size only"
            )
            return (*given[:-1], Size(0, sum(shape[-1].offset for shape in inputs)))
        case Lookup():
            return given


def _convolved(step: Convolution, given: Shape) -> Shape:
    dimensions = step.weights.ndim - 2
    _wants_positions(given, dimensions)
    _want(given[-1] == (0, step.weights.shape[-2]), *_channels(given, step.weights.shape[-2]))
    kernel = step.weights.shape[:dimensions]
    if step.transposed:
        sizes = zip(given, kernel, step.stride, strict=False)
        grown = [Size(size.factor * s, (size.offset - 1) * s + k) for size, k, s in sizes]
        positions = _cut(grown, step.margins)
    else:
        _want(all(min(pair) >= 0 for pair in step.margins), "has a negative padding", "0 or more")
        each = zip(given, kernel, step.stride, step.margins, strict=False)
        positions = tuple(_strided(Size(n.factor, n.offset + sum(pad) - k), s) for n, k, s, pad in each)
    return (*positions, Size(0, step.weights.shape[-1]))


def _strided(size: Size, stride: int) -> Size:
    """⌊size / stride⌋ + 1, for every n."""
    _want(size.factor % stride == 0, f"has the stride {stride} over a size of {size}", "one that divides the n")
    return Size(size.factor // stride, size.offset // stride + 1)


def _cut(sizes: Sequence[Size], crop: Sequence[tuple[int, int]]) -> Shape:
    _want(all(min(pair) >= 0 for pair in crop), "has a negative crop", "0 or more")
    return tuple(Size(size.factor, size.offset - sum(pair)) for size, pair in zip(sizes, crop, strict=True))


def _reshaped(step: Reshape, given: Shape) -> Shape:
    _want(not any(size.factor for size in given), f"reshapes {_shown(given)}", "no free sizes")
    met, wanted = math.prod(step.shape), math.prod(size.offset for size in given)
    _want(len(step.shape) >= 1 and met == wanted, f"reshapes {_shown(given)} to {list(step.shape)}", "as many values")
    return fixed_shape(step.shape)


def _wants_positions(given: Shape, count: int) -> None:
    expected = f"{count} dimension{'s' * (count != 1)} before the channels"
    _want(count >= 1 and len(given) == count + 1, f"takes values of {_shown(given)}", expected)


def _channels(given: Shape, wanted: int) -> tuple[str, str]:
    return f"takes values of {_shown(given)}", f"{wanted} in the last dimension"


def _beside(inputs: Sequence[Shape]) -> str:
    return "puts side by side " + " and ".join(map(_shown, inputs))


def _shown(shape: Shape) -> str:
    return f"[{', '.join(map(str, shape))}]"


def _want(holds: bool, met: str, expected: str) -> None:
    if not holds:
        raise RefusedStep(met, expected)
