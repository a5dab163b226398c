"""Loss, optimizer and learning rate from their names in the configuration."""

from __future__ import annotations

import difflib
from typing import Any

from aetool.config import TrainingConfig
from aetool.models import import_keras
from aetool_runtime.errors import UsageError

__all__ = ["make_loss", "make_optimizer"]

_LOSSES = {
    "mse": "MeanSquaredError",
    "mae": "MeanAbsoluteError",
    "binary_crossentropy": "BinaryCrossentropy",
    "sparse_categorical_crossentropy": "SparseCategoricalCrossentropy",
}


def make_loss(training: TrainingConfig) -> Any:
    """The ``keras.losses.Loss``."""
    return getattr(import_keras().losses, _LOSSES[training.loss])()


def make_optimizer(training: TrainingConfig, steps: int) -> Any:
    """The ``keras.optimizers.Optimizer``.

    Args:
        steps: of the whole run, for the schedule.

    Raises:
        UsageError: Keras has none of that name; suggests the nearest.
    """
    optimizers = import_keras().optimizers
    rate = training.learning_rate
    if training.schedule == "cosine":
        rate = optimizers.schedules.CosineDecay(rate, steps)
    return _optimizer_class(optimizers, training.optimizer)(learning_rate=rate)


def _optimizer_class(optimizers: Any, name: str) -> Any:
    base = optimizers.Optimizer
    wrappers = (base, optimizers.LossScaleOptimizer)
    known = {
        key.lower(): kind
        for key, kind in vars(optimizers).items()
        if isinstance(kind, type) and issubclass(kind, base) and kind not in wrappers
    }
    if name.lower() in known:
        return known[name.lower()]
    near = difflib.get_close_matches(name.lower(), known, 1)
    raise UsageError(
        f"training.optimizer is {name!r}",
        expected=f"one of {', '.join(sorted(known))}",
        hint=f"did you mean {near[0]!r}?" if near else "",
    )
