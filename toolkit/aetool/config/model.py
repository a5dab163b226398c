"""[model]: one class per family; ``FAMILIES`` is where a family is made known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from aetool.config.ranges import want

__all__ = ["FAMILIES", "Activation", "Conv1dModel", "Conv2dModel", "DenseModel", "ModelConfig"]

Activation: TypeAlias = Literal[
    "linear", "relu", "leaky_relu", "elu", "tanh", "sigmoid", "silu", "softplus"
]  # those that every export target has


@dataclass(frozen=True)
class DenseModel:
    """[model] family = "dense": fully connected layers, mirrored; any sample shape.

    Args:
        latent: values per sample that the encoder returns.
        hidden: widths of the encoder's hidden layers; the decoder has them in reverse.
        activation: of the hidden layers.
        latent_activation: of the encoder's last layer.
        output_activation: of the decoder's last layer; ``sigmoid`` goes with minmax, ``linear`` with standard.
    """

    family: Literal["dense"] = "dense"
    latent: int = 32
    hidden: tuple[int, ...] = (64,)
    activation: Activation = "relu"
    latent_activation: Activation = "linear"
    output_activation: Activation = "linear"

    def __post_init__(self) -> None:
        want(self.latent > 0, "latent must be > 0")
        want(all(width > 0 for width in self.hidden), "hidden holds widths > 0")


@dataclass(frozen=True)
class _ConvModel:
    """Strided convolutions, then a dense layer to the latent; mirrored with transposed convolutions.

    Args:
        latent: values per sample that the encoder returns.
        filters: channels of each convolution; each halves the size, so sizes must be multiples of 2^len(filters).
        kernel: size of the convolutions.
        batch_norm: batch normalization after each convolution but the last.
        activation: of all convolutions but the decoder's last.
        output_activation: of the decoder's last layer; ``sigmoid`` goes with minmax, ``linear`` with standard.
    """

    family: str = ""
    latent: int = 32
    filters: tuple[int, ...] = (16, 32)
    kernel: int = 3
    batch_norm: bool = False
    activation: Activation = "relu"
    output_activation: Activation = "linear"

    def __post_init__(self) -> None:
        want(self.latent > 0, "latent must be > 0")
        want(self.kernel > 0, "kernel must be > 0")
        want(bool(self.filters) and all(count > 0 for count in self.filters), "filters holds counts > 0")


@dataclass(frozen=True)
class Conv1dModel(_ConvModel):
    """[model] family = "conv1d": windows [time, channels]."""

    family: Literal["conv1d"] = "conv1d"
    kernel: int = 7


@dataclass(frozen=True)
class Conv2dModel(_ConvModel):
    """[model] family = "conv2d": images [height, width, channels]."""

    family: Literal["conv2d"] = "conv2d"


ModelConfig: TypeAlias = DenseModel | Conv1dModel | Conv2dModel
FAMILIES: dict[str, type[ModelConfig]] = {"dense": DenseModel, "conv1d": Conv1dModel, "conv2d": Conv2dModel}
