"""The loop over epochs and blocks of batches: from any saved state to the end of training."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aetool.data import Dataset
from aetool.models.memory import within_memory
from aetool.training.distribution import DistributedSteps
from aetool.training.events import EpochDone, EpochLoss, Event, StepsDone
from aetool.training.interrupt import StopRequest
from aetool.training.objective import Objective
from aetool.training.plan import Plan
from aetool.training.principal import start_linear_path
from aetool.training.state import Progress, State
from aetool.training.steps import CompiledSteps
from aetool_exporters.rate import TrainedRate
from aetool_runtime.errors import InputError, InterruptedRun
from aetool_runtime.specs import Array

__all__ = ["Trainer", "epoch_order"]

_BLOCK_BYTES = 16 << 20
_AGREED = 16  # batches in a block where several workers have to agree on it
_SMALLER = "make [training] batch_size, or the model, smaller"
_FAST, _SLOW = 0.25, 1.0  # seconds a block; between them Ctrl-C and the progress bar answer soon enough


def epoch_order(seed: int, epoch: int, samples: int) -> NDArray[np.int64]:
    """The order of an epoch (from 0); it depends on nothing else, so that a resumed run has the same one."""
    return np.random.default_rng((seed, epoch)).permutation(samples)


class Trainer:
    """Trains the autoencoder of a plan.

    Args:
        plan: the run.
        save: called with the state at the end of every epoch, and now and then inside one.
        report: told what happens.
    """

    @within_memory(_SMALLER)
    def __init__(self, plan: Plan, save: Callable[[State], None], report: Callable[[Event], None]) -> None:
        self._plan, self._save, self._report = plan, save, report
        self._config = plan.config.training
        with plan.workers.scope():
            start_linear_path(plan)
            self._objective = Objective(plan)
        self._dtype = str(plan.autoencoder.encoder.inputs[0].dtype)
        self._steps = _steps(plan, self._objective, self._dtype)
        self._best: list[Array] = []
        self._block = 1 if plan.workers.strategy is None else _AGREED
        self._saved = time.monotonic()
        self.progress = Progress(plan.data.digest)

    @property
    def state(self) -> State:
        """A copy of everything that the rest of the run depends on."""
        return State(self.progress, self._model(), _values(self._objective.optimizer.variables), self._best)

    @property
    def rate(self) -> TrainedRate | None:
        """What was learned about the latent's rate; ``None`` where it is no part of the loss."""
        path = self._objective.rate_model
        return None if path is None else path.describe(self._plan)

    def restore(self, state: State) -> None:
        """Go on from a state of the same plan."""
        self.progress, self._best = state.progress, state.best
        _assign(self._objective.model_variables, state.model)
        _assign(self._objective.optimizer.variables, state.optimizer)

    @within_memory(_SMALLER)
    def run(self) -> None:
        """Train to the end, then put the best epoch's weights into the model.

        Raises:
            UsageError: there is no room for a step.
            InputError: a loss that is not finite; names epoch and batch.
            InterruptedRun: Ctrl-C; the state is saved.
        """
        with StopRequest() as stop:
            while not self._is_over():
                self._finish_epoch(stop)
                self._save_now(self._is_stopped(stop))
        _assign(self._objective.model_variables, self._best)
        self._objective.publish()

    def _model(self) -> list[Array]:
        return _values(self._objective.model_variables)

    @property
    def stopped_early(self) -> bool:
        """The validation loss has not become better for as many epochs as the patience allows."""
        waited = self.progress.epoch - self.progress.best_epoch(self._config.min_delta)
        return 0 < self._config.patience <= waited

    def _is_over(self) -> bool:
        return self.progress.epoch >= self._config.epochs or self.stopped_early

    def _finish_epoch(self, stop: StopRequest) -> None:
        training = self._plan.data.training
        order = self._order(len(training))
        while self.progress.batch < self._plan.batches:
            self._train_block(order)
            stopped = self._is_stopped(stop)
            overdue = time.monotonic() - self._saved >= self._config.save_seconds
            if self.progress.batch < self._plan.batches and (overdue or stopped):
                self._save_now(stopped)
        self.progress = self.progress.after_epoch(self._point())
        is_best = self.progress.best_epoch(self._config.min_delta) == self.progress.epoch
        if is_best:
            self._best = self._model()
        self._report(EpochDone(self._config.epochs, self.progress.history[-1], is_best))

    def _order(self, samples: int) -> NDArray[np.int64]:
        seed, epoch, balance = self._config.seed, self.progress.epoch, self._plan.balance
        return epoch_order(seed, epoch, samples) if balance is None else balance.order(seed, epoch)

    def _train_block(self, order: NDArray[np.int64]) -> None:
        """Gather, normalize and train on the next few batches; how many does not change what is computed."""
        size, batch = self._config.batch_size, self.progress.batch
        whole = min(self._block, len(order) // size - batch)  # the last batch may be shorter: a block of its own
        indices = order[batch * size :][: whole * size] if whole else order[batch * size :]
        block = self._gather(self._plan.data.training, indices)
        start = time.monotonic()
        losses = self._steps.train(block.reshape(max(1, whole), -1, *block.shape[1:]))
        self._adapt(time.monotonic() - start, block.nbytes / len(losses))
        if not np.isfinite(losses[-1]).all():
            where = f"epoch {self.progress.epoch + 1}, batch {batch + len(losses)}"
            raise self._not_finite("loss", float(losses[-1].sum()), where)
        self.progress = self.progress.after_batches(losses.tolist(), len(indices) // max(1, whole))
        done = self.progress.epoch * self._plan.batches + self.progress.batch
        self._report(StepsDone(done, self._config.epochs * self._plan.batches))

    def _adapt(self, seconds: float, batch_bytes: float) -> None:
        if self._plan.workers.strategy is not None:  # blocks by anybody's clock would not be the same for all
            return
        if seconds < _FAST:
            self._block = max(1, min(self._block * 2, int(_BLOCK_BYTES / batch_bytes)))
        elif seconds > _SLOW:
            self._block = max(1, self._block // 2)

    def _gather(self, dataset: Dataset, indices: NDArray[np.int64]) -> Array:
        samples = dataset.take(indices)
        return samples if self._dtype == "int32" else self._plan.data.normalization.apply(samples)

    def _point(self) -> EpochLoss:
        """What the epoch came to, all of whose batches are done."""
        objective, samples = self._objective, len(self._plan.data.training)
        validation = self._validate()
        sums = self.progress.sums or tuple(validation[name] * samples for name in objective.names)  # no batches
        parts = dict(zip(objective.names, (total / samples for total in sums), strict=True))
        return EpochLoss(
            self.progress.epoch + 1,
            objective.total(parts),
            objective.total(validation),
            parts,
            validation,
            objective.rate_model.bits(validation) if objective.rate_model else None,
        )

    def _validate(self) -> dict[str, float]:
        """The parts of the mean loss over the validation part, whose samples count as they do in training."""
        validation, balance = self._plan.data.split.validation, self._plan.balance
        groups = [(np.arange(len(validation)), 1.0)] if balance is None else balance.validation()
        totals = np.sum([weight * self._total(validation, indices) for indices, weight in groups], axis=0)
        if not np.isfinite(totals).all():
            raise self._not_finite("validation loss", float(totals.sum()), f"epoch {self.progress.epoch + 1}")
        means = totals / sum(weight * len(indices) for indices, weight in groups)
        return dict(zip(self._objective.names, means.tolist(), strict=True))

    def _total(self, dataset: Dataset, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        """The parts of the loss, summed over samples."""
        total, size = np.zeros(len(self._objective.names)), self._config.batch_size
        for start in range(0, len(indices), size):
            batch = indices[start : start + size]
            total += self._steps.evaluate(self._gather(dataset, batch)[None])[0].astype(float) * len(batch)
        return total

    def _not_finite(self, name: str, value: float, where: str) -> InputError:
        return InputError(
            f"the {name} is {value}",
            where=where,
            expected="a finite number",
            hint="lower the learning rate, or look for extreme values in the data; the saved state is from before",
        )

    def _is_stopped(self, stop: StopRequest) -> bool:
        """Ctrl-C here, or at any other worker: all stop at the same batch."""
        return self._plan.workers.any(stop.asked)

    def _save_now(self, stopped: bool) -> None:
        self._save(self.state)
        self._saved = time.monotonic()
        if stopped and not self._is_over():
            raise InterruptedRun("training was interrupted", where=self._position())

    def _position(self) -> str:
        return f"epoch {self.progress.epoch + 1} of {self._config.epochs}, after batch {self.progress.batch}"


def _steps(plan: Plan, objective: Objective, dtype: str) -> CompiledSteps:
    if plan.workers.strategy is None:
        return CompiledSteps(objective, plan.data.sample_shape, dtype)
    return DistributedSteps(plan.workers.strategy, objective, plan.data.sample_shape, dtype)


def _values(variables: Iterable[Any]) -> list[Array]:
    return [np.array(variable) for variable in variables]


def _assign(variables: Iterable[Any], arrays: list[Array]) -> None:
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
