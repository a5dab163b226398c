"""What a run is going to do, before it does it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

from aetool.balance import Balance, find_balance
from aetool.config import Config, LinearModel
from aetool.data import PreparedData, Report, prepare_data
from aetool.models import KerasAutoencoder, build_autoencoder, with_vocabulary
from aetool.training.combinations import check_config, check_model, input_shape
from aetool.training.recipe import make_optimizer
from aetool.training.workers import Workers, open_workers

__all__ = ["Plan", "check_plan", "plan_prepared", "plan_training"]


@dataclass(frozen=True)
class Plan:
    """A run, resolved: nothing is trained or written yet.

    Args:
        config: with what was left to the data filled in.
        data: read, checked, split and measured.
        autoencoder: untrained.
        balance: what samples count for; ``None`` where all count for the same.
        workers: who takes part.
    """

    config: Config
    data: PreparedData
    autoencoder: KerasAutoencoder
    balance: Balance | None = None
    workers: Workers = field(default_factory=Workers)

    @property
    def batches(self) -> int:
        """Steps per epoch; 0 where nothing is trained."""
        if isinstance(self.config.model, LinearModel):
            return 0
        return math.ceil(len(self.data.training) / self.config.training.batch_size)


def plan_training(config: Config, data: str | Path, report: Report) -> Plan:
    """Read the data and build the model.

    Raises:
        InputError: the data cannot be used.
        UsageError: the model does not take such samples, sections that exclude each other, or no such optimizer.
        DependencyError: a package is missing.
    """
    open_workers(config)
    check_plan(config)
    prepared = prepare_data(data, config.data, report)
    return plan_prepared(config, prepared, find_balance(config, prepared))


def check_plan(config: Config) -> None:
    """Refuse what no data can make right, before hours of reading.

    Raises:
        UsageError: sections that exclude each other, or no such optimizer.
    """
    make_optimizer(config.training, 1)
    check_config(config)


def plan_prepared(config: Config, prepared: PreparedData, balance: Balance | None) -> Plan:
    """Build the model for data that was read, and grouped for balance, before.

    Raises:
        UsageError: the model does not take such samples, sections that exclude each other, or no such optimizer.
    """
    check_plan(config)
    entries = len(prepared.tokenizer.entries) if prepared.tokenizer else 0
    resolved = replace(
        config,
        data=replace(config.data, sample_shape=prepared.sample_shape),
        model=with_vocabulary(config.model, entries),
        training=replace(config.training, epochs=1) if isinstance(config.model, LinearModel) else config.training,
    )
    workers = open_workers(config)
    with workers.scope():
        model = build_autoencoder(
            resolved.model,
            prepared.sample_shape,
            config.training.seed,
            latent=config.latent,
            input_shape=input_shape(config.task, prepared.sample_shape),
            residual=config.task.residual,
        )
    check_model(config, model.encoder)
    return Plan(resolved, prepared, model, balance, workers)
