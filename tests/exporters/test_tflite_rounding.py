"""How weights are rounded on what they meet: rows of inputs as the engine multiplies them, and errors that cancel."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from aetool_exporters.tflite.kernel_quantizer import KernelQuantizer
from aetool_exporters.tflite.meetings import Meetings
from aetool_exporters.tflite.rounding import round_together
from aetool_exporters.tflite.weights import takes_channels

SAME, VALID = 0, 1
GENERATOR = np.random.default_rng(0)


def correlated(rows: int, inputs: int, sources: int) -> np.ndarray[Any, Any]:
    made = GENERATOR.normal(size=(rows, sources)) @ GENERATOR.normal(size=(sources, inputs)) + 3.0
    return made.astype(np.float32)


def output_error(kernel: Any, made: Any, scales: Any, rows: Any) -> float:
    lost = (kernel - made * scales[:, np.newaxis]) @ (rows - rows.mean(axis=0)).T
    return float(np.mean(lost**2))


@pytest.mark.parametrize(("inputs", "sources", "gain"), [(40, 4, 5.0), (150, 10, 5.0), (1500, 30, 3.0)])
def test_errors_cancel_where_inputs_are_alike(inputs: int, sources: int, gain: float) -> None:
    """On rows like those it saw, not only on those; the largest is rounded in more than one piece."""
    kernel = GENERATOR.normal(size=(20, inputs))
    scales = np.abs(kernel).max(axis=1) / 127
    rows = correlated(800, inputs, sources)
    made = round_together(kernel, scales, 127, rows[:400], 0.0)
    apart = np.rint(kernel / scales[:, np.newaxis])
    assert output_error(kernel, made, scales, rows[400:]) < output_error(kernel, apart, scales, rows[400:]) / gain
    assert np.array_equal(made, np.rint(made))
    assert np.abs(made).max() <= 127


def test_where_inputs_are_independent_weights_are_rounded_one_by_one() -> None:
    kernel = GENERATOR.normal(size=(6, 8))
    scales = np.full(6, 0.01)
    rows = np.concatenate([np.eye(8), -np.eye(8)]).astype(np.float32)
    assert np.array_equal(round_together(kernel, scales, 500, rows, 0.0), np.rint(kernel / 0.01))


@pytest.mark.parametrize("rows", [correlated(30, 12, 2), np.zeros((5, 12), np.float32), np.ones((1, 12), np.float32)])
def test_what_lies_on_the_grid_stays_there(rows: Any) -> None:
    steps = GENERATOR.integers(-127, 128, (7, 12)).astype(np.float64)
    scales = np.full(7, 0.25)
    assert np.array_equal(round_together(steps * 0.25, scales, 127, rows, 1e-3), steps)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(
    ("size", "strides", "dilation"), [((3, 3), (1, 1), 1), ((2, 5), (2, 3), 1), ((3, 2), (1, 1), 2)]
)
def test_rows_of_a_convolution_are_what_its_kernel_is_multiplied_with(
    padding: str, size: tuple[int, int], strides: tuple[int, int], dilation: int
) -> None:
    layer = keras.layers.Conv2D(4, size, strides, padding, dilation_rate=dilation, use_bias=False)
    value = GENERATOR.normal(size=(1, 9, 10, 3)).astype(np.float32)
    expected = np.asarray(layer(value))
    kernel = np.asarray(layer.kernel).transpose(3, 0, 1, 2)
    check("CONV_2D", kernel, strides, dilation, padding, value, expected)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("size", "strides"), [((3, 3), (2, 2)), ((4, 2), (2, 3)), ((2, 5), (1, 1)), ((1, 7), (1, 2))])
def test_rows_of_a_transposed_convolution(padding: str, size: tuple[int, int], strides: tuple[int, int]) -> None:
    layer = keras.layers.Conv2DTranspose(4, size, strides, padding, use_bias=False)
    value = GENERATOR.normal(size=(1, 5, 6, 3)).astype(np.float32)
    expected = np.asarray(layer(value))
    kernel = np.asarray(layer.kernel).transpose(2, 0, 1, 3)
    check("TRANSPOSE_CONV", kernel, strides, 1, padding, value, expected)


def check(
    name: str, kernel: Any, strides: tuple[int, int], dilation: int, padding: str, value: Any, expected: Any
) -> None:
    options = SimpleNamespace(
        strideH=strides[0],
        strideW=strides[1],
        dilationHFactor=dilation,
        dilationWFactor=dilation,
        padding=SAME if padding == "same" else VALID,
    )
    meetings = Meetings(name, SimpleNamespace(builtinOptions=options), kernel.shape, samples=1)
    meetings.add(value, expected.shape)
    assert meetings.rows is not None
    met = meetings.rows @ kernel.reshape(len(kernel), -1).T
    assert np.allclose(met, expected.reshape(-1, len(kernel)), atol=1e-4)


def test_rows_are_kept_in_bounded_memory() -> None:
    meetings = Meetings("FULLY_CONNECTED", SimpleNamespace(builtinOptions=None), (8, 1 << 10), samples=2)
    for _ in range(2):
        meetings.add(np.zeros((5000, 1 << 10), np.float32), (5000, 8))
    assert meetings.rows is not None
    assert meetings.rows.size == 1 << 22


def test_one_kernel_in_two_signatures_is_made_once_and_keeps_its_mean() -> None:
    rows, kernel = correlated(100, 16, 3), GENERATOR.normal(size=(5, 16)).astype(np.float32)
    quantizer = KernelQuantizer(per_channel=False, rows={4: rows})
    made, bias = quantizer.quantize("FULLY_CONNECTED", 4, kernel, None, 0.05)
    assert quantizer.quantize("FULLY_CONNECTED", 4, kernel, None, 0.05)[0] is made
    assert bias is not None
    met = rows @ (made.values.astype(np.float64) * made.scales).T + bias
    assert np.allclose(met.mean(axis=0), (rows @ kernel.T).mean(axis=0), atol=1e-4)


def test_unknown_kernels_are_rounded_to_the_nearest() -> None:
    kernel = GENERATOR.normal(size=(5, 16)).astype(np.float32)
    made, bias = KernelQuantizer(per_channel=False).quantize("FULLY_CONNECTED", 4, kernel, None, 0.05)
    assert bias is None
    assert np.array_equal(made.values, np.clip(np.rint(kernel / made.scales.astype(np.float64)), -127, 127))


def test_a_scale_for_each_channel_where_channels_differ_or_lie_on_such_a_grid() -> None:
    even = GENERATOR.uniform(-1, 1, size=(16, 3, 3, 8))
    uneven = even * np.geomspace(1, 1000, 16).reshape(-1, 1, 1, 1)
    reach = np.abs(even).max(axis=(1, 2, 3), keepdims=True) / 127
    on_grid = np.rint(even / reach) * reach
    assert [takes_channels("CONV_2D", kernel, 0) for kernel in (even, uneven, on_grid)] == [False, True, True]
    assert takes_channels("DEPTHWISE_CONV_2D", even, 3)
