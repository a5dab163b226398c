"""``tune``: trials one after the other until their number or the time is reached."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aetool.balance import Balance, find_balance
from aetool.data import PreparedData, prepare_data
from aetool.training.interrupt import StopRequest
from aetool.training.plan import check_plan
from aetool.tuning.front import TrialRecord, front, records, write_winners
from aetool.tuning.search import Search, combinations
from aetool.tuning.study import Study
from aetool.tuning.study_folder import check_same, create_study, is_study, open_study
from aetool.tuning.trial import OutOfTime, Pruned, run_trial
from aetool_runtime.atomic import check_target
from aetool_runtime.errors import AetoolError, InputError, InterruptedRun, UsageError

__all__ = ["TrialDone", "Tuning", "tune"]


@dataclass(frozen=True)
class TrialDone:
    """A trial counts from now on; ``trials`` that were asked for, where they were."""

    record: TrialRecord
    trials: int | None


@dataclass(frozen=True)
class Tuning:
    """What a study came to.

    Args:
        trials: those that count.
        front: the best of them, by rising error.
        files: a configuration for each of the front.
    """

    trials: tuple[TrialRecord, ...]
    front: tuple[TrialRecord, ...]
    files: tuple[Path, ...]


def tune(
    search: Search,
    data: str | Path,
    output: Path,
    *,
    trials: int | None = None,
    minutes: float | None = None,
    resume: bool = False,
    overwrite: bool = False,
    report: Callable[[TrialDone | str], None] | None = None,
) -> Tuning:
    """Look for the best values of a search space; the same seed, data and machine give the same trials.

    Trials are trained on the training part and compared on the validation part; the test part is for ``train``.

    Args:
        search: the question; with ``resume`` the same as before (``saved_search`` reads it).
        data: what ``aetool.data.open_source`` opens.
        output: the study's folder.
        trials: how many in all, those of a resumed study included; ``None`` for no limit. A study ends sooner where
            all combinations of values were tried.
        minutes: then the running trial is given up at the end of its epoch, unless it is the first that completes.
        resume: go on with the study in ``output``.
        overwrite: replace the study in ``output``.
        report: told of each trial, and of what the user should know.

    Raises:
        UsageError: wrong arguments, or the study to resume is another one.
        InputError: the data cannot be used, or no trial could be done.
        InterruptedRun: Ctrl-C; the study is saved.
    """
    say = report or _silent
    _check_limits(trials, minutes)
    if search.config.training.strategy == "multiworker":
        raise UsageError(
            "trials go one after the other, in one process", expected='[training] strategy = "none" or "mirrored"'
        )
    if not resume:
        check_target(output, overwrite=overwrite, replaceable=is_study, kind="a study")
    check_plan(search.config)
    prepared = prepare_data(data, search.config.data, say)
    balance = find_balance(search.config, prepared)
    with _opened(output, search, prepared, resume) as study:
        deadline = math.inf if minutes is None else time.monotonic() + 60 * minutes
        check_same(study, search, prepared.digest, output)
        _Loop(search, prepared, balance, study, trials, deadline, say, _again(data, output, trials, minutes)).run()
        return _result(study, search, output)


def _silent(event: TrialDone | str) -> None:
    pass


def _check_limits(trials: int | None, minutes: float | None) -> None:
    if trials is None and minutes is None:
        raise UsageError("a study needs an end", expected="a number of trials, or a time")
    if trials is not None and trials < 1:
        raise UsageError(f"{trials} trials were asked for", expected="at least 1")
    if minutes is not None and not minutes > 0:
        raise UsageError(f"the time is {minutes} minutes", expected="more than 0")


def _again(data: str | Path, output: Path, trials: int | None, minutes: float | None) -> str:
    """The command that goes on."""
    limits = {"--trials": trials, "--time": minutes}
    given = [word for name, value in limits.items() if value is not None for word in (name, f"{value:g}")]
    return shlex.join(["aetool", "tune", "--resume", str(data), "-o", str(output), *given])


def _opened(output: Path, search: Search, data: PreparedData, resume: bool) -> AbstractContextManager[Study]:
    return open_study(output) if resume else create_study(output, search, data.digest)


@dataclass
class _Loop:
    search: Search
    data: PreparedData
    balance: Balance | None
    study: Study
    trials: int | None
    deadline: float
    report: Callable[[TrialDone | str], None]
    again: str

    def run(self) -> None:
        self.study.drop_unfinished()
        if self.search.against:
            self.report("with more than one objective no trial is pruned: a worse one may be smaller")
        try:
            with StopRequest() as stop:  # a KeyboardInterrupt may come where Keras or Optuna swallow it
                while not self._is_over():
                    _check(stop)
                    self._next(stop)
        except OutOfTime:
            self.study.drop_unfinished()
        except (InterruptedRun, KeyboardInterrupt):
            self.study.drop_unfinished()
            place = f"trial {len(self.study.trials) + 1}" + (f" of {self.trials}" if self.trials else "")
            raise InterruptedRun("tuning was interrupted", where=place, hint=self.again) from None

    def _next(self, stop: StopRequest) -> None:
        def after_epoch() -> None:
            _check(stop)
            if time.monotonic() >= self.deadline and self.study.best:  # there is a result without this one
                raise OutOfTime

        self._try(*self.study.ask(self.search), after_epoch)
        self.report(TrialDone(records(self.study, self.search)[-1], self.trials))

    def _is_over(self) -> bool:
        count = len(self.study.trials)
        if self.trials is not None and count >= self.trials:
            return True
        if count >= combinations(self.search.space):
            self.report(f"all {count} combinations of values were tried")
            return True
        return count > 0 and time.monotonic() >= self.deadline

    def _try(self, trial: Any, values: Mapping[str, Any], after_epoch: Callable[[], None]) -> None:
        try:
            self.study.complete(trial, run_trial(self.search, self.data, self.balance, trial, values, after_epoch))
        except Pruned:
            self.study.prune(trial)
        except InterruptedRun:
            raise
        except AetoolError as error:
            self.study.fail(trial, str(error))


def _check(stop: StopRequest) -> None:
    if stop.asked:
        raise InterruptedRun("interrupted")


def _result(study: Study, search: Search, output: Path) -> Tuning:
    done = records(study, search)
    best = front(study, search)
    if not best:
        raise InputError(
            f"none of {len(done)} trials could be done",
            where=str(output),
            hint=f"change the configuration; the first said: {done[0].reason}",
        )
    return Tuning(tuple(done), tuple(best), tuple(write_winners(output, search, best)))
