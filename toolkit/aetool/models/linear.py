"""The linear path: one matrix each way, over whole samples or over blocks of an image.

Alone it is the family linear; beside the layers of another family it is what those start from. The matrices are those
of principal components before training begins (``aetool.training.principal``).
"""

from __future__ import annotations

import math
from typing import Any

from aetool.config import Conv2dModel, DenseModel, LinearModel, ModelConfig
from aetool.models.layers import Layers
from aetool_runtime.errors import UsageError

__all__ = [
    "LINEAR",
    "analyze",
    "block_of",
    "check",
    "decode",
    "downsampling",
    "encode",
    "has_linear_path",
    "synthesize",
]

LINEAR = "linear_path"  # the layer's name, behind ``encoder_`` or ``decoder_``


def has_linear_path(model: ModelConfig) -> bool:
    """Whether the halves begin as principal components."""
    return isinstance(model, LinearModel) or (isinstance(model, DenseModel | Conv2dModel) and model.linear_path)


def block_of(model: ModelConfig) -> int:
    """Pixels on a side of what the linear path transforms at once; 0 for a whole sample."""
    if isinstance(model, LinearModel):
        return model.block
    return downsampling(model) if isinstance(model, Conv2dModel) else 0


def downsampling(model: Conv2dModel) -> int:
    """Pixels on a side for each place of the latent map."""
    return int((2 if model.patch == 1 else model.patch) * 2 ** (len(model.filters) - 1))


def analyze(layers: Layers, tensor: Any, values: int, block: int) -> Any:
    """Samples → [batch, values], or with a block [batch, height / block, width / block, values]."""
    import keras

    name = f"{layers.prefix}_{LINEAR}"
    if block:
        return keras.layers.Conv2D(values, block, strides=block, name=name)(tensor)
    return keras.layers.Dense(values, name=name)(layers.flatten(tensor))


def synthesize(layers: Layers, tensor: Any, sample_shape: tuple[int, ...], block: int) -> Any:
    """The way back: with a block → [batch, height, width, channels], else [batch, values], not yet in their shape."""
    import keras

    name = f"{layers.prefix}_{LINEAR}"
    if block:
        return keras.layers.Conv2DTranspose(sample_shape[-1], block, strides=block, name=name)(tensor)
    return keras.layers.Dense(math.prod(sample_shape), name=name)(tensor)


def encode(layers: Layers, tensor: Any, model: LinearModel, sample_shape: tuple[int, ...]) -> Any:
    """The family linear: samples → latent."""
    block = (model.block, model.block, sample_shape[-1]) if model.block else sample_shape
    return analyze(layers, tensor, model.latent or math.prod(block), model.block)


def decode(layers: Layers, tensor: Any, model: LinearModel, sample_shape: tuple[int, ...]) -> Any:
    """The family linear: latent → samples."""
    restored = synthesize(layers, tensor, sample_shape, model.block)
    return restored if model.block else layers.reshape(restored, sample_shape)


def check(model: LinearModel, shape: tuple[int, ...]) -> None:
    """Blocks are for images whose sizes they divide.

    Raises:
        UsageError: says what the family takes.
    """
    if model.block and (len(shape) != 3 or any(size % model.block for size in shape[:2])):
        raise UsageError(
            f"samples of shape {list(shape)} cannot be cut into blocks of {model.block} × {model.block}",
            expected=f"[height, width, channels], the first two in multiples of {model.block}",
            hint="set [data] sample_shape, or another [model] block",
        )
    values = math.prod((model.block, model.block, shape[-1]) if model.block else shape)
    if model.latent > values:
        raise UsageError(
            f"there are no {model.latent} principal components of {values} values", hint="lower [model] latent"
        )
