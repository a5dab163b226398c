"""What quantization does to a layer: ranges that cut off or are too wide, weights that one scale cannot hold."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from aetool_exporters.drift.measure import likeness
from aetool_exporters.drift.report import Cause
from aetool_exporters.drift.trace import Constant, Grid, Tensor
from aetool_runtime.specs import Array

__all__ = ["activation_causes", "kernel_axis", "weight_causes"]

_EXPLAINED = 6.0  # dB
_FEW_LEVELS = 16.0  # steps in the standard deviation of what a tensor holds
_OUTLIER = 8.0  # times the median channel's reach
_USED_LEVELS = 32.0  # of a channel's 255
_SATURATED = 0.005
_BULK = 99.9  # percent of the values
_LAST_AXIS = {"MatMul", "MatMulInteger"}
_FIRST_AXIS = {"Conv", "CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "CONV_3D"}
_SECOND_AXIS = {"ConvTranspose"}
_FOURTH_AXIS = {"DEPTHWISE_CONV_2D"}


def activation_causes(expected: Array, met: Array, grid: Grid | None) -> Iterator[Cause]:
    """Whether a tensor's range is to blame.

    Args:
        expected: what the layer should return, given what it was given.
        met: what it returned.
        grid: that the values pass through.
    """
    if grid is None or expected.dtype.kind != "f":
        return
    low, high, step = grid.minimum, grid.maximum, grid.step
    outside = float(np.mean((expected < low - step / 2) | (expected > high + step / 2)))
    own = likeness(expected, met)
    clipped = np.clip(expected, low, high)
    if outside and likeness(clipped, met) >= own + _EXPLAINED:
        what = (
            f"its range [{low:.3g}, {high:.3g}] cuts off {outside:.2%} of the values, which reach from "
            f"{expected.min():.3g} to {expected.max():.3g}"
        )
        yield Cause("clipped_activation", what, "calibrate with more data, or with the method minmax or mse")
    yield from _outlier_channel(expected, step)
    rounding = np.rint(np.clip(expected, low, high) / step) * step
    levels = float(expected.std()) / step
    if levels < _FEW_LEVELS and likeness(expected, rounding) <= own + _EXPLAINED:
        bulk = float(np.percentile(np.abs(expected), _BULK))
        what = (
            f"its range [{low:.3g}, {high:.3g}] is wide for what it holds: {_BULK:g} % of the values lie within "
            f"±{bulk:.3g}, and one step of {step:.2g} is {_ratio(1, levels):.2g} of their standard deviation"
        )
        yield Cause("range_outliers", what, "calibrate with the method percentile or mse, or keep the layer in float")


def _outlier_channel(expected: Array, step: float) -> Iterator[Cause]:
    channels = expected.shape[-1] if expected.ndim > 1 else 1
    reach = np.abs(expected).reshape(-1, channels).max(axis=0)
    median, largest = float(np.median(reach)), int(np.argmax(reach))
    ratio = _ratio(reach[largest], median)
    if channels > 2 and median and ratio >= _OUTLIER and median / step < _USED_LEVELS:
        what = (
            f"outlier in its values: channel {largest} reaches {reach[largest]:.3g}, {ratio:.3g} times the median one, "
            f"which the one range for all leaves {median / step:.1f} steps"
        )
        yield Cause("range_outliers", what, "keep the layer in float, or rescale the channel in the model")


def weight_causes(tensor: Tensor, constant: Constant) -> Iterator[Cause]:
    """Whether a quantized kernel is to blame."""
    if constant.grid is None or constant.integers is None or constant.values.ndim < 2:
        return
    axis = kernel_axis(tensor.operator, constant)
    reach = np.abs(np.moveaxis(constant.values, axis, 0).reshape(constant.values.shape[axis], -1)).max(axis=1)
    median, largest = float(np.median(reach)), int(np.argmax(reach))
    if constant.grid.scale.size == 1 and len(reach) > 1:
        levels = median / constant.grid.step
        ratio = _ratio(reach[largest], median)
        if ratio >= _OUTLIER and levels < _USED_LEVELS:
            what = (
                f"outlier in the weights ({constant.name}): channel {largest} reaches {reach[largest]:.3g}, "
                f"{ratio:.3g} times the median one, which the one scale for all leaves {levels:.1f} of 127 steps"
            )
            yield Cause("outlier_channel", what, "one scale for each channel, or keep the layer in float")
    yield from _saturated(constant, axis)


def _saturated(constant: Constant, axis: int) -> Iterator[Cause]:
    """A scale that fits has one value at its end, or one per channel; here a share of them is there."""
    grid, integers = constant.grid, constant.integers
    assert grid is not None
    assert integers is not None
    at_end = (integers == integers.max()) | (integers == integers.min())
    share = float(at_end.mean())
    allowed = max(_SATURATED, 2.0 * max(grid.scale.size, 1) / integers.size)
    if share > allowed:
        per_channel = np.moveaxis(at_end, axis, 0).reshape(at_end.shape[axis], -1).mean(axis=1)
        what = (
            f"saturating weights ({constant.name}): {share:.1%} of them stand at the end of the integers' range, "
            f"most in channel {int(np.argmax(per_channel))} ({per_channel.max():.0%})"
        )
        yield Cause(
            "saturating_weights", what, "the scale is too small: quantize the weights again from their own range"
        )


def _ratio(one: float, other: float) -> float:
    return one / other if other else float("inf")


def kernel_axis(operator: str, constant: Constant) -> int:
    """The axis of a kernel that runs along the output's channels."""
    if constant.grid is not None and constant.grid.axis is not None:
        return constant.grid.axis % constant.values.ndim
    if operator in _FIRST_AXIS:
        return 0
    if operator in _SECOND_AXIS:
        return 1
    if operator in _FOURTH_AXIS:
        return 3
    return constant.values.ndim - 1
