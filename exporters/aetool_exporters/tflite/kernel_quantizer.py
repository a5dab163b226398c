"""A graph's kernels and biases as integers, each made once, however many signatures share it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from aetool_exporters.tflite.kernels import WEIGHTED
from aetool_exporters.tflite.weights import QuantizedKernel, mean_error, quantize_kernel, takes_channels
from aetool_runtime.specs import Array

__all__ = ["KernelQuantizer"]


@dataclass(frozen=True)
class KernelQuantizer:
    """Makes int8 kernels, and biases that make up for what rounding takes away on average.

    Args:
        per_channel: see ``QuantizationOptions``.
        rows: a kernel's buffer → [rows, inputs of one output] that it is multiplied with, where that is known.
    """

    per_channel: bool
    rows: Mapping[int, Array] = field(default_factory=dict, repr=False)
    _made: dict[tuple[object, ...], QuantizedKernel] = field(default_factory=dict, repr=False)

    def quantize(
        self, name: str, buffer: int, kernel: Array, bias: Array | None, input_scale: float
    ) -> tuple[QuantizedKernel, Array | None]:
        """A kernel in int8 and its bias, still real; zeros where there was none but one is of use.

        Args:
            name: the operation, such as ``CONV_2D``.
            buffer: where the kernel is stored in the model.
            bias: [outputs].
            input_scale: of the integers that the kernel is multiplied with.
        """
        rows = self.rows.get(buffer)
        if bias is None and rows is not None:
            bias = np.zeros(kernel.shape[WEIGHTED[name].axis], np.float32)
        key = (name, buffer, input_scale, None if bias is None else bias.tobytes())
        if key not in self._made:
            axis = WEIGHTED[name].axis
            each = self.per_channel and takes_channels(name, kernel, axis)
            self._made[key] = quantize_kernel(
                kernel, axis, per_channel=each, bias=bias, input_scale=input_scale, rows=rows
            )
        made = self._made[key]
        if bias is not None and rows is not None:
            bias = bias + mean_error(kernel, made, rows)
        return made, bias
