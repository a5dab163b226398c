"""A study on disk: ``DIR/study.sqlite3``, Optuna's own format, with the question and the data's digest in it.

A trial counts when it is complete, pruned, or failed with a reason (the attribute ``failed``). One that was interrupted
or killed does not: what it would have tried is tried again.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from aetool.data.packages import import_package
from aetool.tuning.search import Search, own_values
from aetool_runtime.atomic import replacing_folder
from aetool_runtime.errors import InputError, ModelError, UsageError

__all__ = ["Study", "check_same", "create_study", "is_study", "open_study", "saved_search"]

_FILE, _NAME, _FAILED = "study.sqlite3", "aetool", "failed"
_STARTUP = 5  # trials that the median is taken over, at least


def is_study(folder: Path) -> bool:
    """Whether a study stands there; looks at no content."""
    return (folder / _FILE).is_file()


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
        return Search.from_json(self._study.user_attrs["search"], _FILE)

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

    def ask(self, search: Search) -> Any:
        """The next trial. It depends on the seed and on what was told before, not on how often a study was resumed."""
        count = len(self.trials)
        if not count:
            self._study.enqueue_trial(own_values(search), skip_if_exists=True)
        seed = int(np.random.SeedSequence((search.seed, count)).generate_state(1)[0])
        self._study.sampler = self._optuna.samplers.TPESampler(seed=seed, constant_liar=False)
        epochs = search.config.training.epochs
        self._study.pruner = self._optuna.pruners.MedianPruner(_STARTUP, n_warmup_steps=epochs // 4)
        return self._study.ask()

    def twin(self, trial: Any) -> Any:
        """A trial that counts and had the same values, or ``None``; training is deterministic, so once is enough."""
        return next((other for other in self.trials if other.params == trial.params), None)

    def repeat(self, trial: Any, twin: Any) -> None:
        """The trial came to what its twin came to."""
        if twin.state.name != "COMPLETE":
            self.prune(trial) if twin.state.name == "PRUNED" else self.fail(trial, twin.user_attrs[_FAILED])
        else:
            self._study.tell(trial, twin.values)

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
            self._study.tell(trial.number, state=self._optuna.trial.TrialState.FAIL)

    def _counts(self, trial: Any) -> bool:
        return trial.state.name in ("COMPLETE", "PRUNED") or _FAILED in trial.user_attrs


@contextmanager
def create_study(folder: Path, search: Search, data: str) -> Iterator[Study]:
    """Make a folder with an empty study in one step, replacing what stands there, and open it."""
    optuna = _optuna()
    with replacing_folder(folder) as partial, _storage(partial) as storage:
        directions = ["minimize"] * len(search.objectives)
        study = optuna.create_study(storage=storage, study_name=_NAME, directions=directions)
        study.set_user_attr("search", search.to_json())
        study.set_user_attr("data", data)
    with open_study(folder) as opened:
        yield opened


@contextmanager
def open_study(folder: Path) -> Iterator[Study]:
    """Open what stands there.

    Raises:
        UsageError: there is no study.
        ModelError: it cannot be read.
    """
    if not is_study(folder):
        raise UsageError("there is no study to resume", where=str(folder), hint="start one: leave --resume out")
    with _storage(folder) as storage:
        try:
            study = Study(_optuna().load_study(storage=storage, study_name=_NAME))
            study.search  # noqa: B018 (reads it)
        except KeyError as error:
            raise _unreadable(folder, error) from error
        yield study


def saved_search(folder: Path) -> Search:
    """The question of a study on disk.

    Raises:
        UsageError: there is none.
        ModelError: it cannot be read.
    """
    with open_study(folder) as study:
        return study.search


def check_same(study: Study, search: Search, data: str, folder: Path) -> None:
    """Refuse to go on with a study of another question or other data.

    Raises:
        UsageError, InputError: names what differs.
    """
    ours, theirs = search.to_json(), study.search.to_json()
    different = [key for key in ours if ours[key] != theirs[key]]
    if different:
        raise UsageError(
            f"the study was started with another {', '.join(different)}",
            where=str(folder),
            hint="resume without a configuration or such options, or start a new study with --overwrite",
        )
    if study.data != data:
        raise InputError(
            "the study was started on other data", where=str(folder), hint="give the same data, or --overwrite"
        )


def _optuna() -> Any:
    optuna = import_package("optuna", extra="tune")
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # what a study does is told by our own events
    return optuna


@contextmanager
def _storage(folder: Path) -> Iterator[Any]:
    """The database, closed at the end; what SQLite finds wrong with it is an error of ours."""
    optuna = _optuna()
    engine_errors = (
        import_package("sqlalchemy.exc", extra="tune").SQLAlchemyError,
        optuna.exceptions.StorageInternalError,
    )
    url = import_package("sqlalchemy", extra="tune").URL.create("sqlite", database=str((folder / _FILE).absolute()))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            storage = optuna.storages.RDBStorage(url.render_as_string(hide_password=False))
            try:
                yield storage
            finally:
                storage.remove_session()
                storage.engine.dispose()
    except engine_errors as error:
        raise _unreadable(folder, error) from error


def _unreadable(folder: Path, error: Exception) -> ModelError:
    reason = str(error).splitlines()[0]
    return ModelError(
        f"the study cannot be read or written ({reason})",
        where=str(folder / _FILE),
        hint="start again with --overwrite",
    )
