"""What ``aetool tune`` tries where a configuration has no ``[tune]``: values around the configuration's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from aetool.config.run import Config

__all__ = ["default_table"]

_ACTIVATIONS = ("relu", "elu", "silu")
_RATE_FACTOR = 5.0
_IDLE = {"conv1d": ("units",), "gru": ("filters", "kernel", "activation")}  # what a text model's body does not use


def default_table(config: Config) -> dict[str, Any]:
    """``[tune]`` as a file would have it; the keys that a family shares with others are tried alike."""
    model = {item.name: getattr(config.model, item.name) for item in dataclasses.fields(config.model)}
    rate = config.training.learning_rate
    for key in _IDLE.get(model.get("body", ""), ()):
        del model[key]
    table: dict[str, Any] = {
        f"model.{key}": {"choices": choices(model[key])} for key, choices in _CHOICES.items() if model.get(key)
    }
    if "batch_norm" in model:
        table["model.batch_norm"] = {"choices": [False, True]}
    table["training.batch_size"] = {"choices": _scaled(config.training.batch_size)}
    table["training.learning_rate"] = {"low": rate / _RATE_FACTOR, "high": rate * _RATE_FACTOR, "log": True}
    return table


def _scaled(size: int) -> list[int]:
    """Half, the same, double; at least 1."""
    return sorted({max(1, size // 2), size, 2 * size})


def _widths(widths: Any) -> list[Any]:
    """All widths of a model scaled alike: as many layers as before, so that the samples still fit."""
    if isinstance(widths, int):
        return _scaled(widths)
    halves = [max(1, width // 2) for width in widths]
    doubles = [2 * width for width in widths]
    return [halves, *([list(widths)] if halves != list(widths) else []), doubles]


def _kernels(kernel: int) -> list[int]:
    return sorted({max(1, kernel - 2), kernel, kernel + 2})


def _activations(activation: str) -> list[str]:
    return list(dict.fromkeys([activation, *_ACTIVATIONS]))


_CHOICES: Mapping[str, Callable[[Any], list[Any]]] = {
    "hidden": _widths,
    "filters": _widths,
    "units": _widths,
    "kernel": _kernels,
    "activation": _activations,
}
