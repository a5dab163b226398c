"""Operations as calls of C kernels."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from aetool_exporters.c.fixed_point import fixed_factor
from aetool_exporters.c.graph import Graph, Operation, Tensor, refusal
from aetool_exporters.c.step import Parameter, Step
from aetool_exporters.c.sums import conv_2d, depthwise_conv_2d, fully_connected, geometry, transpose_conv
from aetool_exporters.c.tables import TABLED, activation_range, table
from aetool_runtime.specs import Array

__all__ = ["SUPPORTED", "lowered"]

_MOST_AXES = 4
_SUM_BITS = 20  # headroom that the reference gives two values before it adds them


def lowered(graph: Graph) -> list[Step]:
    """The calls that compute a graph.

    Raises:
        UnsupportedOperatorError: an operation without a kernel, or one that its kernel cannot do.
    """
    return [step for operation in graph.operations for step in _steps(operation)]


def _steps(operation: Operation) -> list[Step]:
    make = _LOWERINGS.get(operation.name)
    if make is None:
        raise refusal(operation, "only the operations of the presets have")
    for tensor in (*operation.inputs, operation.output):
        if tensor is not None and tensor.data is None and (tensor.dtype != "int8" or len(tensor.scales) != 1):
            raise refusal(operation, f"{tensor.dtype} values in {tensor.name}", "export int8 with --integer-io")
    return make(operation)


def _lookup(operation: Operation) -> list[Step]:
    given = operation.given(0)
    parameters: dict[str, Parameter] = {"table": table(operation), "count": given.size}
    return [Step("lookup", (given,), operation.output, parameters, in_place=True)]


def _reshape(operation: Operation) -> list[Step]:
    given = operation.given(0)
    return [Step("copy", (given,), operation.output, {"count": given.size}, in_place=True)]


def _pool(kernel: str) -> Callable[[Operation], list[Step]]:
    def make(operation: Operation) -> list[Step]:
        given, options = operation.given(0), operation.options
        _check_same_scale(operation, given)
        low, high = activation_range(operation)
        window = (int(options["filterHeight"]), int(options["filterWidth"]))
        parameters: dict[str, Parameter] = {**geometry(operation, given, window, (1, 1)), "low": low, "high": high}
        return [Step(kernel, (given,), operation.output, parameters)]

    return make


def _resize_nearest(operation: Operation) -> list[Step]:
    given, made, options = operation.given(0), operation.output, operation.options
    names = ("batch", "height", "width", "depth")
    parameters: dict[str, Parameter] = dict(zip(names, given.shape, strict=True))
    for axis, name in ((1, "y"), (2, "x")):
        parameters[f"from_{name}"] = _nearest(
            given.shape[axis], made.shape[axis], bool(options["alignCorners"]), bool(options["halfPixelCenters"])
        )
    parameters |= {"out_height": made.shape[1], "out_width": made.shape[2]}
    return [Step("resize_nearest", (given,), made, parameters)]


def _nearest(size: int, wanted: int, aligned: bool, centered: bool) -> Array:
    """For each place of ``wanted`` the one that it shows, computed in float32 as the reference does."""
    aligned_scale = aligned and wanted > 1
    scale = np.float32(size - 1) / np.float32(wanted - 1) if aligned_scale else np.float32(size) / np.float32(wanted)
    at = (np.arange(wanted).astype(np.float32) + np.float32(0.5 if centered else 0)) * scale
    found = np.floor(at + np.float32(0.5)) if aligned else np.floor(at)
    return np.asarray(np.clip(found, 0, size - 1), np.int32)


def _pad(operation: Operation) -> list[Step]:
    given, made = operation.given(0), operation.output
    _check_axes(operation, len(given.shape))
    before = tuple(int(pair[0]) for pair in operation.constant(1).reshape(-1, 2))
    parameters: dict[str, Parameter] = {
        "shape": _four(given.shape, 1), "before": _four(before, 0), "out_shape": _four(made.shape, 1),
        "value": made.zero_point,
    }  # fmt: skip
    return [Step("pad", (given,), made, parameters)]


def _concatenation(operation: Operation) -> list[Step]:
    made = operation.output
    axis = int(operation.options["axis"]) % len(made.shape)
    if activation_range(operation) != (-128, 127):
        raise refusal(operation, "it has a fused activation")
    after, rows, start, steps = prod(made.shape[axis + 1 :]), prod(made.shape[:axis]), 0, []
    for place in range(len(operation.inputs)):
        given = operation.given(place)
        _check_same_scale(operation, given)
        count = given.shape[axis] * after
        parameters: dict[str, Parameter] = {
            "rows": rows, "count": count, "stride": made.shape[axis] * after, "start": start
        }  # fmt: skip
        steps.append(Step("part", (given,), made, parameters))
        start += count
    return steps


def _pair(kernel: str) -> Callable[[Operation], list[Step]]:
    def make(operation: Operation) -> list[Step]:
        first, second, made = operation.given(0), operation.given(1), operation.output
        _check_axes(operation, len(made.shape))
        low, high = activation_range(operation)
        scales = float(first.scale), float(second.scale)
        twice = 2 * max(scales)
        summed = kernel != "mul"
        ratio = twice / (2**_SUM_BITS * float(made.scale)) if summed else scales[0] * scales[1] / float(made.scale)
        multiplier, shift = fixed_factor(ratio)
        factors = [fixed_factor(scale / twice) if summed else (0, 0) for scale in scales]
        parameters: dict[str, Parameter] = {
            "shape": _four(made.shape, 1),
            "first_step": _repeated(first), "second_step": _repeated(second),
            "first_zero_point": first.zero_point, "second_zero_point": second.zero_point,
            "first_multiplier": factors[0][0], "first_shift": factors[0][1],
            "second_multiplier": factors[1][0], "second_shift": factors[1][1],
            "target.multiplier": np.array([multiplier], np.int32), "target.shift": np.array([shift], np.int8),
            "target.each": 0, "target.zero_point": made.zero_point, "target.low": low, "target.high": high,
        }  # fmt: skip
        return [Step(kernel, (first, second), made, parameters, record="pair")]

    return make


def _repeated(given: Tensor) -> tuple[int, ...]:
    """How far apart neighbours along each axis lie; 0 where one value serves all."""
    shape = _four(given.shape, 1)
    steps = [prod(shape[axis + 1 :]) if size > 1 else 0 for axis, size in enumerate(shape)]
    return tuple(steps)


def _four(sizes: tuple[int, ...], fill: int) -> tuple[int, ...]:
    return (*(fill,) * (_MOST_AXES - len(sizes)), *sizes)


def _check_axes(operation: Operation, count: int) -> None:
    if count > _MOST_AXES:
        raise refusal(operation, f"{count} dimensions", "reshape to at most four")


def _check_same_scale(operation: Operation, given: Tensor) -> None:
    made = operation.output
    if (given.scale, given.zero_point) != (made.scale, made.zero_point):
        raise refusal(operation, f"{given.name} is measured in other steps than its result")


_LOWERINGS: dict[str, Callable[[Operation], list[Step]]] = {
    "FULLY_CONNECTED": fully_connected,
    "CONV_2D": conv_2d,
    "DEPTHWISE_CONV_2D": depthwise_conv_2d,
    "TRANSPOSE_CONV": transpose_conv,
    "MAX_POOL_2D": _pool("max_pool_2d"),
    "AVERAGE_POOL_2D": _pool("average_pool_2d"),
    "RESIZE_NEAREST_NEIGHBOR": _resize_nearest,
    "PAD": _pad,
    "CONCATENATION": _concatenation,
    "ADD": _pair("add"),
    "SUB": _pair("sub"),
    "MUL": _pair("mul"),
    "RESHAPE": _reshape,
    "EXPAND_DIMS": _reshape,
    "SQUEEZE": _reshape,
    **dict.fromkeys(sorted(TABLED), _lookup),
}
SUPPORTED = frozenset(_LOWERINGS)
