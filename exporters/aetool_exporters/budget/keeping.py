"""From a budget to what goes into the bundle: search, fine-tune where that does not do, verify, choose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from aetool_exporters.budget.budget import Budget
from aetool_exporters.budget.candidates import CALIBRATED, Space
from aetool_exporters.budget.deadline import Allowance
from aetool_exporters.budget.frontier import Frontier, Trial, trial_line
from aetool_exporters.budget.latency import measure_latency
from aetool_exporters.budget.meter import Meter
from aetool_exporters.budget.search import search
from aetool_exporters.budget.sensitivity import units_of
from aetool_exporters.budget.shortfall import budget_error, refuse_unconvertible
from aetool_exporters.budget.suitability import HeldOut
from aetool_exporters.budget.trials import Bench
from aetool_exporters.judgement import EXACT, Judge, Verdict
from aetool_exporters.reference import Reference
from aetool_exporters.request import CALIBRATION_METHODS, Calibration, Exporter, ExportRequest
from aetool_runtime.errors import InputError, UsageError

__all__ = ["BudgetOptions", "Keeper"]


@dataclass(frozen=True)
class BudgetOptions:
    """What must be kept, on what, and how hard to try.

    Args:
        budget: the largest loss of quality that is accepted.
        held_out: what quality is measured on.
        methods: of calibration that may be tried.
        granularities: values of ``per_channel`` that may be tried.
        mixed: whether single layers may stay in float32.
        search_seconds: for the searches of all formats together; looked at between trials.
        finetune_steps: of quantization-aware training, where the budget cannot be kept otherwise; 0 for none.
        seed: of the order in which fine-tuning sees its samples.
    """

    budget: Budget
    held_out: HeldOut
    methods: tuple[str, ...] = CALIBRATION_METHODS
    granularities: tuple[bool, ...] = (True, False)
    mixed: bool = True
    search_seconds: float = 300.0
    finetune_steps: int = 0
    seed: int = 0


class Keeper:
    """Finds the smallest artifacts of each format that keep a budget.

    Args:
        options: the budget.
        reference: the model.
        request: what is asked for besides; its precision is not looked at.
        precisions: that may be tried, ``float32`` left aside; () for all reduced ones that a format has.
        judge: verifies what is to be delivered.
        on_frontier: is told what was found for each format.
        tell: takes sentences for the user: each trial, and what else is worth knowing.

    Raises:
        UsageError: the metric does not suit the model or the data; fine-tuning without samples to train on,
            or through a latent of integers.
        InputError: the float model's own quality is not finite; held-out samples of another shape.
    """

    def __init__(
        self,
        options: BudgetOptions,
        reference: Reference,
        request: ExportRequest,
        precisions: Sequence[str],
        judge: Judge,
        on_frontier: Callable[[Frontier], None] = lambda frontier: None,
        tell: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        self._options, self._reference, self._request, self._judge = options, reference, request, judge
        self._precisions = tuple(name for name in precisions if name != EXACT)
        self._on_frontier, self._tell = on_frontier, tell
        self._units = units_of(reference)
        if options.finetune_steps:
            self._calibration()
            _check_gradients(reference)
        if options.held_out.values.shape[1:] != request.sample_shape:
            raise InputError(
                f"the held-out samples have shape {list(options.held_out.values.shape)}",
                expected=f"[samples, {', '.join(map(str, request.sample_shape))}], as those that are verified with",
            )
        self._meter = Meter(reference, options.budget, options.held_out)

    def keep(self, exporters: Sequence[Exporter], verdict: Verdict) -> list[Frontier]:
        """Search for each format; what is delivered is verified, and added to ``verdict``.

        Raises:
            BudgetError: a format has nothing that keeps the budget; names the best that was found.
            ConversionError: a format's exporter failed on every candidate.
            UsageError: a format has none of the precisions; calibration data are missing.
        """
        spaces = [self._space(exporter) for exporter in exporters]
        allowance = Allowance(self._options.search_seconds)
        frontiers = []
        for place, (exporter, space) in enumerate(zip(exporters, spaces, strict=True)):
            frontier = self._settle(exporter, space, allowance, len(exporters) - place, verdict)
            self._on_frontier(frontier)
            frontiers.append(frontier)
        missed = [frontier for frontier in frontiers if frontier.chosen is None]
        if missed:
            raise budget_error(missed[0], self._options.search_seconds, finetuned=self._options.finetune_steps > 0)
        return frontiers

    def _settle(self, exporter: Exporter, space: Space, allowance: Allowance, left: int, verdict: Verdict) -> Frontier:
        bench = Bench(exporter, self._reference, self._request, self._meter, self._judge, self._tell_trial)
        baseline = bench.baseline  # made before the clock starts: it takes TensorFlow's conversion, which is kept
        stages = 2 if self._options.finetune_steps else 1
        with allowance.share(left * stages) as deadline:
            best, complete = search(bench, space, self._units, deadline, tuned=False)
        if best is None and self._options.finetune_steps:
            bench.tuned = self._tuned
            with allowance.share(left) as deadline:
                best, all_tried = search(bench, space, self._units, deadline, tuned=True)
            complete = complete and all_tried
        if best is not None:
            self._deliver(bench, verdict)
        frontier = self._frontier(bench, baseline, complete, best)
        refuse_unconvertible(frontier)
        names = {str(candidate): candidate for candidate in bench.shelf}
        seconds = measure_latency(
            {name: bench.shelf[c] for name, c in names.items()}, self._options.held_out.values[:1]
        )
        return replace(frontier, latency={names[name]: value for name, value in seconds.items()})

    def _tell_trial(self, format_name: str, trial: Trial) -> None:
        self._tell(f"{format_name} {trial_line(trial, self._options.budget)}")

    def _frontier(self, bench: Bench, baseline: Trial | None, complete: bool, best: Trial | None) -> Frontier:
        meter = self._meter
        return Frontier(
            bench.format,
            meter.budget,
            meter.value,
            meter.limit,
            meter.samples,
            baseline,
            tuple(bench.trials),
            complete,
            best.candidate if best else None,
        )

    def _deliver(self, bench: Bench, verdict: Verdict) -> None:
        """What passed verification last is the best that was found."""
        (exported,) = bench.settled.passed
        for notice in exported.notices:
            self._tell(f"{bench.format} {exported.artifacts[0].precision}: {notice}")
        for check in bench.settled.checks:
            self._judge.on_check(check)
        verdict.passed.append(exported)
        verdict.checks += bench.settled.checks
        verdict.own_cases |= bench.settled.own_cases

    @cached_property
    def _tuned(self) -> Reference:
        """The model with fine-tuned weights, the same for all formats."""
        from aetool_exporters.budget.finetune import finetune

        steps = self._options.finetune_steps
        self._tell(f"nothing keeps {self._options.budget} so far: fine-tuning for {steps} steps")
        return finetune(
            self._reference,
            self._calibration(),
            steps,
            seed=self._options.seed,
            float_layers=self._request.quantization.float_layers,
            per_channel=True in self._options.granularities,
        )

    def _calibration(self) -> Calibration:
        calibration = self._request.quantization.calibration
        if calibration is None:
            raise UsageError("fine-tuning needs samples to train on", hint="--calibration FILE")
        return calibration

    def _space(self, exporter: Exporter) -> Space:
        """What may be tried for one format.

        Raises:
            UsageError: nothing; or a precision that was asked for needs calibration data.
        """
        has = tuple(name for name in exporter.precisions if name != EXACT)
        precisions = tuple(name for name in self._precisions if name in has) if self._precisions else has
        if not precisions:
            raise UsageError(
                f"the {exporter.format} exporter has no precision to keep a budget with",
                expected=f"one of {', '.join(has)}" if has else "a format with precisions below float32",
                hint=f"--precision {has[0]}" if has else "leave --max-drop out",
            )
        if self._request.quantization.calibration is None:
            precisions = self._uncalibrated(precisions)
        options = self._options
        kept = self._request.quantization.float_layers
        return Space(precisions, options.methods, options.granularities, kept, options.mixed)

    def _uncalibrated(self, precisions: tuple[str, ...]) -> tuple[str, ...]:
        needy = [name for name in precisions if name in CALIBRATED]
        others = tuple(name for name in precisions if name not in CALIBRATED)
        if needy and (self._precisions or not others):
            raise UsageError(f"{needy[0]} needs data to measure ranges on", hint="--calibration FILE")
        if needy:
            self._tell(
                f"{' and '.join(needy)} are not tried, for want of samples to calibrate with: --calibration FILE"
            )
        return others


def _check_gradients(reference: Reference) -> None:
    if reference.encoder is not None and reference.latent.dtype.startswith("int"):
        raise UsageError(
            "fine-tuning needs a latent of real numbers; no gradient passes integers", hint="leave --finetune out"
        )
