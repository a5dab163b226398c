"""What TFLite's integer kernels ask of the tensors around them (LiteRT's 8-bit quantization specification).

Operations that are in no table stay in float32: their integer kernels are missing, or too coarse to be of use
(``RSQRT``, ``SQUARED_DIFFERENCE`` …).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from aetool_exporters.quantization.affine import Affine

__all__ = [
    "CARRIED",
    "FIXED",
    "JOINED",
    "SATURATION",
    "WEIGHTED",
    "Weighted",
    "fixed_output",
    "has_kernel",
    "largest_logit",
    "version",
]


@dataclass(frozen=True)
class Weighted:
    """Where an operation with a kernel has its inputs.

    Args:
        data, kernel, bias: places among the inputs.
        axis: the kernel's axis of output channels.
    """

    data: int
    kernel: int
    bias: int
    axis: int


WEIGHTED: Mapping[str, Weighted] = {
    "CONV_2D": Weighted(0, 1, 2, 0),
    "DEPTHWISE_CONV_2D": Weighted(0, 1, 2, 3),
    "FULLY_CONNECTED": Weighted(0, 1, 2, 0),
    "TRANSPOSE_CONV": Weighted(2, 1, 3, 0),
}


_VERSIONS: Mapping[str, tuple[int, int]] = {
    "ADD": (2, 3),
    "ARG_MAX": (2, 0),
    "ARG_MIN": (2, 0),
    "AVERAGE_POOL_2D": (2, 3),
    "BATCH_TO_SPACE_ND": (2, 4),
    "CONCATENATION": (2, 3),
    "CONV_2D": (3, 4),
    "DEPTHWISE_CONV_2D": (3, 5),
    "DEPTH_TO_SPACE": (2, 0),
    "ELU": (1, 0),
    "EXPAND_DIMS": (1, 0),
    "FULLY_CONNECTED": (4, 7),
    "GATHER": (2, 4),
    "GELU": (1, 0),
    "HARD_SWISH": (1, 0),
    "LEAKY_RELU": (1, 2),
    "LOGISTIC": (2, 3),
    "MAXIMUM": (2, 4),
    "MAX_POOL_2D": (2, 3),
    "MEAN": (2, 3),
    "MINIMUM": (2, 4),
    "MUL": (2, 4),
    "PACK": (2, 3),
    "PAD": (2, 3),
    "PRELU": (1, 0),
    "RELU": (2, 3),
    "RELU6": (2, 3),
    "RESHAPE": (1, 1),
    "RESIZE_BILINEAR": (2, 4),
    "RESIZE_NEAREST_NEIGHBOR": (2, 4),
    "REVERSE_V2": (3, 0),
    "SLICE": (2, 4),
    "SOFTMAX": (2, 3),
    "SPACE_TO_BATCH_ND": (2, 4),
    "SPACE_TO_DEPTH": (1, 0),
    "SPLIT": (2, 4),
    "SQUEEZE": (1, 1),
    "STRIDED_SLICE": (2, 1),
    "SUB": (2, 5),
    "TANH": (2, 3),
    "TILE": (3, 0),
    "TRANSPOSE": (2, 5),
    "TRANSPOSE_CONV": (2, 2),
    "UNPACK": (2, 4),
}
"""Operation → the first version of it that computes in int8, and in int16 (0: none does)."""

_HYBRID: Mapping[str, int] = {"CONV_2D": 5, "DEPTHWISE_CONV_2D": 6, "FULLY_CONNECTED": 9, "TRANSPOSE_CONV": 2}
"""The same for float activations with int8 weights."""

CARRIED = frozenset(
    [
        "AVERAGE_POOL_2D",
        "BATCH_TO_SPACE_ND",
        "DEPTH_TO_SPACE",
        "EXPAND_DIMS",
        "GATHER",
        "MAX_POOL_2D",
        "PAD",
        "RESHAPE",
        "RESIZE_BILINEAR",
        "RESIZE_NEAREST_NEIGHBOR",
        "REVERSE_V2",
        "SLICE",
        "SPACE_TO_BATCH_ND",
        "SPACE_TO_DEPTH",
        "SPLIT",
        "SQUEEZE",
        "STRIDED_SLICE",
        "TILE",
        "TRANSPOSE",
        "UNPACK",
    ]
)
"""The outputs have the quantization of the one real input."""

JOINED = frozenset(["CONCATENATION", "MAXIMUM", "MINIMUM", "PACK"])
"""All inputs must have the quantization of the output."""

FIXED = frozenset(["LOGISTIC", "SOFTMAX", "TANH"])
"""The kernel prescribes the output's quantization."""

SATURATION: Mapping[str, float] = {"LOGISTIC": 1.0, "TANH": 0.5}
"""Of the largest logit that still changes the output: tanh(x) = 2·logistic(2·x) − 1."""


def has_kernel(name: str, dtype: str) -> bool:
    """Whether an operation can compute in ``int8`` or ``int16``."""
    return name in _VERSIONS and version(name, dtype) > 0


def fixed_output(name: str, dtype: str) -> Affine:
    """The output's quantization that a kernel of ``FIXED`` prescribes."""
    if dtype == "int16":
        return Affine(2.0**-15, 0, -(2**15), 2**15 - 1)
    if name == "TANH":
        return Affine(2.0**-7, 0, -128, 127)
    return Affine(2.0**-8, -128, -128, 127)


def largest_logit(name: str, dtype: str) -> float:
    """Beyond it (and its opposite) ``LOGISTIC`` and ``TANH`` round to the same integer as at it."""
    steps = 2.0 ** (8 if dtype == "int8" else 15)
    return SATURATION[name] * math.log(2 * steps - 1)


def version(name: str, kind: str) -> int:
    """The first version of a builtin that computes in ``int8``, ``int16`` or ``hybrid`` (float with int8 weights)."""
    if kind == "hybrid":
        return _HYBRID[name]
    return _VERSIONS[name][0 if kind == "int8" else 1]
