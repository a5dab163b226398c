"""What a reader must refuse of a decoder's steps before it runs them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aetool_runtime.compression.decoder.bounds import LIMIT, check_bounds
from aetool_runtime.compression.decoder.shapes import RefusedStep, Shape, Size, free_shape, shape_after
from aetool_runtime.compression.description import (
    Add,
    Codec,
    Concatenate,
    Convolution,
    Dense,
    Lookup,
    Range,
    Rescale,
    Rescaling,
    Step,
)
from aetool_runtime.errors import ManifestError
from aetool_runtime.specs import Array

__all__ = ["INPUT_RANGE", "check_steps"]

INPUT_RANGE: Range = (-32768, 32767)
_MAX_STEPS = 256
_MAX_MULTIPLIER = (1 << 21) - 1
_MAX_ADDED_MULTIPLIER = 1 << 20
_MAX_SHIFT = 40
_WEIGHTS = (np.dtype(np.int8), np.dtype(np.int16))


def check_steps(codec: Codec, sample_shape: tuple[int | None, ...], where: str) -> None:
    """Refuse a decoder that breaks section 4: wrong members, shapes that do not fit, sums that may overflow.

    Args:
        codec: its latent's shape and its steps; every size of the latent at least 1.
        sample_shape: what the last step must return, without the batch; ``None`` where the size is free.
        where: the file and the codec, for the message.

    Raises:
        ManifestError: names the step.
    """
    if not 1 <= len(codec.steps) <= _MAX_STEPS:
        raise _refused(f"has {len(codec.steps)} steps", where, f"1 to {_MAX_STEPS}")
    shapes: list[Shape] = [free_shape(codec.latent_shape)]
    ranges: list[Range] = [INPUT_RANGE]
    for number, step in enumerate(codec.steps):
        try:
            _check_inputs(step, number)
            _check_members(step)
            shapes.append(shape_after(step, [shapes[i] for i in step.inputs]))
            check_bounds(step, [ranges[i] for i in step.inputs])
        except RefusedStep as refused:
            raise _refused(refused.met, f"{where}, step {number}", refused.expected) from None
        ranges.append(step.range)
    _check_output(codec, shapes[-1], sample_shape, where)


def _check_output(codec: Codec, shape: Shape, sample_shape: Sequence[int | None], where: str) -> None:
    wanted = [
        (codec.downsampling[place] if place < len(codec.downsampling) else 1, 0) if size is None else (0, size)
        for place, size in enumerate(sample_shape)
    ]
    if list(shape) != wanted:
        met = "×".join(map(str, shape))
        expected = "×".join(str(Size(*size)) for size in wanted)
        raise _refused(f"returns samples of {met}", f"{where}, step {len(codec.steps) - 1}", expected)


def _check_inputs(step: Step, number: int) -> None:
    count = len(step.inputs)
    right = count >= 2 if isinstance(step, Concatenate) else count == (2 if isinstance(step, Add) else 1)
    if not right or not all(0 <= index <= number for index in step.inputs):
        raise RefusedStep(f"has the inputs {list(step.inputs)}", f"as many as it takes, each from 0 to {number}")
    low, high = step.range
    if not -LIMIT < low <= high < LIMIT:
        raise RefusedStep(f"has the range {list(step.range)}", "-2^31 < lo <= hi < 2^31")


def _check_members(step: Step) -> None:
    match step:
        case Dense():
            _check_kernel(step, ranks=(2,))
        case Convolution():
            _check_kernel(step, ranks=(3, 4))
            dimensions = step.weights.ndim - 2
            if len(step.stride) != dimensions or len(step.margins) != dimensions or min(step.stride) < 1:
                met = f"has the stride {list(step.stride)} and {len(step.margins)} pairs of margins"
                raise RefusedStep(met, f"{dimensions} of each, strides of 1 or more")
        case Rescale():
            _check_vector("bias", step.bias, np.int32, len(step.bias))
            _check_rescaling(step.rescaling, len(step.bias))
        case Add():
            if not all(1 <= multiplier <= _MAX_ADDED_MULTIPLIER for multiplier in step.multipliers):
                raise RefusedStep(f"has the multipliers {list(step.multipliers)}", "1 to 2^20")
            _check_shifts(step.shift, step.shift)
        case Lookup():
            if step.values.ndim != 1 or step.values.dtype not in (np.int16, np.int32) or not len(step.values):
                raise RefusedStep(f"has a table of {step.values.dtype}{list(step.values.shape)}", "int16 or int32 [n]")


def _check_kernel(step: Dense | Convolution, ranks: Sequence[int]) -> None:
    weights = step.weights
    if weights.ndim not in ranks or weights.dtype not in _WEIGHTS or 0 in weights.shape:
        expected = f"int8 or int16 of {' or '.join(map(str, ranks))} dimensions, none empty"
        raise RefusedStep(f"has weights {weights.dtype}{list(weights.shape)}", expected)
    _check_vector("bias", step.bias, np.int32, weights.shape[-1])
    _check_rescaling(step.rescaling, weights.shape[-1])


def _check_rescaling(rescaling: Rescaling, channels: int) -> None:
    _check_vector("multiplier", rescaling.multiplier, np.int32, channels)
    _check_vector("shift", rescaling.shift, np.uint8, channels)
    smallest, largest = int(rescaling.multiplier.min()), int(rescaling.multiplier.max())
    if smallest < 1 or largest > _MAX_MULTIPLIER:
        raise RefusedStep(f"has multipliers from {smallest} to {largest}", "1 to 2^21 - 1")
    _check_shifts(int(rescaling.shift.min()), int(rescaling.shift.max()))


def _check_shifts(smallest: int, largest: int) -> None:
    if smallest < 0 or largest > _MAX_SHIFT:
        raise RefusedStep(f"has shifts from {smallest} to {largest}", f"0 to {_MAX_SHIFT}")


def _check_vector(name: str, array: Array, dtype: type, length: int) -> None:
    if array.dtype != dtype or array.shape != (length,) or not length:
        met = f"has a {name} of {array.dtype}{list(array.shape)}"
        raise RefusedStep(met, f"{np.dtype(dtype).name}[{length}], not empty")


def _refused(met: str, where: str, expected: str) -> ManifestError:
    return ManifestError(met, where=where, expected=expected, hint="export the model again")
