"""The decoder's steps as JSON: which members each operation has, and of which type (BITSTREAM.md, section 4).

What the members mean together, shapes and sums, is for ``decoder.check_steps`` to judge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aetool_runtime.compression.arrays import ArrayReader, ArrayWriter
from aetool_runtime.compression.description import (
    Add,
    Concatenate,
    Convolution,
    Crop,
    Dense,
    Lookup,
    Range,
    Rescale,
    Rescaling,
    Reshape,
    Step,
    Upsample,
)
from aetool_runtime.strict_json import Node

__all__ = ["MAX_STEPS", "parse_steps", "step_json"]

MAX_STEPS = 256


def parse_steps(node: Node, arrays: ArrayReader) -> tuple[Step, ...]:
    """The steps of a codec.

    Raises:
        ManifestError: an unknown operation, or a member that is missing or of another type.
    """
    items = node.items()
    if not 1 <= len(items) <= MAX_STEPS:
        node.refuse(f"has {len(items)} steps", f"1 to {MAX_STEPS}")
    return tuple(_step(item, number, arrays) for number, item in enumerate(items))


def _step(node: Node, number: int, arrays: ArrayReader) -> Step:
    op = node["op"].one_of(_OPERATIONS)
    inputs = tuple(item.natural() for item in node["inputs"].items())
    if not inputs or max(inputs) > number:
        node["inputs"].refuse("is empty or names a later value", f"numbers from 0 to {number}")
    return _OPERATIONS[op](node, inputs, _range(node["range"]), arrays)


def _range(node: Node) -> Range:
    low, high = _pair(node)
    if not -(2**31) < low <= high < 2**31:
        node.refuse(f"is {str(low)[:12]}, {str(high)[:12]}", "two integers in ascending order, magnitudes below 2^31")
    return low, high


def _pair(node: Node) -> tuple[int, int]:
    values = _integers(node)
    if len(values) != 2:
        node.refuse(f"has {len(values)} values", "two")
    return values[0], values[1]


def _integers(node: Node) -> tuple[int, ...]:
    return tuple(item.integer() for item in node.items())


def _naturals(node: Node, least: int = 1) -> tuple[int, ...]:
    return tuple(item.natural(least) for item in node.items())


def _margins(node: Node) -> tuple[tuple[int, int], ...]:
    pairs = []
    for item in node.items():
        before, after = _pair(item)
        if not (0 <= before < 2**31 and 0 <= after < 2**31):
            item.refuse("has a margin out of range", "0 or more, below 2^31")
        pairs.append((before, after))
    return tuple(pairs)


def _rescaling(node: Node, arrays: ArrayReader, channels: int | None) -> Rescaling:
    multiplier = arrays.read(node["multiplier"], "int32", shape=(channels,))
    return Rescaling(multiplier, arrays.read(node["shift"], "uint8", shape=multiplier.shape))


def _dense(node: Node, inputs: tuple[int, ...], range_: Range, arrays: ArrayReader) -> Dense:
    weights = arrays.read(node["weights"], "int8", "int16", shape=(None, None))
    channels = weights.shape[-1]
    bias = arrays.read(node["bias"], "int32", shape=(channels,))
    return Dense(inputs, range_, weights, bias, _rescaling(node, arrays, channels))


def _convolution(node: Node, inputs: tuple[int, ...], range_: Range, arrays: ArrayReader) -> Convolution:
    transposed = node["op"].value == "conv_transposed"
    weights = arrays.read(node["weights"], "int8", "int16")
    if weights.ndim not in (3, 4):
        node["weights"].refuse(f"has {weights.ndim} dimensions", "[k, I, O] or [k, k, I, O]")
    channels, kernel = weights.shape[-1], weights.ndim - 2
    bias = arrays.read(node["bias"], "int32", shape=(channels,))
    stride = _naturals(node["stride"])
    margins = _margins(node["crop" if transposed else "padding"])
    if len(stride) != kernel or len(margins) != kernel:
        node.refuse(f"has {len(stride)} strides and {len(margins)} margins", f"{kernel} of each, as of the kernel")
    return Convolution(
        inputs, range_, weights, bias, _rescaling(node, arrays, channels), stride, margins, transposed=transposed
    )


def _lookup(node: Node, inputs: tuple[int, ...], range_: Range, arrays: ArrayReader) -> Lookup:
    return Lookup(inputs, range_, arrays.read(node["values"], "int16", "int32", shape=(None,)))


def _rescale(node: Node, inputs: tuple[int, ...], range_: Range, arrays: ArrayReader) -> Rescale:
    rescaling = _rescaling(node, arrays, None)
    return Rescale(inputs, range_, rescaling, arrays.read(node["bias"], "int32", shape=rescaling.multiplier.shape))


def _add(node: Node, inputs: tuple[int, ...], range_: Range, arrays: ArrayReader) -> Add:
    return Add(inputs, range_, _pair(node["multipliers"]), node["shift"].natural())


def _upsample(node: Node, inputs: tuple[int, ...], range_: Range, arrays: ArrayReader) -> Upsample:
    return Upsample(inputs, range_, _naturals(node["factors"]))


def _reshape(node: Node, inputs: tuple[int, ...], range_: Range, arrays: ArrayReader) -> Reshape:
    return Reshape(inputs, range_, _naturals(node["shape"]))


def _crop(node: Node, inputs: tuple[int, ...], range_: Range, arrays: ArrayReader) -> Crop:
    return Crop(inputs, range_, _margins(node["crop"]))


def _concatenate(node: Node, inputs: tuple[int, ...], range_: Range, arrays: ArrayReader) -> Concatenate:
    return Concatenate(inputs, range_)


_OPERATIONS: Mapping[str, Callable[[Node, tuple[int, ...], Range, ArrayReader], Step]] = {
    "dense": _dense,
    "conv": _convolution,
    "conv_transposed": _convolution,
    "table": _lookup,
    "rescale": _rescale,
    "add": _add,
    "upsample": _upsample,
    "reshape": _reshape,
    "crop": _crop,
    "concatenate": _concatenate,
}


# --- writing ---


def step_json(step: Step, arrays: ArrayWriter) -> dict[str, Any]:
    """A step's members; its arrays go to the data file."""
    op, members = _members(step, arrays)
    return {"op": op, "inputs": list(step.inputs), "range": list(step.range), **members}


def _members(step: Step, arrays: ArrayWriter) -> tuple[str, dict[str, Any]]:
    match step:
        case Dense():
            return "dense", _weights_json(step, arrays)
        case Convolution():
            return _convolution_json(step, arrays)
        case Lookup():
            return "table", {"values": arrays.place(step.values)}
        case Rescale():
            return "rescale", {**_rescaling_json(step.rescaling, arrays), "bias": arrays.place(step.bias)}
        case Add():
            return "add", {"multipliers": list(step.multipliers), "shift": step.shift}
        case Upsample():
            return "upsample", {"factors": list(step.factors)}
        case Reshape():
            return "reshape", {"shape": list(step.shape)}
        case Crop():
            return "crop", {"crop": [list(pair) for pair in step.crop]}
        case Concatenate():
            return "concatenate", {}


def _convolution_json(step: Convolution, arrays: ArrayWriter) -> tuple[str, dict[str, Any]]:
    members = {**_weights_json(step, arrays), "stride": list(step.stride)}
    margins = [list(pair) for pair in step.margins]
    if step.transposed:
        return "conv_transposed", {**members, "crop": margins}
    return "conv", {**members, "padding": margins}


def _weights_json(step: Dense | Convolution, arrays: ArrayWriter) -> dict[str, Any]:
    return {
        "weights": arrays.place(step.weights),
        "bias": arrays.place(step.bias),
        **_rescaling_json(step.rescaling, arrays),
    }


def _rescaling_json(rescaling: Rescaling, arrays: ArrayWriter) -> dict[str, Any]:
    return {"multiplier": arrays.place(rescaling.multiplier), "shift": arrays.place(rescaling.shift)}
