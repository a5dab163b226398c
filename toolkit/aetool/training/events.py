"""What a run tells while it goes on: the command line draws it, a notebook may plot it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

__all__ = ["EpochDone", "EpochLoss", "Event", "Notice", "StepsDone"]


@dataclass(frozen=True)
class EpochLoss:
    """One point of the loss curve.

    Args:
        epoch: from 1.
        loss: mean over the training samples while they were trained on, as ``keras.Model.fit`` has it.
        validation_loss: mean over the validation samples at the end of the epoch.
        parts, validation_parts: what the two consist of, by name, weighted: ``reconstruction``, ``kl``,
            ``rate``, ``commitment``, ``adversarial``, ``discriminator``, ``penalty_l1``, ``penalty_kl``,
            ``penalty_contractive``. The losses are their sums, but for the two of the adversarial game.
        bits: per value of a sample, of the validation part, rounded; ``None`` without [compression].
    """

    epoch: int
    loss: float
    validation_loss: float
    parts: Mapping[str, float] = field(default_factory=dict)
    validation_parts: Mapping[str, float] = field(default_factory=dict)
    bits: float | None = None


@dataclass(frozen=True)
class Notice:
    """One sentence that the user should read."""

    text: str


@dataclass(frozen=True)
class StepsDone:
    """Some batches of the running epoch are done; ``step`` of ``steps``, over all epochs."""

    step: int
    steps: int


@dataclass(frozen=True)
class EpochDone:
    """An epoch is done, and the state is saved.

    Args:
        epochs: that were asked for.
        point: its losses.
        is_best: no epoch had a lower validation loss so far.
    """

    epochs: int
    point: EpochLoss
    is_best: bool


Event: TypeAlias = Notice | StepsDone | EpochDone
