"""Folders: a stream for each file, names mirrored, finished ones not done again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aetool.compressing.opening import SUFFIXES
from aetool_runtime.atomic import leading_to, replacing_file
from aetool_runtime.errors import InputError, InterruptedRun, UsageError

__all__ = ["STREAM", "Job", "folder_run", "restoring_jobs", "stream_jobs"]

STREAM = ".aes"
_JOURNAL = ".aetool-run.json"


@dataclass(frozen=True)
class Job:
    """One file of a folder, and what it becomes."""

    source: Path
    target: Path

    @property
    def is_done(self) -> bool:
        """The target is there, and newer than what it is made of."""
        return self.target.is_file() and self.target.stat().st_mtime_ns >= self.source.stat().st_mtime_ns


def stream_jobs(folder: Path, output: Path) -> list[Job]:
    """Every file of a known kind, in subfolders too, with the stream that it becomes, by name.

    Raises:
        InputError: there is none.
    """
    found = [path for path in _files(folder) if path.suffix.lower() in SUFFIXES]
    if not found:
        raise InputError("holds no file of a known kind", where=str(folder), expected=", ".join(SUFFIXES))
    return [Job(path, output / path.relative_to(folder).with_name(path.name + STREAM)) for path in found]


def restoring_jobs(folder: Path, output: Path) -> list[Job]:
    """Every stream, with the name that its file had.

    Raises:
        InputError: there is none.
    """
    found = [path for path in _files(folder) if path.suffix == STREAM]
    if not found:
        raise InputError("holds no stream", where=str(folder), expected=f"files ending in {STREAM}")
    return [Job(path, output / path.relative_to(folder).with_name(path.name.removesuffix(STREAM))) for path in found]


def _files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


@contextmanager
def folder_run(output: Path, made_of: Mapping[str, Any], *, resume: bool, overwrite: bool) -> Iterator[bool]:
    """Work into a folder file by file; yields whether files that are done may stay.

    A journal in it says what it is made of until all is done, so that a run can go on with the same and no other.

    Raises:
        UsageError: something else stands there, or was begun there with other options.
        InterruptedRun: Ctrl-C; what was done is kept.
    """
    journal = output / _JOURNAL
    wanted = json.loads(json.dumps(made_of))
    begun = _begun(journal)
    _check(output, begun, wanted, resume=resume, overwrite=overwrite)
    going_on = resume and begun == wanted
    with leading_to(journal):
        if not going_on:
            _write(journal, wanted)
        try:
            yield going_on
        except KeyboardInterrupt as interrupt:
            raise InterruptedRun(
                "stopped before the end; finished files are kept",
                where=str(output),
                hint="the same command with --resume goes on",
            ) from interrupt
    journal.unlink(missing_ok=True)


def _write(journal: Path, document: object) -> None:
    with replacing_file(journal) as partial:
        partial.write_text(json.dumps(document), "utf-8")


def _begun(journal: Path) -> Any:
    try:
        return json.loads(journal.read_text("utf-8"))
    except (OSError, ValueError):
        return None


def _check(output: Path, begun: Any, wanted: Any, *, resume: bool, overwrite: bool) -> None:
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    if not output.is_dir():
        raise UsageError("is not a folder", where=str(output), hint="choose another name")
    if resume:
        if begun is None:
            raise UsageError("holds nothing that was interrupted", where=str(output), hint="choose another name")
        if begun != wanted:
            raise UsageError(
                "was begun with another bundle, input or options",
                where=str(output),
                hint="the same ones, or --overwrite",
            )
    elif not overwrite:
        raise UsageError(
            "already exists", where=str(output), hint="--resume to go on, --overwrite, or choose another name"
        )
