"""A Keras decoder, and the normalization behind it, as a program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from aetool_exporters.compression.building import Builder, resolved
from aetool_exporters.compression.keras_weights import read_linear
from aetool_exporters.compression.nodes import (
    AddNode,
    Clamp,
    ConcatenateNode,
    CropNode,
    Elementwise,
    Floats,
    InexpressibleError,
    Pad,
    Program,
    ReshapeNode,
    UpsampleNode,
)
from aetool_exporters.drift.program import Operation, build_program
from aetool_exporters.reference import Reference

__all__ = ["read_decoder"]

_LINEAR = ("Dense", "Conv1D", "Conv2D", "Conv1DTranspose", "Conv2DTranspose")
# What does nothing when a model is used, and functions of one value.
_IDLE = frozenset((
    "InputLayer", "Identity", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianNoise", "GaussianDropout",
    "AlphaDropout", "ActivityRegularization",
))  # fmt: skip
_FUNCTIONS = frozenset((
    "elu", "selu", "celu", "gelu", "tanh", "sigmoid", "log_sigmoid", "hard_sigmoid", "hard_silu", "hard_swish",
    "hard_tanh", "silu", "swish", "softplus", "softsign", "leaky_relu", "mish", "exponential", "squareplus",
    "tanh_shrink", "soft_shrink", "hard_shrink",
))  # fmt: skip


def read_decoder(reference: Reference) -> Program:
    """The decoder from latents to raw samples.

    Raises:
        InexpressibleError: a layer has no counterpart among integers; names it.
    """
    assert reference.decoder is not None
    program = build_program(reference, "decoder")
    if reference.latent.dtype != "float32":
        raise InexpressibleError(f"latents of {reference.latent.dtype}")
    reader = _Reader(Builder(reference.latent.sample_shape), reference)
    reads = Counter(slot for operation in program.operations for slot in set(operation.inputs))
    values = {program.given: 0}
    for operation in program.operations:
        value = reader.read(operation, [values[slot] for slot in operation.inputs])
        values |= dict.fromkeys(operation.outputs, value)
        if any(reads[slot] != 1 for slot in operation.outputs):
            reader.builder.share(value)
    return _ending_at(reader.builder, values[program.returned["reconstruction"]])


def _ending_at(builder: Builder, value: int) -> Program:
    if value != len(builder.nodes):
        raise InexpressibleError("the decoder's output is not what its last layer makes")
    return builder.program()


class _Reader:
    """Layer by layer, by the name of its class."""

    def __init__(self, builder: Builder, reference: Reference) -> None:
        self.builder = builder
        self._normalization = reference.normalization
        self._kinds: Mapping[str, Callable[[Operation, list[int]], int]] = {
            "BatchNormalization": self._batch_normalization,
            "Rescaling": self._rescaling,
            "Normalization": self._denormalized,
            "ReLU": self._relu,
            "LeakyReLU": self._function,
            "ELU": self._function,
            "Activation": lambda operation, inputs: self._activated(operation, inputs[0]),
            "Add": self._sum,
            "Concatenate": self._beside,
            "Flatten": self._flat,
            "Reshape": self._reshaped,
            "RepeatVector": self._repeated,
            "UpSampling1D": self._upsampled,
            "UpSampling2D": self._upsampled,
            "Resizing": self._resized,
            "Cropping1D": self._cropped,
            "Cropping2D": self._cropped,
            "ZeroPadding1D": self._padded,
            "ZeroPadding2D": self._padded,
        }

    def read(self, operation: Operation, inputs: list[int]) -> int:
        """The number of the value that a layer makes."""
        if operation.kind in _IDLE:
            return inputs[0]
        if operation.kind in _LINEAR:
            return self._linear(operation, inputs[0])
        kind = self._kinds.get(operation.kind)
        if kind is None:
            raise InexpressibleError(f"the layer {operation.name} ({operation.kind})")
        return kind(operation, inputs)

    def _linear(self, operation: Operation, value: int) -> int:
        layer = operation.layer
        node = read_linear(operation.name, layer, value, self.builder.shapes[value])
        before = self.builder.nodes[value - 1] if value else None
        if isinstance(before, Pad) and node.kind == "conv":
            pairs = zip(node.margins, before.padding, strict=True)
            node.margins = tuple((a + c, b + d) for (a, b), (c, d) in pairs)
            node.inputs = before.inputs
        return self._activated(operation, self.builder.add(node))

    def _activated(self, operation: Operation, value: int) -> int:
        """With the layer's activation."""
        activation = operation.layer.activation
        name = getattr(activation, "__name__", type(activation).__name__)
        if name == "linear":
            return value
        if name == "relu":
            return self.builder.add(Clamp(operation.name, (value,), 0.0, np.inf))
        if name == "relu6":
            return self.builder.add(Clamp(operation.name, (value,), 0.0, 6.0))
        if name not in _FUNCTIONS:
            raise InexpressibleError(f"the activation {name} of the layer {operation.name}")
        return self.builder.add(Elementwise(operation.name, (value,), _called(activation)))

    def _relu(self, operation: Operation, inputs: list[int]) -> int:
        layer = operation.layer
        if layer.negative_slope or layer.threshold:
            return self._function(operation, inputs)
        high = np.inf if layer.max_value is None else float(layer.max_value)
        return self.builder.add(Clamp(operation.name, (inputs[0],), 0.0, high))

    def _function(self, operation: Operation, inputs: list[int]) -> int:
        return self.builder.add(Elementwise(operation.name, (inputs[0],), _called(operation.layer)))

    def _batch_normalization(self, operation: Operation, inputs: list[int]) -> int:
        layer = operation.layer
        if layer.axis not in (-1, len(self.builder.shapes[inputs[0]])):
            raise InexpressibleError(f"the axis of {operation.name}")
        scale = 1 / np.sqrt(_array(layer.moving_variance) + layer.epsilon)
        scale = scale * _array(layer.gamma) if layer.scale else scale
        offset = -_array(layer.moving_mean) * scale + (_array(layer.beta) if layer.center else 0.0)
        return self.builder.affine(operation.name, inputs[0], scale, offset)

    def _rescaling(self, operation: Operation, inputs: list[int]) -> int:
        layer = operation.layer
        return self.builder.affine(operation.name, inputs[0], np.array(layer.scale), np.array(layer.offset))

    def _denormalized(self, operation: Operation, inputs: list[int]) -> int:
        if operation.layer is not None:
            raise InexpressibleError(f"the layer {operation.name} (Normalization)")
        normalization = self._normalization
        return self.builder.affine(
            operation.name, inputs[0], np.array(normalization.scale), np.array(normalization.offset)
        )

    def _sum(self, operation: Operation, inputs: list[int]) -> int:
        if len(inputs) < 2 or len({self.builder.shapes[value] for value in inputs}) != 1:
            raise InexpressibleError(f"{operation.name}: an addition of other than equal shapes")
        total = inputs[0]
        for value in inputs[1:]:
            total = self.builder.add(AddNode(operation.name, (total, value)))
        return total

    def _beside(self, operation: Operation, inputs: list[int]) -> int:
        rank = len(self.builder.shapes[inputs[0]])
        if operation.layer.axis not in (-1, rank) or len(inputs) < 2:
            raise InexpressibleError(f"{operation.name}: puts side by side along another axis than the last")
        return self.builder.add(ConcatenateNode(operation.name, tuple(inputs)))

    def _flat(self, operation: Operation, inputs: list[int]) -> int:
        return self._shaped(operation.name, inputs[0], (-1,))

    def _reshaped(self, operation: Operation, inputs: list[int]) -> int:
        return self._shaped(operation.name, inputs[0], tuple(operation.layer.target_shape))

    def _shaped(self, name: str, value: int, wanted: tuple[int, ...]) -> int:
        given = self.builder.shapes[value]
        shape = resolved(name, wanted, given)
        return value if shape == given else self.builder.add(ReshapeNode(name, (value,), shape))

    def _repeated(self, operation: Operation, inputs: list[int]) -> int:
        size = self.builder.shapes[inputs[0]][0]
        row = self._shaped(operation.name, inputs[0], (1, size or 0))
        return self.builder.add(UpsampleNode(operation.name, (row,), (int(operation.layer.n),)))

    def _upsampled(self, operation: Operation, inputs: list[int]) -> int:
        if getattr(operation.layer, "interpolation", "nearest") != "nearest":
            raise InexpressibleError(f"the interpolation of {operation.name}")
        size = operation.layer.size
        factors = tuple(map(int, size)) if isinstance(size, (tuple, list)) else (int(size),)
        return self.builder.add(UpsampleNode(operation.name, (inputs[0],), factors))

    def _resized(self, operation: Operation, inputs: list[int]) -> int:
        layer, given = operation.layer, self.builder.shapes[inputs[0]][:-1]
        plain = layer.interpolation == "nearest" and not (layer.crop_to_aspect_ratio or layer.pad_to_aspect_ratio)
        wanted = (layer.height, layer.width)
        if not plain or None in given or any(w % (n or 1) for w, n in zip(wanted, given, strict=True)):
            raise InexpressibleError(f"{operation.name}: resizes other than by repeating")
        factors = tuple(w // (n or 1) for w, n in zip(wanted, given, strict=True))
        return self.builder.add(UpsampleNode(operation.name, (inputs[0],), factors))

    def _cropped(self, operation: Operation, inputs: list[int]) -> int:
        return self.builder.add(CropNode(operation.name, (inputs[0],), _pairs(operation.layer.cropping)))

    def _padded(self, operation: Operation, inputs: list[int]) -> int:
        return self.builder.add(Pad(operation.name, (inputs[0],), _pairs(operation.layer.padding)))


def _pairs(margins: Any) -> tuple[tuple[int, int], ...]:
    """Keras gives one pair for one dimension, a pair of pairs for two."""
    pairs = margins if isinstance(margins[0], (tuple, list)) else (margins,)
    return tuple((int(before), int(after)) for before, after in pairs)


def _array(variable: Any) -> Floats:
    return np.asarray(variable, np.float64)


def _called(layer: Callable[[Any], Any]) -> Callable[[Floats], Floats]:
    return lambda values: np.asarray(layer(np.asarray(values, np.float32)), np.float64)
