"""Graphs that take and return integers: the normalization becomes part of what the integers stand for.

Inside the graph an integer q stands for the normalized value scale · (q − zero_point). The raw value is offset + unit ·
normalized, so that for the caller q stands for unit · scale · (q − (zero_point − offset / (unit · scale))), and no
operation is left to do.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from aetool_exporters.quantization.affine import Affine
from aetool_runtime.specs import Array, Normalization, Quantization, TensorSpec

__all__ = ["aligned", "integer_spec"]

_COARSER = np.linspace(1.0, 1.06, 241)


def aligned(affine: Affine, normalization: Normalization) -> Affine:
    """A slightly coarser quantization whose raw zero points come out nearest to integers, in the worst channel.

    They are rounded to integers, and what is rounded away shifts all values.
    """
    if normalization.is_identity:
        return affine
    ratio = np.array(normalization.offset) / np.array(normalization.scale)
    scales = affine.scale * _COARSER
    shifts = ratio[np.newaxis] / scales[:, np.newaxis]
    worst = np.abs(shifts - np.rint(shifts)).max(axis=1)
    scale = float(np.float32(scales[int(np.argmin(worst))]))
    if affine.zero_point in (0, affine.smallest, affine.largest):
        return replace(affine, scale=scale)
    minimum = (affine.smallest - affine.zero_point) * affine.scale
    zero_point = int(np.clip(np.rint(affine.smallest - minimum / scale), affine.smallest, affine.largest))
    return replace(affine, scale=scale, zero_point=zero_point)


def integer_spec(spec: TensorSpec, affine: Affine, dtype: str, normalization: Normalization | None) -> TensorSpec:
    """How the caller sees a tensor of integers.

    Args:
        normalization: of tensors that hold raw values; ``None`` for latents.
    """
    if normalization is None or normalization.is_identity:
        return replace(spec, dtype=dtype, quantization=Quantization((affine.scale,), (affine.zero_point,)))
    unit: Array = np.array(normalization.scale)
    shift = np.array(normalization.offset) / (unit * affine.scale)
    zero_points = tuple(int(point) for point in np.rint(affine.zero_point - shift))
    axis = len(spec.shape) - 1 if len(unit) > 1 else None
    scales = tuple(float(np.float32(value)) for value in unit * affine.scale)
    return replace(spec, dtype=dtype, quantization=Quantization(scales, zero_points, axis))
