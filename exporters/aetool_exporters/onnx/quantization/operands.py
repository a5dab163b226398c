"""Weights and biases of integer kernels, in the file as short as they can be.

What engines fold when they load a graph is not stored, but computed: scales from half precision, biases from 8 or 16
bits.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from aetool_exporters.onnx.quantization.weights import (
    MANY,
    REACH,
    Kernel,
    quantize_kernel,
    store_scales,
    wants_channels,
)
from aetool_exporters.onnx.quantization.writer import Writer
from aetool_exporters.quantization.affine import Affine
from aetool_runtime.specs import Array

__all__ = ["CENTER", "Operands", "fit_kernel"]

CENTER = 128
"""The zero point of weights."""

_LARGEST_BIAS = 2.0**30


def fit_kernel(
    weights: Array, axis: int, bias: NDArray[np.float32] | None, scale: float, *, per_channel: bool
) -> Kernel:
    """Integer weights, with steps wide enough that the bias fits into 32 bits of steps of the sum.

    Args:
        bias: one value for each channel.
        scale: of what is multiplied with the weights.
    """
    per_channel = per_channel and wants_channels(weights.shape, axis)
    least = np.zeros(1) if bias is None else np.abs(bias) / (scale * _LARGEST_BIAS)
    return quantize_kernel(weights, axis, per_channel=per_channel, least=least if per_channel else least.max())


class Operands:
    """Writes the constant inputs of linear nodes; ``name`` is always that of the node's output."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def weights(self, name: str, kernel: Kernel) -> str:
        """Unsigned weights, dequantized."""
        stored = self._writer.constant(f"{name}/weights", (kernel.integers.astype(np.int16) + CENTER).astype(np.uint8))
        scale, zero = self._scale_of(name, kernel), self._writer.constant(f"zero/{CENTER}", np.uint8(CENTER))
        if kernel.is_uniform:
            return self._writer.emit("DequantizeLinear", [stored, scale, zero], f"{name}/float_weights")
        zeros = self._zeros(len(kernel.scale))
        return self._writer.emit("DequantizeLinear", [stored, scale, zeros], f"{name}/float_weights", axis=kernel.axis)

    def _scale_of(self, name: str, kernel: Kernel) -> str:
        name = f"{name}/scale"
        stored = kernel.scale[0] if kernel.is_uniform else store_scales(kernel.scale)
        self._writer.constant(name, stored)
        if stored.dtype != np.float16:
            return name
        return self._writer.emit("Cast", [name], f"{name}/whole", to=onnx.TensorProto.FLOAT)

    def _zeros(self, count: int) -> str:
        """As many zero points of weights."""
        name = f"zeros/{count}"
        if count < 4 * MANY:
            return self._writer.constant(name, np.full(count, CENTER, np.uint8))
        value = numpy_helper.from_array(np.array([CENTER], np.uint8))
        shape = self._writer.constant(f"{name}/shape", np.array([count], np.int64))
        return self._writer.emit("ConstantOfShape", [shape], name, value=value)

    def bias(self, name: str, kernel: Kernel, bias: Array, source: Affine, result: Affine) -> str:
        """The bias in steps of the sum, dequantized.

        Args:
            source, result: what the node reads and makes.
        """
        steps = np.float32(source.scale) * (kernel.scale[0] if kernel.is_uniform else kernel.scale)
        stored = self._whole_bias(name, np.rint(bias.astype(np.float64) / steps), result.scale / float(steps.min()))
        if kernel.is_uniform or len(bias) < MANY:
            step = self._writer.constant(f"{name}/step", steps)
        else:
            scales = [self._scale_of(name, kernel), self._writer.parameters(source)[0]]
            step = self._writer.emit("Mul", scales, f"{name}/step")
        axis = {} if kernel.is_uniform else {"axis": 0}
        return self._writer.emit("DequantizeLinear", [stored, step], f"{name}/float_bias", **axis)

    def _whole_bias(self, name: str, whole: Array, tolerable: float) -> str:
        """A bias of integers, where there are many as a shorter type.

        Args:
            tolerable: a change that is no more than what the result's own rounding makes.
        """
        reach = np.abs(whole).max(initial=0.0)
        coarse = np.ceil(reach / REACH)
        if len(whole) >= 8 * MANY and 1 < coarse <= tolerable:
            cast = self._cast_bias(name, np.rint(whole / coarse).astype(np.int8), "coarse_bias")
            return self._writer.emit(
                "Mul", [cast, self._writer.constant(f"{name}/coarse", np.int32(coarse))], f"{name}/whole_bias"
            )
        if len(whole) >= MANY and reach < 2**15:
            return self._cast_bias(name, whole.astype(np.int16), "whole_bias")
        return self._writer.constant(f"{name}/bias", whole.astype(np.int32))

    def _cast_bias(self, name: str, value: Array, result: str) -> str:
        stored = self._writer.constant(f"{name}/bias", value)
        return self._writer.emit("Cast", [stored], f"{name}/{result}", to=onnx.TensorProto.INT32)

    def float_bias(self, name: str, weights: Array, bias: Array, source: Affine) -> str:
        """In half precision where there are many, and rounding moves the sum by less than the input's does."""
        name, step = f"{name}/bias", source.scale * float(np.abs(weights).max(initial=0.0))
        if len(bias) < MANY or np.abs(bias).max() * 2.0**-12 > step / 20:
            return self._writer.constant(name, bias.astype(np.float32))
        stored = self._writer.constant(name, bias.astype(np.float16))
        return self._writer.emit("Cast", [stored], f"{name}/whole", to=onnx.TensorProto.FLOAT)
