"""``aetool train [CONFIG] DATA``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aetool.cli.given import Given, given_options
from aetool.cli.groups_table import groups_text
from aetool.cli.output import emit_json, log, next_step, progress

if TYPE_CHECKING:
    from aetool.config import Config
    from aetool.training import Checkpoint, EpochDone, Event

__all__ = ["command"]


@click.command("train")
@click.option("--epochs", type=int, help="Instead of the configuration's.")
@click.option("--batch-size", type=int, help="Instead of the configuration's.")
@click.option("--latent", type=int, help="Values per sample in the latent, instead of the configuration's.")
@click.option("--learning-rate", type=float, help="Instead of the configuration's.")
@click.option("--seed", type=int, help="Of weights and order, instead of the configuration's; the split keeps its own.")
@click.option("--balance", type=click.Choice(["column", "cluster"]), help="Train on rare groups more often.")
@click.option("--compare-unbalanced", is_flag=True, help="With --balance: train without it as well, and show both.")
@click.option(
    "--strategy", type=click.Choice(["mirrored", "multiworker"]), help="All GPUs here; all that TF_CONFIG names."
)
@given_options
def command(
    given: Given,
    epochs: int | None,
    batch_size: int | None,
    latent: int | None,
    learning_rate: float | None,
    seed: int | None,
    balance: str | None,
    compare_unbalanced: bool,
    strategy: str | None,
) -> None:
    """Train an autoencoder on DATA (.npy, .npz, .csv, .tsv, .parquet, a folder of images, builtin:ecg, builtin:digits).

    CONFIG is a TOML file; --preset names one that comes with aetool. Ctrl-C stops where nothing is lost, and --resume
    goes on from there, or from what a killed run left.

    \b
    aetool train --preset dense builtin:digits -o model
    aetool train config.toml windows.npy -o model
    aetool train --resume windows.npy -o model
    """
    values = {
        "training.epochs": epochs,
        "training.batch_size": batch_size,
        "model.latent": latent,
        "training.learning_rate": learning_rate,
        "training.seed": seed,
        "training.strategy": strategy,
        "balance.by": balance,
        "balance.compare_unbalanced": compare_unbalanced or None,
    }
    config = _override(_config(given), values)
    if given.dry_run:
        _tell_plan(config, given)
    else:
        _train(config, given)


def _config(given: Given) -> Config:
    from aetool.training import saved_config

    config = given.config()
    return saved_config(given.output) if config is None else config


def _override(config: Config, values: Mapping[str, Any]) -> Config:
    """With the values of those flags that were given, by path."""
    from aetool.config.tuning import with_values

    return with_values(config, {path: value for path, value in values.items() if value is not None}, "command line")


def _tell_plan(config: Config, given: Given) -> None:
    from aetool.config import config_text
    from aetool.training import plan_training

    plan = plan_training(config, given.data, log)
    split, parameters = plan.data.split, plan.autoencoder.parameters
    sizes = {"training": len(plan.data.training), "validation": len(split.validation), "test": len(split.test)}
    if given.as_json:
        emit_json(
            {
                "config": asdict(plan.config),
                "data": {"shape": plan.data.raw_shape, "sample_shape": plan.data.sample_shape, "samples": sizes},
                "parameters": parameters,
            }
        )
        return
    click.echo(config_text(plan.config))
    click.echo(f"data {list(plan.data.raw_shape)} → samples of {list(plan.data.sample_shape)}")
    click.echo("samples: " + ", ".join(f"{name} {size:,}" for name, size in sizes.items()))
    click.echo("parameters: " + ", ".join(f"{name} {count:,}" for name, count in parameters.items()))
    click.echo("next: the same command without --dry-run")


def _train(config: Config, given: Given) -> None:
    from aetool.training import train

    log(f"training on {given.data}")
    start = time.perf_counter()
    with _Drawing() as drawing:
        checkpoint = train(
            config, given.data, given.output, resume=given.resume, overwrite=given.overwrite, report=drawing.draw
        )
    seconds = time.perf_counter() - start
    if given.as_json:
        emit_json(
            {
                "checkpoint": str(given.output),
                "seconds": seconds,
                "parameters": checkpoint.parameters,
                "metrics": dict(checkpoint.metrics),
            }
        )
        return
    _tell_result(checkpoint, given.output, seconds)


class _Drawing:
    """Events → a bar with the time left on a terminal, one line an epoch (at most one a second) elsewhere."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._told = float("-inf")

    def __enter__(self) -> _Drawing:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.__exit__(*exception)

    def draw(self, event: Event) -> None:
        from aetool.training import EpochDone, Notice, StepsDone

        if isinstance(event, Notice):
            log(event.text)
        elif isinstance(event, StepsDone):
            self._advance(event.step, event.steps)
        elif isinstance(event, EpochDone):
            self._tell_epoch(event)

    def _advance(self, step: int, steps: int) -> None:
        if self._bar is None:
            self._bar = progress(steps, "train").__enter__()
        self._bar.update(step - self._bar.pos)

    def _tell_epoch(self, event: EpochDone) -> None:
        now, last = time.monotonic(), event.point.epoch == event.epochs
        if self._bar is not None and not self._bar.hidden:
            self._bar.label = f"epoch {event.point.epoch}, validation loss {event.point.validation_loss:.5g}"
        elif last or now - self._told >= 1:
            point = event.point
            bits = "" if point.bits is None else f", {point.bits:.4f} bits a value"
            losses = f"loss {point.loss:.5g}, validation {point.validation_loss:.5g}"
            log(f"epoch {point.epoch}/{event.epochs}: {losses}{bits}")
            self._told = now


def _tell_result(checkpoint: Checkpoint, output: Path, seconds: float) -> None:
    from aetool.cli.evaluation_tables import evaluation_text
    from aetool.config import PenaltyConfig

    metrics = checkpoint.metrics
    evaluation, epochs = metrics["evaluation"], len(metrics["epochs"])
    early = ", stopped early" if metrics["stopped_early"] else ""
    click.echo(f"{epochs} epochs{early}; the best was epoch {metrics['best_epoch']} ({seconds:.1f} s)")
    click.echo(f"\non {evaluation['samples']:,} test samples, {evaluation['latent']} values each, in raw units")
    penalized = checkpoint.config.penalty != PenaltyConfig()
    click.echo(evaluation_text(evaluation, penalized=penalized))
    if "groups" in metrics:
        click.echo("\n" + groups_text(metrics["groups"]))
    parameters = sum(checkpoint.parameters.values())
    click.echo(f"\n{parameters:,} parameters → {output}")
    next_step(f"aetool export {output}")
