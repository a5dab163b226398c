"""Which trials there are, which counts, and which comes next.

A trial counts when it is complete, pruned, or failed with a reason (the attribute ``failed``). One that was interrupted
or killed does not: what it would have tried is tried again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from aetool.data.packages import import_package
from aetool.tuning.search import Search, own_values, suggest

__all__ = ["Study"]

_FAILED = "failed"
_STARTUP = 5  # trials that the median is taken over, at least


class Study:
    """An open study; trials are asked for and told one after the other.

    Args:
        study: an ``optuna.Study``.
    """

    def __init__(self, study: Any) -> None:
        self._optuna = import_package("optuna", extra="tune")
        self._study = study

    @property
    def search(self) -> Search:
        """The question."""
        return Search.from_json(self._study.user_attrs["search"], "study.sqlite3")

    @property
    def data(self) -> str:
        """The sha256 of the samples."""
        return str(self._study.user_attrs["data"])

    @property
    def trials(self) -> list[Any]:
        """Those that count, in order, as ``optuna.trial.FrozenTrial``."""
        return [trial for trial in self._study.get_trials(deepcopy=False) if self._counts(trial)]

    @property
    def best(self) -> list[Any]:
        """Those complete ones that no other one beats in all objectives."""
        return list(self._study.best_trials)

    def ask(self, search: Search) -> tuple[Any, dict[str, Any]]:
        """The next trial and its values, which no trial that counts had: training is deterministic, so once is enough.

        They depend on the seed and on what was told before, not on how often a study was resumed. There must be values
        that were not tried (``combinations``).
        """
        done = self.trials
        if not done and not self._waiting():
            self._study.enqueue_trial(own_values(search))
        epochs = search.config.training.epochs
        self._study.pruner = self._optuna.pruners.MedianPruner(_STARTUP, n_warmup_steps=epochs // 4)
        draw = 0
        while True:
            self._study.sampler = self._sampler(search.seed, len(done), draw)
            trial = self._study.ask()
            values = suggest(trial, search.space)
            if all(trial.params != other.params for other in done):
                return trial, values
            self._drop(trial.number)
            draw += 1

    def _sampler(self, seed: int, done: int, draw: int) -> Any:
        """Where the informed choice was tried already, chance takes over: it comes to every value in the end."""
        entropy = int(np.random.SeedSequence((seed, done, draw)).generate_state(1)[0])
        samplers = self._optuna.samplers
        return samplers.RandomSampler(entropy) if draw else samplers.TPESampler(seed=entropy, constant_liar=False)

    def _waiting(self) -> bool:
        """The configuration's own values are next already: a process was killed before it could try them."""
        return bool(self._study.get_trials(deepcopy=False, states=(self._optuna.trial.TrialState.WAITING,)))

    def complete(self, trial: Any, values: Mapping[str, float]) -> None:
        """The trial came to its end; one value for each objective."""
        self._study.tell(trial, list(values.values()))

    def prune(self, trial: Any) -> None:
        """The trial was given up."""
        self._study.tell(trial, state=self._optuna.trial.TrialState.PRUNED)

    def fail(self, trial: Any, reason: str) -> None:
        """The trial cannot be done."""
        trial.set_user_attr(_FAILED, reason)
        self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)

    def drop_unfinished(self) -> None:
        """A trial that is neither done nor failed, here or in a process that was killed, does not count."""
        states = (self._optuna.trial.TrialState.RUNNING,)
        for trial in self._study.get_trials(deepcopy=False, states=states):
            self._drop(trial.number)

    def _drop(self, number: int) -> None:
        self._study.tell(number, state=self._optuna.trial.TrialState.FAIL)

    def _counts(self, trial: Any) -> bool:
        return trial.state.name in ("COMPLETE", "PRUNED") or _FAILED in trial.user_attrs
