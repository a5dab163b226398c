"""``train``: a whole run, from data to checkpoint."""

from __future__ import annotations

import hashlib
import shlex
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aetool.balance import group_report
from aetool.config import BalanceConfig, Config, config_text
from aetool.data import Dataset
from aetool.evaluation import evaluate
from aetool.evaluation.subject import Subject
from aetool.models.corruption import shrink
from aetool.training.checkpoint import Checkpoint, is_checkpoint, load_checkpoint, write_checkpoint
from aetool.training.events import EpochDone, Event, Notice
from aetool.training.logs import TensorBoardLog
from aetool.training.plan import Plan, plan_prepared, plan_training
from aetool.training.run_folder import RunFolder, saved_config
from aetool.training.state import State
from aetool.training.trainer import Trainer
from aetool.training.workers import open_workers
from aetool_runtime.atomic import replacing_folder
from aetool_runtime.errors import InterruptedRun
from aetool_runtime.specs import Array

__all__ = ["train"]

_KEPT_SAMPLES, _KEPT_BYTES = 256, 4_000_000


def train(
    config: Config,
    data: str | Path,
    output: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    report: Callable[[Event], None] | None = None,
) -> Checkpoint:
    """Train, evaluate on the test part, and write a checkpoint.

    The state is saved as it goes: after Ctrl-C or a kill, ``resume`` goes on, and ends with the same weights and
    losses, bit for bit, as a run that was not stopped (on the same machine and packages).

    Args:
        config: how; with ``resume`` the same as before (``saved_config`` reads it).
        data: what ``aetool.data.open_source`` opens.
        output: the checkpoint's folder; made in one step, and a checkpoint that stands there stays whole until then. Of
            several workers only the chief writes it; what the others return is the same, but not what was read back.
        resume: go on with the unfinished run in ``output``; if it is finished, its checkpoint is returned.
        overwrite: replace the checkpoint or run in ``output``.
        report: told of progress; nothing is printed.

    Raises:
        InputError: the data cannot be used, a loss that is not finite, or resuming on other data.
        UsageError: the configuration does not fit the data or the run to resume, or ``output`` exists.
        InterruptedRun: Ctrl-C; the hint is the command that goes on.
        DependencyError: a package is missing.
    """
    say = report or _silent
    workers, folder = open_workers(config), RunFolder(output)
    if resume:
        saved_config(output)
    elif workers.is_chief:
        folder.check_new(overwrite=overwrite)
    plan = plan_training(config, data, lambda text: say(Notice(text)))
    if resume and not folder.is_unfinished and is_checkpoint(output):
        folder.check_same(plan.config)
        say(Notice("the run was finished already"))
        return load_checkpoint(output)
    again = shlex.join(["aetool", "train", "--resume", str(data), "-o", str(output)])
    try:
        trainer = _train(plan, folder, resume, say)
        return _finish(plan, trainer, folder, _unbalanced(plan, say))
    except InterruptedRun as stopped:
        raise InterruptedRun(stopped.what, where=stopped.where, hint=again) from None


def _silent(event: Event) -> None:
    pass


def _train(plan: Plan, folder: RunFolder, resume: bool, report: Callable[[Event], None]) -> Trainer:
    writes = plan.workers.is_chief
    logs: list[TensorBoardLog] = []

    def told(event: Event) -> None:
        if isinstance(event, EpochDone) and logs:
            logs[0].write(event.point)
        report(event)

    trainer = Trainer(plan, folder.save if writes else _keep_nothing, told)
    if resume:
        trainer.restore(folder.load(plan.config, plan.data.digest))
    elif writes:
        folder.start(plan.config, trainer.state)
    plan.workers.check_same(_digest(plan))
    if writes:
        logs.append(TensorBoardLog(folder.logs))
    try:
        trainer.run()
    finally:
        for log in logs:
            log.close()
    return trainer


def _keep_nothing(state: State) -> None:
    pass


def _digest(plan: Plan) -> str:
    """What all workers must have been given alike."""
    return hashlib.sha256(f"{plan.data.digest} {config_text(plan.config)}".encode()).hexdigest()


def _unbalanced(plan: Plan, report: Callable[[Event], None]) -> Plan | None:
    """The same run without balance, done, where it is asked for; nothing of it is saved."""
    if plan.balance is None or not plan.config.balance.compare_unbalanced:
        return None
    report(Notice("training the same model without balance, to compare"))
    other = plan_prepared(replace(plan.config, balance=BalanceConfig()), plan.data, None)
    Trainer(other, _keep_nothing, _silent).run()
    return other


def _finish(plan: Plan, trainer: Trainer, folder: RunFolder, unbalanced: Plan | None) -> Checkpoint:
    seen = plan.data.statistics.pooled("channel")
    checkpoint = Checkpoint(
        encoder=plan.autoencoder.encoder,
        decoder=plan.autoencoder.decoder,
        config=plan.config,
        normalization=plan.data.normalization,
        metrics=_metrics(plan, trainer) | _groups(plan, unbalanced),
        held_out=_kept(plan, plan.data.split.test),
        calibration=_kept(plan, plan.data.training),
        minimum=_floats(seen.minimum),
        maximum=_floats(seen.maximum),
        tokenizer=plan.data.tokenizer,
        rate=trainer.rate,
    )
    if plan.workers.is_chief:
        with replacing_folder(folder.output) as partial:
            write_checkpoint(partial, checkpoint)
            shutil.copytree(folder.logs, partial / folder.logs.relative_to(folder.output))
    plan.workers.any(False)  # none goes away before the chief is done
    return load_checkpoint(folder.output) if plan.workers.is_chief else checkpoint  # what is returned can be read


def _metrics(plan: Plan, trainer: Trainer) -> dict[str, Any]:
    split = plan.data.split
    return {
        "epochs": [asdict(point) for point in trainer.progress.history],
        "best_epoch": trainer.progress.best_epoch(plan.config.training.min_delta),
        "stopped_early": trainer.stopped_early,
        "samples": {
            "training": len(plan.data.training),
            "validation": len(split.validation),
            "test": len(split.test),
        },
        "evaluation": evaluate(plan.config, plan.autoencoder, plan.data, trainer.rate).document(),
    }


def _groups(plan: Plan, unbalanced: Plan | None) -> dict[str, Any]:
    """The errors of each group, where samples are balanced."""
    if plan.balance is None:
        return {}
    other = None if unbalanced is None else _subject(unbalanced)
    return {"groups": group_report(plan.balance, _subject(plan), other)}


def _subject(plan: Plan) -> Subject:
    return Subject(plan.config, plan.autoencoder, plan.data)


def _kept(plan: Plan, part: Dataset) -> Array:
    """What the encoder takes for samples of a part, evenly spread over it."""
    task = plan.config.task
    size = 4 * int(np.prod(part.sample_shape))
    count = min(len(part), _KEPT_SAMPLES, max(1, _KEPT_BYTES // size))
    samples = part.take(np.arange(count) * len(part) // count)
    return shrink(samples, task.factor) if task.kind == "super_resolution" else samples


def _floats(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
