"""LSTM and GRU layers, in one direction or both."""

from __future__ import annotations

from typing import Any

from aetool.models.layers import Layers

__all__ = ["recurrent"]


def recurrent(layers: Layers, tensor: Any, cell: str, units: int, *, both: bool, every_step: bool) -> Any:
    """[batch, time, n] → [batch, time, units] or, without ``every_step``, the last state [batch, units].

    Args:
        cell: ``lstm`` or ``gru``.
        both: directions, with ``units`` values each, side by side.
    """
    import keras

    if not both:
        return _one_way(layers, cell, units, every_step, backwards=False)(tensor)
    layer = keras.layers.Bidirectional(
        _one_way(layers, cell, units, every_step, backwards=False),
        backward_layer=_one_way(layers, cell, units, every_step, backwards=True),
        name=layers.name(f"bidirectional_{cell}"),
    )
    return layer(tensor)


def _one_way(layers: Layers, cell: str, units: int, every_step: bool, *, backwards: bool) -> Any:
    import keras

    kind = keras.layers.LSTM if cell == "lstm" else keras.layers.GRU
    return kind(
        units,
        return_sequences=every_step,
        go_backwards=backwards,
        kernel_initializer=layers.initializer(),
        recurrent_initializer=keras.initializers.Orthogonal(seed=layers.seed()),
        name=layers.name(cell),
    )
