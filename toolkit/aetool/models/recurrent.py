"""recurrent: a window is read step by step into the last state, which becomes the latent, and written step by step.

The decoder is given the latent at every step (RepeatVector), and its last layer is a dense layer on all steps at once:
``TimeDistributed`` would become one product for each step in an exported graph.
"""

from __future__ import annotations

from typing import Any

from aetool.config import RecurrentModel
from aetool.models.layers import Layers
from aetool.models.layers_recurrent import recurrent
from aetool_runtime.errors import UsageError

__all__ = ["check", "decode", "encode"]


def encode(layers: Layers, tensor: Any, model: RecurrentModel) -> Any:
    """[batch, time, channels] → [batch, latent]."""
    last = len(model.units) - 1
    for place, units in enumerate(model.units):
        tensor = recurrent(layers, tensor, model.cell, units, both=model.bidirectional, every_step=place < last)
    return layers.dense(tensor, model.latent, "linear")


def decode(layers: Layers, tensor: Any, model: RecurrentModel, sample_shape: tuple[int, ...]) -> Any:
    """[batch, latent] → [batch, time, channels]."""
    tensor = layers.repeat(tensor, sample_shape[0])
    for units in reversed(model.units):
        tensor = recurrent(layers, tensor, model.cell, units, both=model.bidirectional, every_step=True)
    return layers.dense(tensor, sample_shape[1], model.output_activation)


def check(model: RecurrentModel, shape: tuple[int, ...]) -> None:
    """Raise a ``UsageError`` unless it is a window."""
    if len(shape) != 2:
        raise UsageError(
            f"samples of shape {list(shape)} do not fit the family {model.family}",
            expected="[time, channels]",
            hint="set [data] sample_shape, or choose another family",
        )
