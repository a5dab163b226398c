"""Multiply-adds of a Keras layer for one sample: a multiplication with the addition that goes with it is one.

====================================  =================================================================================
layer                                 multiply-adds
====================================  =================================================================================
Dense                                 positions · inputs · units
Conv1D, 2D, 3D                        output positions · kernel · channels / groups · filters; padding is multiplied too
Conv…Transpose                        input positions · kernel · channels · filters; what is cropped is computed first
DepthwiseConv, SeparableConv          output positions · kernel · channels · multiplier (+ positions · pointwise kernel)
LSTM                                  steps · (inputs · 4u + u · 4u + 3u): the gates' products with the state are 3u
GRU                                   steps · (inputs · 3u + u · 3u + 3u)
SimpleRNN                             steps · (inputs · u + u · u)
Bidirectional, TimeDistributed        both directions; steps · what is inside
MultiHeadAttention                    four projections + scores (queries · keys · heads · size) + as much for the values
BatchNormalization, PReLU, Rescaling  one for each value, as is ``Multiply`` of two tensors
Layer-, Group-, RMSNormalization      two for each value: its share in the variance, and scale with shift
UpSampling, Resizing                  nearest 0, bilinear 4, bicubic 16 for each value of the output
everything in ``FREE``                0: it moves, adds, compares, looks up, or computes a function without weights
====================================  =================================================================================

Biases are additions that go with a product, so they are not counted again. Any other layer is unknown, unless it has a
method ``multiply_adds(input_shapes, output_shapes)`` of its own (shapes with the batch first): a number, or ``None``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, TypeAlias

from aetool_exporters.foreign.replay import Replay, is_graph

__all__ = ["PASSING", "Shape", "kind_of", "multiply_adds"]

Shape: TypeAlias = tuple[int | None, ...]
Formula: TypeAlias = Callable[[Any, Sequence[tuple[int, ...]], Sequence[tuple[int, ...]]], int | None]

PASSING = frozenset({
    "ActivityRegularization", "AlphaDropout", "Dropout", "Flatten", "GaussianDropout", "GaussianNoise", "Identity",
    "InputLayer", "Masking", "Reshape", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D",
})  # fmt: skip
"""Layers that, outside training, hand on the very values that they are given, in another shape at most."""

FREE = PASSING | frozenset({
    "Activation", "ReLU", "LeakyReLU", "ELU", "Softmax", "Relu", "Relu6", "Elu", "Sigmoid", "Tanh", "Softplus",
    "Silu", "HardSigmoid", "HardSwish", "LogSoftmax", "MaxPooling1D", "MaxPooling2D", "MaxPooling3D",
    "AveragePooling1D", "AveragePooling2D", "AveragePooling3D", "GlobalMaxPooling1D", "GlobalMaxPooling2D",
    "GlobalMaxPooling3D", "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D", "Add",
    "Subtract", "Average", "Maximum", "Minimum", "Concatenate", "Embedding", "RepeatVector", "Permute", "Transpose",
    "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D", "Cropping1D", "Cropping2D", "Cropping3D", "UpSampling1D",
    "UpSampling3D", "GetItem", "Squeeze", "ExpandDims", "Stack", "Split", "Pad", "Clip", "Exp", "Log", "Sqrt",
    "Negative", "Absolute", "Cast", "DepthToSpace", "Max", "Min", "Sum", "Mean", "Argmax", "Argmin",
})  # fmt: skip

_INTERPOLATION = {"nearest": 0, "bilinear": 4, "bicubic": 16}


def kind_of(layer: Any) -> str:
    """The name of a layer's class."""
    return type(layer).__name__


def multiply_adds(layer: Any, given: Sequence[Shape], made: Sequence[Shape]) -> int | None:
    """Count one application of a layer.

    Args:
        layer: a Keras layer or plain operation, built.
        given, made: the shapes of its inputs and outputs, the batch first.

    Returns:
        ``None`` when it is not known: a layer that is not in the table, or a free dimension.
    """
    if is_graph(layer):
        return _inside(layer, given)
    if hasattr(layer, "multiply_adds"):
        told = layer.multiply_adds(list(given), list(made))
        return None if told is None else int(told)
    if not type(layer).__module__.startswith("keras."):
        return None
    kind = kind_of(layer)
    if kind in FREE:
        return 0
    formula = _FORMULAS.get(kind)
    if formula is None or any(None in shape[1:] for shape in (*given, *made)):
        return None
    return formula(layer, [_sizes(shape) for shape in given], [_sizes(shape) for shape in made])


def _sizes(shape: Shape) -> tuple[int, ...]:
    return tuple(size or 0 for size in shape[1:])


def _inside(model: Any, given: Sequence[Shape]) -> int | None:
    import keras

    replay = Replay()
    replay.model(model, keras.Input(given[0][1:]))
    counts = [
        multiply_adds(step.layer, [t.shape for t in step.inputs], [t.shape for t in step.outputs])
        for step in replay.steps
    ]
    return None if None in counts else sum(count or 0 for count in counts)


# --- formulas: shapes are of one sample, without the batch ---

Sizes: TypeAlias = Sequence[tuple[int, ...]]


def _size(weight: Any) -> int:
    return prod(int(size) for size in weight.shape)


def _dense(layer: Any, given: Sizes, made: Sizes) -> int:
    return prod(given[0]) * int(layer.units)


def _conv(layer: Any, given: Sizes, made: Sizes) -> int:
    return prod(made[0]) // int(layer.filters) * _size(layer.kernel)


def _conv_transpose(layer: Any, given: Sizes, made: Sizes) -> int:
    return prod(given[0]) // int(layer.kernel.shape[-1]) * _size(layer.kernel)


def _depthwise(layer: Any, given: Sizes, made: Sizes) -> int:
    channels = int(layer.kernel.shape[-2]) * int(layer.kernel.shape[-1])
    return prod(made[0]) // channels * _size(layer.kernel)


def _separable(layer: Any, given: Sizes, made: Sizes) -> int:
    positions = prod(made[0]) // int(layer.pointwise_kernel.shape[-1])
    return positions * (_size(layer.depthwise_kernel) + _size(layer.pointwise_kernel))


def _recurrent(layer: Any, given: Sizes, made: Sizes) -> int:
    gates = 0 if kind_of(layer) == "SimpleRNN" else 3 * int(layer.units)
    return given[0][0] * (_size(layer.cell.kernel) + _size(layer.cell.recurrent_kernel) + gates)


def _bidirectional(layer: Any, given: Sizes, made: Sizes) -> int | None:
    ways = [
        multiply_adds(way, [(None, *given[0])], [(None, *shape) for shape in made])
        for way in (layer.forward_layer, layer.backward_layer)
    ]
    return None if None in ways else sum(way or 0 for way in ways)


def _time_distributed(layer: Any, given: Sizes, made: Sizes) -> int | None:
    once = multiply_adds(layer.layer, [(None, *given[0][1:])], [(None, *made[0][1:])])
    return None if once is None else given[0][0] * once


def _attention(layer: Any, given: Sizes, made: Sizes) -> int:
    query, value = given[0], given[1]
    key = given[2] if len(given) > 2 and len(given[2]) == len(value) else value
    queries, keys = prod(query[:-1]), prod(value[:-1])
    size, value_size = layer.num_heads * layer.key_dim, layer.num_heads * layer.value_dim
    projections = queries * query[-1] * size + keys * key[-1] * size + keys * value[-1] * value_size
    returned = queries * value_size * made[0][-1]
    return int(projections + queries * keys * (size + value_size) + returned)


def _interpolation(layer: Any, given: Sizes, made: Sizes) -> int | None:
    each = _INTERPOLATION.get(str(layer.interpolation))
    return None if each is None else each * prod(made[0])


def _products(layer: Any, given: Sizes, made: Sizes) -> int:
    return max(len(given) - 1, 1) * prod(made[0])


def _per_value(count: int) -> Formula:
    return lambda layer, given, made: count * prod(made[0])


_FORMULAS: dict[str, Formula] = {
    "Dense": _dense,
    **dict.fromkeys(("Conv1D", "Conv2D", "Conv3D"), _conv),
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), _conv_transpose),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), _depthwise),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), _separable),
    **dict.fromkeys(("LSTM", "GRU", "SimpleRNN"), _recurrent),
    "Bidirectional": _bidirectional,
    "TimeDistributed": _time_distributed,
    "MultiHeadAttention": _attention,
    **dict.fromkeys(("UpSampling2D", "Resizing"), _interpolation),
    "Multiply": _products,
    **dict.fromkeys(("BatchNormalization", "PReLU", "Rescaling", "Normalization"), _per_value(1)),
    **dict.fromkeys(
        ("LayerNormalization", "GroupNormalization", "RMSNormalization", "UnitNormalization"), _per_value(2)
    ),
}
