"""The saved state of a run, from which it goes on bit for bit: ``training/state.npz``, plain arrays, no pickle.

``progress`` (JSON text); ``model_00000 …`` (weights, moving averages and seeds in Keras' order, then the codebook, or
the discriminator with its optimizer); ``optimizer_00000 …`` (step count and moments); ``best_00000 …`` (as ``model``,
of the best epoch; absent before the first epoch ends).
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from aetool.training.events import EpochLoss
from aetool_runtime.atomic import replacing_file
from aetool_runtime.errors import ModelError
from aetool_runtime.specs import Array

__all__ = ["Progress", "State", "load_state", "save_state"]


@dataclass(frozen=True)
class Progress:
    """How far a run came.

    Args:
        data: sha256 of the samples that it trains on.
        epoch: epochs that are done.
        batch: batches that are done in the running epoch.
        sums: over those batches: each part of the loss × samples.
        history: one point per epoch that is done.
    """

    data: str
    epoch: int = 0
    batch: int = 0
    sums: tuple[float, ...] = ()
    history: tuple[EpochLoss, ...] = ()

    def after_batches(self, losses: Sequence[Sequence[float]], samples: int) -> Progress:
        """After batches of ``samples`` samples each; the parts of the loss of each batch."""
        sums = self.sums or (0.0,) * len(losses[0])
        for parts in losses:  # one by one: the sums must not depend on how batches were grouped into blocks
            sums = tuple(total + float(part) * samples for total, part in zip(sums, parts, strict=True))
        return replace(self, batch=self.batch + len(losses), sums=sums)

    def after_epoch(self, point: EpochLoss) -> Progress:
        """After the last batch of an epoch, which ``point`` is about."""
        return Progress(self.data, self.epoch + 1, history=(*self.history, point))

    def best_epoch(self, min_delta: float) -> int:
        """The epoch (from 1) whose validation loss was lower by more than ``min_delta`` than the best before it."""
        best, epoch = float("inf"), 0
        for point in self.history:
            if point.validation_loss < best - min_delta:
                best, epoch = point.validation_loss, point.epoch
        return epoch


@dataclass(frozen=True)
class State:
    """Everything that the rest of a run depends on, besides its configuration and data."""

    progress: Progress
    model: list[Array]
    optimizer: list[Array]
    best: list[Array]


def save_state(path: Path, state: State) -> None:
    """Write the state; a kill at any moment leaves the old file or the new one."""
    arrays: dict[str, Array] = {"progress": np.array(json.dumps(asdict(state.progress)))}
    for kind in ("model", "optimizer", "best"):
        arrays |= {f"{kind}_{index:05}": array for index, array in enumerate(getattr(state, kind))}
    with replacing_file(path) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type] # takes any names beside its flag


def load_state(path: Path) -> State:
    """Read a state.

    Raises:
        ModelError: it is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            table = json.loads(str(archive["progress"]))
            history = tuple(EpochLoss(**point) for point in table.pop("history"))
            sums = tuple(table.pop("sums"))
            kinds = {kind: _list(archive, kind) for kind in ("model", "optimizer", "best")}
        return State(Progress(**table, sums=sums, history=history), **kinds)
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"the saved state cannot be read ({error})", where=str(path), hint="train again with --overwrite"
        ) from error


def _list(archive: np.lib.npyio.NpzFile, kind: str) -> list[Array]:
    return [archive[name] for name in sorted(archive.files) if name.startswith(f"{kind}_")]
