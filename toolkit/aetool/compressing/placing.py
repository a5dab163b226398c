"""How the rows of an array become what a bundle compresses: samples, or rows of a recording, each by a reshape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from aetool_runtime.errors import InputError
from aetool_runtime.specs import format_shape

__all__ = ["Placement", "place"]

Sizes = Sequence[int | None]


@dataclass(frozen=True)
class Placement:
    """Rows [n, …] → [n, *item_shape].

    Args:
        recording: rows are the steps of one recording, else each is a sample.
        item_shape: of what the stream counts.
    """

    recording: bool
    item_shape: tuple[int, ...]


def place(row: Sequence[int], sample_shape: Sizes, where: str) -> Placement:
    """Find the rule for rows of a shape.

    Raises:
        InputError: there is none; names both shapes.
    """
    row, inner = tuple(row), tuple(sample_shape[1:])
    for item in (row, (*row, 1)):
        if _fits(item, sample_shape):
            return Placement(False, item)
    for item in (row, (*row, 1)):
        if len(row) < 2 and _fits(item, inner):
            return Placement(True, item)
    known = tuple(size for size in sample_shape if size is not None)
    flat = len(row) == 1 or len(known) == 1
    if flat and len(known) == len(sample_shape) and math.prod(row) == math.prod(known):
        return Placement(False, known)
    raise InputError(
        f"rows of shape {list(row)} are not what the bundle compresses",
        where=where,
        expected=f"samples {format_shape(tuple(sample_shape))}, or a recording with rows {format_shape(inner)}",
        hint="aetool inspect shows what a bundle takes",
    )


def _fits(shape: Sequence[int], wanted: Sizes) -> bool:
    return len(shape) == len(wanted) and all(
        want is None or size == want for size, want in zip(shape, wanted, strict=True)
    )
