"""The search for the smallest artifacts that keep a budget.

First all layers alike: every precision, then every calibration method and granularity. Where a precision that promises
smaller files than the best found so far misses the budget, layers stay in float32: each is quantized alone, which tells
how sensitive it is; the most sensitive ones are kept in float32, as few as will do (doubling, then halving the
interval); then each of those is tried quantized again. That is done in two orders, by loss and by loss per parameter,
and with every calibration method and granularity.

What would be the best so far is verified at once; what fails is taken for one that misses the budget. (A graph may have
lost its latent and still keep, say, the order of anomaly scores.)

Given enough time the result depends on nothing but the model, the data and the exporter: trials come in a fixed order,
ties are broken by name, and latency decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aetool_exporters.budget.candidates import Candidate, Space
from aetool_exporters.budget.deadline import Deadline
from aetool_exporters.budget.frontier import Trial
from aetool_exporters.budget.sensitivity import Unit, names_of, rank, rank_by_size
from aetool_exporters.budget.trials import Bench

__all__ = ["search"]

_MARGIN = 0.98
"""What is expected to be larger than the best by a fiftieth is not made: bytes can be foretold about so well."""


def search(
    bench: Bench, space: Space, units: Sequence[Unit], deadline: Deadline, *, tuned: bool
) -> tuple[Trial | None, bool]:
    """Make trials on the bench until nothing better is to be expected.

    Args:
        units: that may stay in float32 one by one.
        tuned: try candidates with fine-tuned weights.

    Returns:
        The smallest that keeps the budget and is verified, or ``None``; and whether the search came to its end, or time
        was up. At least one candidate is tried.
    """
    made = _Search(bench, space, units, deadline, tuned)
    complete = made.run()
    return made.best, complete


class _OutOfTimeError(Exception):
    """Ends a search."""


class _Search:
    def __init__(self, bench: Bench, space: Space, units: Sequence[Unit], deadline: Deadline, tuned: bool) -> None:
        self._bench, self._space, self._deadline, self._tuned = bench, space, deadline, tuned
        self._units = [unit for unit in units if not unit.layers <= space.float_layers]
        self._uniform: list[Trial] = []
        self.best: Trial | None = None
        self._begun = False

    def run(self) -> bool:
        try:
            for candidate in self._space.uniform(tuned=self._tuned):
                self._uniform.append(self._try(candidate))
            for bases in self._missing():
                self._mix(bases)
        except _OutOfTimeError:
            return False
        return True

    def _try(self, candidate: Candidate) -> Trial:
        if self._begun and self._deadline.passed and not self._bench.known(candidate):
            raise _OutOfTimeError
        self._begun = True
        trial = self._bench.trial(candidate)
        if self._keeps(trial) and (self.best is None or trial.key < self.best.key):
            trial = self._bench.verified(candidate)
            self.best = trial if self._keeps(trial) else self.best
        return trial

    def _keeps(self, trial: Trial) -> bool:
        return trial.error is None and trial.quality is not None and self._bench.meter.keeps(trial.quality)

    def _missing(self) -> list[list[Trial]]:
        """Of each precision that misses the budget everywhere, its trials, those that lose least first."""
        found = []
        for precision in dict.fromkeys(trial.candidate.precision for trial in self._uniform):
            trials = [t for t in self._uniform if t.candidate.precision == precision and t.quality is not None]
            if trials and self._space.mixable(precision) and not any(map(self._keeps, trials)):
                different = {trial.digest: trial for trial in sorted(trials, key=_by_loss, reverse=True)}
                found.append(sorted(different.values(), key=_by_loss))
        return sorted(found, key=lambda trials: min(trial.size for trial in trials))

    def _mix(self, bases: Sequence[Trial]) -> None:
        """Keep layers in float32, should that be smaller than what there is: it only adds bytes to a base.

        Which calibration is best for a mixture is not known beforehand: what hides the harm of one layer costs the
        others. So all are tried, in the order of one of them.
        """
        if all(map(self._hopeless, bases)) or len(self._units) < 2:
            return
        alone = []
        for unit in self._units:
            others = names_of(other for other in self._units if other is not unit)
            trial = self._try(self._keeping(bases[0].candidate, others))
            if trial.quality is not None:
                alone.append((unit, trial))
        if len(alone) < 2:
            return
        qualities = [(unit, trial.quality) for unit, trial in alone if trial.quality is not None]
        costs = self._costs(alone)
        for base in bases:
            for order in (rank(qualities), rank_by_size(qualities)):
                self._shrink(base, order, costs)

    def _costs(self, alone: Sequence[tuple[Unit, Trial]]) -> dict[Unit, int]:
        """The bytes that each unit takes more in float32: what float32 takes more than where only it is quantized."""
        baseline = self._bench.baseline
        return {unit: max(0, baseline.size - trial.size) if baseline else 0 for unit, trial in alone}

    def _shrink(self, base: Trial, order: Sequence[Unit], costs: Mapping[Unit, int]) -> None:
        """As few units in float32 as will do, from the front of ``order``."""
        count = self._fewest(base, order, costs)
        if count is None:
            return
        kept = list(order[:count])
        for unit in reversed(order[:count]):
            fewer = [other for other in kept if other is not unit]
            if fewer and self._enough(base, fewer, costs):
                kept = fewer

    def _fewest(self, base: Trial, order: Sequence[Unit], costs: Mapping[Unit, int]) -> int | None:
        """How many from the front must stay in float32; ``None`` where even all but one miss, or are no smaller."""
        least, most = 0, 1
        while not (verdict := self._enough(base, order[:most], costs)):
            if verdict is None or most == len(order) - 1:
                return None
            least, most = most, min(2 * most, len(order) - 1)
        while most - least > 1:
            middle = (least + most) // 2
            least, most = (least, middle) if self._enough(base, order[:middle], costs) else (middle, most)
        return most

    def _enough(self, base: Trial, kept: Sequence[Unit], costs: Mapping[Unit, int]) -> bool | None:
        """Whether the budget is kept with these in float32; ``None`` where that is no smaller than the best."""
        expected = base.size + sum(costs[unit] for unit in kept)
        if self.best is not None and expected * _MARGIN >= self.best.size:
            return None
        trial = self._try(self._keeping(base.candidate, names_of(kept)))
        if self._keeps(trial):
            return True
        return None if self._hopeless(trial) else False

    def _hopeless(self, trial: Trial) -> bool:
        """With still more float32 it can only become larger than the best."""
        return self.best is not None and trial.size >= self.best.size

    def _keeping(self, base: Candidate, layers: frozenset[str]) -> Candidate:
        return base.keeping(layers | self._space.float_layers)


def _by_loss(trial: Trial) -> tuple[float, tuple[int, float, float, tuple[int, str]]]:
    assert trial.quality is not None
    return trial.quality.loss, trial.key
