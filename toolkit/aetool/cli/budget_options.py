"""The options of ``export`` for a budget of quality, and how what was found for it is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from click.core import ParameterSource

from aetool.cli.output import log, table
from aetool.cli.reduced import Reduced
from aetool_runtime.errors import InputError, UsageError
from aetool_runtime.specs import Array

if TYPE_CHECKING:
    from aetool.model import Model
    from aetool_exporters.budget import Budget, Frontier, HeldOut
    from aetool_exporters.cases import Samples
    from aetool_exporters.pipeline import ExportOptions

__all__ = ["BudgetFlags", "budget_options", "budgets_json", "echo_frontiers"]

_MOST = 2048
_BATCH = 64
_SECONDS = 300.0
_DEPENDENT = ("labels", "search_time", "finetune", "seed")


@dataclass(frozen=True)
class BudgetFlags:
    """``--max-drop`` and what belongs to it.

    Args:
        budget: ``None`` where none was given: every precision is written as it is.
        labels: a file or column that says which held-out samples are anomalous, or "".
        search_seconds, finetune_steps, seed: see ``BudgetOptions``.
        named: the parameters that were given on the command line; what was chosen there is not searched for.
    """

    budget: Budget | None
    labels: str
    search_seconds: float
    finetune_steps: int
    seed: int
    named: frozenset[str]

    def applied(
        self, options: ExportOptions, loaded: Model, samples: Samples | None, data: str | None, reduced: Reduced
    ) -> ExportOptions:
        """The options with the budget in them.

        Raises:
            UsageError: no held-out data, or those that ranges are measured on.
            InputError: labels that do not fit.
        """
        from aetool_exporters.budget import BudgetOptions
        from aetool_exporters.request import CALIBRATION_METHODS

        if self.budget is None:
            return options
        _refuse_the_same(data, reduced.calibration)
        kept = BudgetOptions(
            self.budget,
            self._held_out(loaded, samples, data),
            methods=(reduced.method,) if "calibration_method" in self.named else CALIBRATION_METHODS,
            granularities=(False,) if reduced.per_tensor else (True, False),
            mixed=not reduced.microcontroller,
            search_seconds=self.search_seconds,
            finetune_steps=self.finetune_steps,
            seed=self.seed,
        )
        chosen = "precision" in self.named or reduced.microcontroller
        return replace(options, budget=kept, precisions=options.precisions if chosen else ())

    def _held_out(self, loaded: Model, samples: Samples | None, data: str | None) -> HeldOut:
        from aetool_exporters.budget import HeldOut

        if samples is None or not samples.real:
            raise UsageError("a budget is kept on held-out data, and there are none", hint="--data FILE")
        peak = max(samples.maximum, default=0.0) - min(samples.minimum, default=0.0)
        if data is None:
            if self.labels:
                raise UsageError("--labels belongs to --data", hint="--data FILE --labels FILE")
            return HeldOut(samples.values, peak)
        values, anomalous = _read(loaded, data, self.labels)
        if loaded.samples is None or not loaded.samples.real:
            peak = float(values.max()) - float(values.min())
        return HeldOut(values, peak, anomalous)


def budget_options(function: Callable[..., None]) -> Callable[..., None]:
    """``--max-drop`` and what belongs to it, handed on as one ``budget``."""

    @wraps(function)
    def command(
        max_drop: str | None, labels: str | None, search_time: float, finetune: int, seed: int, **others: Any
    ) -> None:
        from aetool_exporters.budget import Budget

        context = click.get_current_context()
        named = {name for name in context.params if context.get_parameter_source(name) is ParameterSource.COMMANDLINE}
        for name in _DEPENDENT:
            if max_drop is None and name in named:
                flag = "--" + name.replace("_", "-")
                raise UsageError(f"{flag} belongs to a budget", hint=f"--max-drop psnr:0.5 {flag} …")
        budget = None if max_drop is None else Budget.parse(max_drop)
        function(budget=BudgetFlags(budget, labels or "", search_time, finetune, seed, frozenset(named)), **others)

    options = [
        click.option(
            "--max-drop",
            metavar="METRIC:AMOUNT",
            help="The largest loss of quality: psnr:0.5, mse:5%, ssim:0.01, auc:0.01, accuracy:1% or recall@10:0.05. "
            "Of each format the smallest artifacts that keep it are searched for.",
        ),
        click.option(
            "--labels", metavar="FILE|COLUMN", help="For auc: a .npy file or a column of DATA, 0 for normal samples."
        ),
        click.option(
            "--search-time", type=click.FloatRange(0, min_open=True), default=_SECONDS, show_default=True,
            metavar="SECONDS", help="How long to search; a trial that began is finished.",
        ),
        click.option(
            "--finetune", type=click.IntRange(0), default=0, metavar="STEPS",
            help="Train for quantization where the budget cannot be kept otherwise.  [default: 0]",
        ),
        click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of --finetune."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def echo_frontiers(frontiers: Sequence[Frontier]) -> None:
    """The table of what the searches found worth a look, if there were any."""
    from aetool_exporters.budget import FRONTIER_HEADER, frontier_rows

    if not frontiers:
        return
    for frontier in frontiers:
        value, limit = frontier.budget.text(frontier.value), frontier.budget.text(frontier.limit)
        stopped = "" if frontier.complete else "; time was up before everything was tried"
        click.echo(
            f"{frontier.format}: candidates tried: {len(frontier.trials)}; held-out samples: {frontier.samples:,}; "
            f"the model has {frontier.budget.name} {value}, {limit} may be lost{stopped}"
        )
    click.echo(table(FRONTIER_HEADER, (row for frontier in frontiers for row in frontier_rows(frontier))))
    click.echo()


def budgets_json(frontiers: Sequence[Frontier]) -> dict[str, object]:
    """The member ``budgets`` of a document; none without a budget."""
    from aetool_exporters.budget import frontier_json

    return {"budgets": [frontier_json(frontier, timed=True) for frontier in frontiers]} if frontiers else {}


def _refuse_the_same(data: str | None, calibration: str | None) -> None:
    if data is None or calibration is None:
        return
    if data == calibration or Path(data).resolve() == Path(calibration).resolve():
        raise UsageError(
            "--data and --calibration are the same samples",
            where=data,
            expected="held-out samples that ranges were not measured on",
            hint="split the data in two files",
        )


def _read(loaded: Model, data: str, labels: str) -> tuple[Array, Array | None]:
    """At most 2048 samples, evenly spread over the data, and which of them are anomalous."""
    from aetool.data import sample_batches
    from aetool.model import open_for
    from aetool.spread import EvenSpread

    source, shape = open_for(loaded.reference, data, labels)
    spread = EvenSpread(_MOST)
    for batch in sample_batches(source, shape, _BATCH, report=log):
        spread.add(batch)
    anomalous = _anomalous(data, labels, spread.seen)[spread.indices] if labels else None
    return spread.arrays()[0], anomalous


def _anomalous(data: str, labels: str, samples: int) -> Array:
    from aetool.data import open_labels

    found = open_labels(data, labels)
    assert found is not None
    if found.dtype.kind not in "biuf":
        raise InputError("the labels are texts", where=labels, expected="numbers: 0 for normal samples, 1 for others")
    if len(found) != samples:
        raise InputError(f"there are {len(found):,} labels and {samples:,} samples", where=labels, expected="as many")
    return np.not_equal(found, 0)
