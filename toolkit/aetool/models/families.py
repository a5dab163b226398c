"""One function for every family: configuration and sample shape → encoder and decoder."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeAlias, TypeVar

import numpy as np

from aetool.config import (
    Conv2dModel,
    CustomModel,
    DenseModel,
    LatentConfig,
    LinearModel,
    ModelConfig,
    PlainLatent,
    RecurrentModel,
    TextModel,
)
from aetool.models import carried, convolutional, custom, dense, linear, recurrent, text
from aetool.models.autoencoder import KerasAutoencoder
from aetool.models.backend import import_keras
from aetool.models.latents import LatentEnds
from aetool.models.layers import Layers
from aetool.models.layers_convolutional import ConvModel
from aetool.models.memory import within_memory
from aetool_runtime.errors import UsageError

__all__ = ["build_autoencoder", "with_vocabulary"]

_Built: TypeAlias = DenseModel | LinearModel | ConvModel | RecurrentModel | TextModel
_Widened = TypeVar("_Widened", bound=_Built)


@within_memory("make [model] latent, or the layers' widths, smaller")
def build_autoencoder(
    model: ModelConfig,
    sample_shape: tuple[int, ...],
    seed: int,
    *,
    latent: LatentConfig | None = None,
    input_shape: tuple[int, ...] | None = None,
    residual: bool = False,
) -> KerasAutoencoder:
    """Build an untrained autoencoder; the same arguments give the same initial weights.

    Args:
        model: the family and its sizes.
        sample_shape: what the decoder returns, without the batch dimension; for tokens, of their ids.
        seed: of the initial weights.
        latent: what is between the halves; a plain one where it is left out.
        input_shape: what the encoder takes, where it is not a sample.
        residual: the decoder adds what the encoder took, enlarged; see ``TaskConfig``.

    Raises:
        UsageError: the family does not take samples of that shape, or the latent not what it computes; says what. Or
            there is no room for the weights.
        InputError, ModelError: a custom family's code cannot be imported, or does not return what it should.
        DependencyError: Keras or TensorFlow is not installed.
    """
    keras = import_keras()
    latent, input_shape = latent or PlainLatent(), input_shape or sample_shape
    if isinstance(model, CustomModel):
        return custom.build(model, sample_shape, input_shape, seed, latent)
    growth = sample_shape[0] // input_shape[0]
    _check(model, sample_shape, growth)
    seeds = np.random.default_rng(seed)
    ends = LatentEnds(latent, seeds)
    inputs = keras.Input(_built_shape(model, input_shape), dtype=_dtype(model), name="input")
    features = _encode(Layers("encoder", seeds), inputs, _widened(model, ends.heads), input_shape, growth)
    encoded = ends.encoded(carried.joined(inputs, features) if residual else features)
    entry, tensor = ends.decoded()
    tensor, image = carried.parted(tensor, input_shape[-1]) if residual else (tensor, None)
    decoded = _decode(Layers("decoder", seeds), tensor, model, sample_shape)
    decoded = carried.add_enlarged(decoded, image, growth) if residual else decoded
    return ends.autoencoder(keras.Model(inputs, encoded, name="encoder"), keras.Model(entry, decoded, name="decoder"))


def with_vocabulary(model: ModelConfig, entries: int) -> ModelConfig:
    """The model, resolved for data whose tokenizer has so many entries; 0 for data that are no text.

    Raises:
        UsageError: the configuration says another number.
    """
    if not isinstance(model, TextModel) or not entries:
        return model
    if model.vocabulary not in (0, entries):
        raise UsageError(
            f"[model] vocabulary is {model.vocabulary}, and the data's tokenizer has {entries} entries",
            hint="leave [model] vocabulary out, or set [data] vocabulary",
        )
    return replace(model, vocabulary=entries)


def _dtype(model: _Built) -> str:
    return "int32" if isinstance(model, TextModel) else "float32"


def _built_shape(model: _Built, shape: tuple[int, ...]) -> tuple[int | None, ...]:
    return (None, None, shape[2]) if isinstance(model, Conv2dModel | LinearModel) and model.free_size else shape


def _widened(model: _Widened, heads: int) -> _Widened:
    """With ``heads`` values for each of the latent's."""
    if isinstance(model, Conv2dModel) and model.latent_map:
        return replace(model, latent_map=model.latent_map * heads)
    return replace(model, latent=model.latent * heads)


def _check(model: _Built, shape: tuple[int, ...], growth: int) -> None:
    if isinstance(model, ConvModel):
        convolutional.check(model, shape, growth)
    elif isinstance(model, LinearModel):
        linear.check(model, shape)
    elif isinstance(model, RecurrentModel):
        recurrent.check(model, shape)
    elif isinstance(model, TextModel):
        text.check(model, shape)


def _encode(layers: Layers, tensor: Any, model: _Built, input_shape: tuple[int, ...], growth: int) -> Any:
    if isinstance(model, DenseModel):
        return dense.encode(layers, tensor, model)
    if isinstance(model, LinearModel):
        return linear.encode(layers, tensor, model, input_shape)
    if isinstance(model, RecurrentModel):
        return recurrent.encode(layers, tensor, model)
    if isinstance(model, TextModel):
        return text.encode(layers, tensor, model)
    return convolutional.encode(layers, tensor, model, growth)


def _decode(layers: Layers, tensor: Any, model: _Built, sample_shape: tuple[int, ...]) -> Any:
    if isinstance(model, DenseModel):
        return dense.decode(layers, tensor, model, sample_shape)
    if isinstance(model, LinearModel):
        return linear.decode(layers, tensor, model, sample_shape)
    if isinstance(model, RecurrentModel):
        return recurrent.decode(layers, tensor, model, sample_shape)
    if isinstance(model, TextModel):
        return text.decode(layers, tensor, model, sample_shape)
    return convolutional.decode(layers, tensor, model, sample_shape)
