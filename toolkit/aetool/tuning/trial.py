"""One trial: build, train, and say what it came to. The test part is not looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aetool.balance import Balance
from aetool.config.tuning import with_values
from aetool.data import PreparedData
from aetool.models import KerasAutoencoder, import_keras
from aetool.training.events import EpochDone, Event
from aetool.training.plan import Plan, plan_prepared
from aetool.training.state import State
from aetool.training.trainer import Trainer
from aetool.tuning.search import Search
from aetool_runtime.errors import InputError

__all__ = ["OutOfTime", "Pruned", "run_trial"]


class Pruned(Exception):  # noqa: N818 (no error)
    """The trial is given up: others were better at this epoch."""


class OutOfTime(Exception):  # noqa: N818 (no error)
    """The time is over."""


def run_trial(
    search: Search,
    data: PreparedData,
    balance: Balance | None,
    trial: Any,
    values: Mapping[str, Any],
    after_epoch: Callable[[], None],
) -> dict[str, float]:
    """Train a trial's configuration.

    Args:
        trial: an ``optuna.Trial``, told of each epoch.
        values: what it tries, by path.
        after_epoch: called between epochs; raises to give the trial up.

    Returns:
        A value for each objective, by name.

    Raises:
        Pruned: others were better at the same epoch.
        AetoolError: it cannot be done; InterruptedRun: Ctrl-C.
    """
    import_keras().backend.clear_session()  # the graphs of the trial before
    plan = plan_prepared(with_values(search.config, values), data, balance)
    costs = {name: _cost(plan, name) for name in search.against}

    def told(event: Event) -> None:
        if isinstance(event, EpochDone):
            _report(trial, event, prunes=not search.against)
            if event.point.epoch < event.epochs:
                after_epoch()

    trainer = Trainer(plan, _keep_nothing, told)
    trainer.run()
    best = trainer.progress.best_epoch(plan.config.training.min_delta)
    return {"error": trainer.progress.history[best - 1].validation_loss, **costs}


def _report(trial: Any, event: EpochDone, prunes: bool) -> None:
    """With more than one objective none is pruned: a trial that is worse but smaller may still be one of the best."""
    if prunes:
        trial.report(event.point.validation_loss, event.point.epoch)
        if event.point.epoch < event.epochs and trial.should_prune():
            raise Pruned


def _keep_nothing(state: State) -> None:
    """An interrupted trial begins anew."""


def _cost(plan: Plan, name: str) -> float:
    """Of encoder and decoder together; see ``aetool_exporters.complexity`` for what is counted."""
    if name == "parameters":
        return float(sum(plan.autoencoder.parameters.values()))
    roles = _count(plan.autoencoder, plan).values()
    if name == "bytes":
        return float(sum(role.weight_bytes["float32"] for role in roles))
    unknown = [layer for role in roles for layer in role.unknown]
    if unknown:
        raise InputError(f"the multiply-adds of {', '.join(unknown)} are not known", hint="weigh against parameters")
    return float(sum(role.multiply_adds for role in roles))


def _count(autoencoder: KerasAutoencoder, plan: Plan) -> Any:
    from aetool_exporters.complexity import count_reference
    from aetool_exporters.reference import Reference

    return count_reference(Reference(autoencoder.encoder, autoencoder.decoder, plan.data.normalization))
