"""[model]: one class per family; ``FAMILIES`` is where a family is made known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from aetool.config.ranges import want

__all__ = [
    "FAMILIES",
    "Activation",
    "Conv1dModel",
    "Conv2dModel",
    "CustomModel",
    "DenseModel",
    "LinearModel",
    "ModelConfig",
    "RecurrentModel",
    "TextModel",
]

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
        linear_path: each half is a matrix, at first that of the principal components of the training part, plus the
            layers above, the last of which starts at zero: training begins where principal components end.
    """

    family: Literal["dense"] = "dense"
    latent: int = 32
    hidden: tuple[int, ...] = (64,)
    activation: Activation = "relu"
    latent_activation: Activation = "linear"
    output_activation: Activation = "linear"
    linear_path: bool = False

    def __post_init__(self) -> None:
        want(self.latent > 0, "latent must be > 0")
        want(all(width > 0 for width in self.hidden), "hidden holds widths > 0")
        linear = self.latent_activation == self.output_activation == "linear"
        want(linear or not self.linear_path, "linear_path wants latent_activation and output_activation linear")


@dataclass(frozen=True)
class LinearModel:
    """[model] family = "linear": principal components of the training part, and nothing else; any sample shape.

    They are computed, not trained: one pass over the data, whatever [training] epochs says. It is what a network for
    compression has to beat, and where it does not, the better codec: a matrix each way.

    Args:
        latent: components for each block, those of most variance; 0 for all that there are.
        block: of images [height, width, channels]: each square of block × block pixels is transformed alone, to a
            latent [height / block, width / block, latent]; 0 for whole samples.
        free_size: with ``block``: the model takes images of any height and width that are multiples of it.
    """

    family: Literal["linear"] = "linear"
    latent: int = 0
    block: int = 0
    free_size: bool = False

    def __post_init__(self) -> None:
        want(self.latent >= 0, "latent must be >= 0")
        want(self.block >= 0, "block must be >= 0")
        want(self.block > 0 or not self.free_size, "free_size wants a block: a whole sample has one size only")


@dataclass(frozen=True)
class _ConvModel:
    """Strided convolutions, then a dense layer to the latent; mirrored with transposed convolutions.

    Args:
        latent: values per sample that the encoder returns.
        filters: channels of each convolution; each halves the size, so sizes must be multiples of 2^len(filters).
        kernel: size of the convolutions.
        batch_norm: batch normalization after each convolution but the last.
        residual: blocks of two convolutions with a way around them (He 2016), at each size but the sample's own.
        activation: of all convolutions but the decoder's last.
        output_activation: of the decoder's last layer; ``sigmoid`` goes with minmax, ``linear`` with standard.
    """

    family: str = ""
    latent: int = 32
    filters: tuple[int, ...] = (16, 32)
    kernel: int = 3
    batch_norm: bool = False
    residual: int = 0
    activation: Activation = "relu"
    output_activation: Activation = "linear"

    def __post_init__(self) -> None:
        want(self.latent > 0, "latent must be > 0")
        want(self.kernel > 0, "kernel must be > 0")
        want(self.residual >= 0, "residual must be >= 0")
        want(bool(self.filters) and all(count > 0 for count in self.filters), "filters holds counts > 0")


@dataclass(frozen=True)
class Conv1dModel(_ConvModel):
    """[model] family = "conv1d": windows [time, channels]."""

    family: Literal["conv1d"] = "conv1d"
    kernel: int = 7


@dataclass(frozen=True)
class Conv2dModel(_ConvModel):
    """[model] family = "conv2d": images [height, width, channels].

    Args:
        upsampling: how the decoder doubles: by ``transposed`` convolutions, or ``resize``: each pixel four times, then
            a convolution (Odena 2016: no checkerboard).
        latent_map: channels of a latent [height / 2^k, width / 2^k, latent_map] with k filters, in place of a flat one
            of ``latent`` values; 0 for the flat one. Nothing then depends on the image's size.
        free_size: with ``latent_map``: the model takes images of any height and width that are multiples of 2^k.
        patch: with 2 or more the first convolution sees squares of patch × patch pixels as one place each: it has patch
            times the kernel's size, and that stride. Sizes then shrink by patch · 2^(k − 1) in place of 2^k.
        linear_path: with ``latent_map``: each half is a matrix for each block of pixels, at first that of the principal
            components of the training part's blocks, plus the convolutions, the last of which start at zero: training
            begins where principal components end.
    """

    family: Literal["conv2d"] = "conv2d"
    upsampling: Literal["transposed", "resize"] = "transposed"
    latent_map: int = 0
    free_size: bool = False
    patch: int = 1
    linear_path: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        want(self.latent_map >= 0, "latent_map must be >= 0")
        want(self.patch >= 1, "patch must be >= 1")
        want(self.patch == 1 or self.upsampling == "transposed", "patch wants upsampling transposed")
        want(self.latent_map > 0 or not self.linear_path, "linear_path wants a latent_map")
        want(self.output_activation == "linear" or not self.linear_path, "linear_path wants output_activation linear")
        want(self.latent_map > 0 or not self.free_size, "free_size wants a latent_map: a flat latent has one size only")


@dataclass(frozen=True)
class RecurrentModel:
    """[model] family = "recurrent": windows [time, channels] read step by step, and written step by step.

    The encoder's last state becomes the latent; the decoder is given the latent at every step (Srivastava 2015).

    Args:
        latent: values per sample that the encoder returns.
        cell: ``lstm`` or ``gru``.
        units: widths of the encoder's recurrent layers; the decoder has them in reverse.
        bidirectional: each layer reads in both directions, with as many units in each.
        output_activation: of the decoder's last layer; ``sigmoid`` goes with minmax, ``linear`` with standard.
    """

    family: Literal["recurrent"] = "recurrent"
    latent: int = 16
    cell: Literal["lstm", "gru"] = "gru"
    units: tuple[int, ...] = (32,)
    bidirectional: bool = False
    output_activation: Activation = "linear"

    def __post_init__(self) -> None:
        want(self.latent > 0, "latent must be > 0")
        want(bool(self.units) and all(width > 0 for width in self.units), "units holds widths > 0")


@dataclass(frozen=True)
class TextModel:
    """[model] family = "text": token ids in (int32 [length]), probabilities of each token out ([length, vocabulary]).

    Goes with [training] loss = "sparse_categorical_crossentropy".

    Args:
        latent: values per text that the encoder returns.
        vocabulary: tokens that there are; 0 takes as many as the data's tokenizer has.
        embedding: values that a token becomes.
        body: what is between embedding and latent: ``conv1d``, strided convolutions, each halving the length; or
            ``gru``, one recurrent layer.
        filters: of ``conv1d``: channels of each convolution; the length must be a multiple of 2^len(filters).
        kernel: of ``conv1d``: size of the convolutions.
        units: of ``gru``: the state's width.
        activation: of the convolutions.
    """

    family: Literal["text"] = "text"
    latent: int = 64
    vocabulary: int = 0
    embedding: int = 32
    body: Literal["conv1d", "gru"] = "conv1d"
    filters: tuple[int, ...] = (64, 128)
    kernel: int = 5
    units: int = 128
    activation: Activation = "relu"

    def __post_init__(self) -> None:
        for name in ("latent", "embedding", "kernel", "units"):
            want(getattr(self, name) > 0, f"{name} must be > 0")
        want(self.vocabulary >= 0, "vocabulary must be >= 0")
        want(bool(self.filters) and all(count > 0 for count in self.filters), "filters holds counts > 0")


@dataclass(frozen=True)
class CustomModel:
    """[model] family = "custom": encoder and decoder from code of the user's own.

    Args:
        build: ``package.module:name`` of a function or class that is called as ``name(sample_shape, **arguments)``
            and returns encoder and decoder, as a pair or as attributes ``encoder`` and ``decoder``. The module is
            imported when the model is built and when its checkpoint is loaded; a bundle never needs it.
        arguments: the table [model.arguments].
    """

    family: Literal["custom"] = "custom"
    build: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        module, _, name = self.build.partition(":")
        names = [*module.split("."), *name.split(".")]
        want(all(part.isidentifier() for part in names), 'build must be like "package.module:function"')


ModelConfig: TypeAlias = DenseModel | LinearModel | Conv1dModel | Conv2dModel | RecurrentModel | TextModel | CustomModel
FAMILIES: dict[str, type[ModelConfig]] = {
    "dense": DenseModel,
    "linear": LinearModel,
    "conv1d": Conv1dModel,
    "conv2d": Conv2dModel,
    "recurrent": RecurrentModel,
    "text": TextModel,
    "custom": CustomModel,
}
