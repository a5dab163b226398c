"""A study on disk: ``DIR/study.sqlite3``, Optuna's own format, with the question and the data's digest in it."""

from __future__ import annotations

import os
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from aetool.data.packages import import_package
from aetool.tuning.search import Search
from aetool.tuning.study import Study
from aetool_runtime.atomic import replacing_folder
from aetool_runtime.errors import InputError, ModelError, UsageError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["check_same", "create_study", "is_study", "open_study", "saved_search"]

_FILE, _NAME = "study.sqlite3", "aetool"


def is_study(folder: Path) -> bool:
    """Whether a study stands there; looks at no content."""
    return (folder / _FILE).is_file()


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
    """Open what stands there, to work on it.

    Raises:
        UsageError: there is no study, or another process works on it.
        ModelError: it cannot be read.
    """
    with _read_study(folder) as study, _alone(folder):
        yield study


@contextmanager
def _read_study(folder: Path) -> Iterator[Study]:
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
    with _read_study(folder) as study:
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


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two that worked on one study would drop each other's trials. Where there are no locks, nobody is kept out."""
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                "another process works on this study", where=str(folder), hint="wait for it, or choose another --output"
            ) from None
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(handle)


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
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            storage = optuna.storages.RDBStorage("sqlite://", {"creator": partial(_connect, folder / _FILE)})
            try:
                yield storage
            finally:
                storage.remove_session()
                storage.engine.dispose()
    except engine_errors as error:
        raise _unreadable(folder, error) from error


def _connect(path: Path) -> sqlite3.Connection:
    """With a log that is written ahead, a report need not wait for the disk, and a crash still leaves a whole file."""
    connection = sqlite3.connect(path, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    return connection


def _unreadable(folder: Path, error: Exception) -> ModelError:
    reason = str(error).splitlines()[0]
    return ModelError(
        f"the study cannot be read or written ({reason})",
        where=str(folder / _FILE),
        hint="start again with --overwrite",
    )
