"""A decoder's steps over batches."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aetool_runtime.compression.decoder.arithmetic import Numbers, number_type
from aetool_runtime.compression.decoder.checking import INPUT_RANGE
from aetool_runtime.compression.decoder.operations import Operation, operation
from aetool_runtime.compression.decoder.shapes import RefusedStep, Shape, fixed_shape, shape_after
from aetool_runtime.compression.description import Codec, Range
from aetool_runtime.errors import InputError

__all__ = ["IntegerDecoder"]

_PIECE = 1 << 20  # numbers of the largest value that are in memory at once, or one sample


class IntegerDecoder:
    """Runs the steps of a codec: the same integers on every machine. Immutable, and so for all threads.

    Args:
        codec: checked by ``check_steps``.
    """

    def __init__(self, codec: Codec) -> None:
        self._steps = codec.steps
        ranges: list[Range] = [INPUT_RANGE]
        self._operations: list[Operation] = []
        for step in codec.steps:
            self._operations.append(operation(step, [ranges[i] for i in step.inputs]))
            ranges.append(step.range)
        self._last_use = _last_uses([step.inputs for step in codec.steps])

    def run(self, values: NDArray[np.int32]) -> NDArray[np.int32]:
        """The decoder's output, in batches small enough for the memory.

        Args:
            values: int32 [samples, *latent_shape], within −32768 … 32767.

        Returns:
            int32 [samples, *sample_shape], in units of ``output_unit``.

        Raises:
            InputError: sizes that are free are so large that one sample does not fit into memory.
        """
        shapes = self._shapes(values.shape[1:])
        results = np.empty((len(values), *(size.offset for size in shapes[-1])), np.int32)
        count = max(1, _PIECE // max(math.prod(size.offset for size in shape) for shape in shapes))
        for start in range(0, len(values), count):
            piece = values[start : start + count].astype(number_type(INPUT_RANGE))
            results[start : start + count] = self._run(piece)
        return results

    def _shapes(self, latent: Sequence[int]) -> list[Shape]:
        shapes = [fixed_shape(latent)]
        try:
            for step in self._steps:
                shapes.append(shape_after(step, [shapes[i] for i in step.inputs]))
        except RefusedStep as refused:  # of sizes that check_steps could not know
            raise InputError(
                f"a latent of {list(latent)} {refused.met}", expected=refused.expected, hint="cut samples into tiles"
            ) from None
        return shapes

    def _run(self, numbers: Numbers) -> Numbers:
        made: dict[int, Numbers] = {0: numbers}
        for number, (step, apply) in enumerate(zip(self._steps, self._operations, strict=True)):
            made[number + 1] = apply([made[i] for i in step.inputs])
            for index in set(step.inputs):
                if self._last_use[index] == number:
                    del made[index]
        return made[len(self._steps)]


def _last_uses(inputs: Sequence[Sequence[int]]) -> dict[int, int]:
    """Value → the last step that reads it."""
    return {index: number for number, step in enumerate(inputs) for index in step}
