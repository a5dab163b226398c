"""text: token ids become vectors, these a latent, and the latent the probabilities of each token at each place."""

from __future__ import annotations

import math
from typing import Any

from aetool.config import Conv1dModel, TextModel
from aetool.models.layers import Layers
from aetool.models.layers_convolutional import double, halve
from aetool.models.layers_recurrent import recurrent
from aetool_runtime.errors import UsageError

__all__ = ["check", "decode", "encode"]


def encode(layers: Layers, tensor: Any, model: TextModel) -> Any:
    """Token ids [batch, length] int32 → [batch, latent]."""
    tensor = layers.embed(tensor, model.vocabulary, model.embedding)
    if model.body == "gru":
        tensor = recurrent(layers, tensor, "gru", model.units, both=True, every_step=False)
    else:
        for filters in model.filters:
            tensor = halve(layers, tensor, filters, _convolutions(model))
    return layers.dense(layers.flatten(tensor), model.latent, "linear")


def decode(layers: Layers, tensor: Any, model: TextModel, sample_shape: tuple[int, ...]) -> Any:
    """[batch, latent] → probabilities [batch, length, vocabulary]."""
    if model.body == "gru":
        tensor = layers.repeat(tensor, sample_shape[0])
        tensor = recurrent(layers, tensor, "gru", model.units, both=True, every_step=True)
    else:
        tensor = _convolved(layers, tensor, model, sample_shape[0])
    return layers.dense(tensor, model.vocabulary, "softmax")


def _convolved(layers: Layers, tensor: Any, model: TextModel, length: int) -> Any:
    smallest = (length // 2 ** len(model.filters), model.filters[-1])
    tensor = layers.reshape(layers.dense(tensor, math.prod(smallest), model.activation), smallest)
    for filters in reversed((model.embedding, *model.filters[:-1])):
        tensor = double(layers, tensor, filters, _convolutions(model))
    return tensor


def _convolutions(model: TextModel) -> Conv1dModel:
    return Conv1dModel(filters=model.filters, kernel=model.kernel, activation=model.activation)


def check(model: TextModel, shape: tuple[int, ...]) -> None:
    """Raise a ``UsageError`` unless these are token ids of a length that the body takes."""
    if len(shape) != 1:
        raise UsageError(
            f"samples of shape {list(shape)} do not fit the family text",
            expected="texts: a .txt file with one sample per line, or builtin:text",
            hint="choose another family",
        )
    if model.vocabulary == 0:
        raise UsageError(
            "[model] vocabulary is 0, and the data have no tokenizer to take it from",
            expected="texts: a .txt file with one sample per line, or builtin:text",
        )
    factor = 2 ** len(model.filters)
    if model.body == "conv1d" and shape[0] % factor:
        raise UsageError(
            f"texts of {shape[0]} tokens cannot be halved {len(model.filters)} times",
            expected=f"[data] text_length in multiples of {factor}",
            hint="set [data] text_length, or use fewer [model] filters",
        )
