"""[training]."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from aetool.config.ranges import want

__all__ = ["Loss", "Schedule", "TrainingConfig"]

Loss: TypeAlias = Literal["mse", "mae", "binary_crossentropy", "sparse_categorical_crossentropy"]
Schedule: TypeAlias = Literal["constant", "cosine"]
Strategy: TypeAlias = Literal["none", "mirrored", "multiworker"]


@dataclass(frozen=True)
class TrainingConfig:
    """[training]: how the model is trained.

    Args:
        epochs: at most; early stopping may end sooner.
        batch_size: samples per step.
        loss: between target and reconstruction, both normalized, mean over all values;
            ``sparse_categorical_crossentropy`` is for token ids and goes with probabilities, mean over all tokens.
        optimizer: any optimizer of Keras, by name.
        learning_rate: > 0.
        schedule: ``constant``, or ``cosine``: falls to 0 over all epochs along half a cosine.
        patience: epochs without a better validation loss before training stops; 0 never stops early. The weights
            with the best validation loss are kept in any case.
        min_delta: by how much a validation loss must be lower to be better.
        seed: of initial weights and of each epoch's order.
        strategy: who takes part: ``none``: this process, on one device; ``mirrored``: all GPUs of this machine;
            ``multiworker``: the processes that the environment variable TF_CONFIG names, each started with the same
            command, the output on a disk that all can read. A batch is dealt out to them.
        save_seconds: inside an epoch, the state is saved this often; at its end it always is.
    """

    epochs: int = 50
    batch_size: int = 64
    loss: Loss = "mse"
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    schedule: Schedule = "constant"
    patience: int = 0
    min_delta: float = 0.0
    seed: int = 0
    strategy: Strategy = "none"
    save_seconds: float = 30.0

    def __post_init__(self) -> None:
        want(self.epochs > 0, "epochs must be > 0")
        want(self.batch_size > 0, "batch_size must be > 0")
        want(0 < self.learning_rate < math.inf, "learning_rate must be > 0")
        want(self.patience >= 0, "patience must be >= 0")
        want(self.min_delta >= 0, "min_delta must be >= 0")
        want(0 <= self.seed < 2**31, "seed must be between 0 and 2147483647")
        want(self.save_seconds >= 0, "save_seconds must be >= 0")
