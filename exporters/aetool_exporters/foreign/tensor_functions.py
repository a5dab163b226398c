"""TensorFlow functions that Keras 2 wrote into files by name, as far as they only compute.

The list is closed: a name in a file never reaches for anything else. Random numbers become what they are on average.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

__all__ = ["RANDOM", "TENSOR_FUNCTIONS", "filled", "resolve"]


def _named_or_not(function: Callable[..., Any]) -> Callable[..., Any]:
    """Operators take no names; files have ``x`` and ``y``, or ``a`` and ``b``."""
    return lambda *given, **named: function(*given, *named.values())


_OPERATORS: dict[str, Callable[..., Any]] = {
    "__operators__.getitem": lambda tensor, slice_spec: tensor[_slices(slice_spec)],
    **{
        f"__operators__.{name}": _named_or_not(getattr(operator, name))
        for name in ("add", "mul", "neg", "pow", "sub", "truediv")
    },
}

RANDOM = frozenset({"random.normal", "random.truncated_normal", "random.uniform", "compat.v1.random_normal",
                    "random.stateless_normal", "random.stateless_uniform"})  # fmt: skip
"""Functions that draw numbers: replaced by their expectation."""

TENSOR_FUNCTIONS = frozenset(_OPERATORS) | RANDOM | frozenset({
    "abs", "add", "argmax", "argmin", "broadcast_to", "cast", "clip_by_value", "compat.v1.shape", "concat", "cos",
    "cumsum", "divide", "einsum", "exp", "expand_dims", "floor", "gather", "identity", "image.resize", "linalg.matmul",
    "math.abs", "math.add", "math.add_n", "math.argmax", "math.cos", "math.cumsum", "math.divide",
    "math.divide_no_nan", "math.exp", "math.floor", "math.l2_normalize", "math.log", "math.log1p", "math.maximum",
    "math.minimum", "math.multiply", "math.negative", "math.pow", "math.reciprocal", "math.reduce_max",
    "math.reduce_mean", "math.reduce_min", "math.reduce_prod", "math.reduce_sum", "math.rsqrt", "math.sigmoid",
    "math.sign", "math.sin", "math.softplus", "math.sqrt", "math.square", "math.squared_difference", "math.subtract",
    "math.tanh", "math.truediv", "matmul", "maximum", "minimum", "multiply", "negative", "nn.avg_pool", "nn.avg_pool2d",
    "nn.bias_add", "nn.conv1d", "nn.conv2d", "nn.conv2d_transpose", "nn.depth_to_space", "nn.elu", "nn.gelu",
    "nn.l2_normalize", "nn.leaky_relu", "nn.log_softmax", "nn.max_pool", "nn.max_pool2d", "nn.relu", "nn.relu6",
    "nn.selu", "nn.sigmoid", "nn.silu", "nn.softmax", "nn.softplus", "nn.softsign", "nn.space_to_depth", "nn.swish",
    "nn.tanh", "ones_like", "pad", "pow", "realdiv", "reduce_max", "reduce_mean", "reduce_min", "reduce_sum",
    "repeat", "reshape", "reverse", "round", "shape", "sigmoid", "sin", "split", "sqrt", "square", "squeeze", "stack",
    "strided_slice", "subtract", "tanh", "tile", "transpose", "truediv", "unstack", "zeros_like",
})  # fmt: skip
"""Names below ``tf.`` that may be called."""


def resolve(name: str, tf: Any) -> Callable[..., Any]:
    """The function with a name of ``TENSOR_FUNCTIONS``."""
    if name in RANDOM:
        return _expected_uniform(tf) if "uniform" in name else _expected_normal(tf)
    if name in _OPERATORS:
        return _OPERATORS[name]
    found: Callable[..., Any] = reduce(getattr, name.split("."), tf)
    return found


def _expected_normal(tf: Any) -> Callable[..., Any]:
    return lambda shape, mean=0.0, stddev=1.0, dtype="float32", **_: tf.fill(shape, tf.cast(mean, dtype))


def _expected_uniform(tf: Any) -> Callable[..., Any]:
    def middle(shape: Any, minval: float = 0.0, maxval: float = 1.0, dtype: Any = "float32", **_: Any) -> Any:
        return tf.fill(shape, tf.cast((minval + maxval) / 2, dtype))

    return middle


def _slices(given: Any) -> Any:
    return tuple(given) if isinstance(given, list) else given


def filled(value: Any, tensors: Sequence[Any]) -> Any:
    """An argument as a file has it, with tensors, slices and the ellipsis in their places."""
    if isinstance(value, list):
        return [filled(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"tensor"}:
        return tensors[value["tensor"]]
    if set(value) == {"start", "stop", "step"}:
        return slice(*(filled(value[key], tensors) for key in ("start", "stop", "step")))
    if value.get("class_name") == "__ellipsis__":
        return Ellipsis
    return {key: filled(item, tensors) for key, item in value.items()}
