"""A file that is written in order over hours, and whose finished part survives a kill.

Beside ``NAME`` stand ``.NAME.growing``, the bytes, and ``.NAME.growing.json``, the journal: what the file is made of,
and how far it is known to be on the disk. At the end the first becomes ``NAME`` in one step and the journal is removed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from aetool_runtime.atomic import explained, fsync, leading_to, lock, replacing_file, umask
from aetool_runtime.errors import UsageError

__all__ = ["GrowingFile", "growing_file"]

State = Mapping[str, Any]


@dataclass
class GrowingFile:
    """The file while it is written.

    Args:
        file: open for reading and writing, where the finished part ends.
        state: what the last ``keep`` of an earlier run said; empty for a new file.
    """

    file: BinaryIO
    state: State
    _record: Callable[[State], None] = field(repr=False)

    def keep(self, state: State) -> None:
        """All that was written until now, with ``state`` (JSON), is what a later run goes on from."""
        self.file.flush()
        os.fsync(self.file.fileno())
        self._record(state)
        self.state = state


@contextmanager
def growing_file(target: Path, made_of: State, *, resume: bool) -> Iterator[GrowingFile]:
    """Write ``target`` so that a killed or interrupted run can be gone on with.

    When the block ends, the file becomes ``target``. When it is interrupted, what was kept stays for a run that
    resumes; when it fails otherwise, nothing stays.

    Args:
        made_of: what goes into the file (JSON); a run resumes only what was made of the same.
        resume: go on with what an earlier run left; a new file where there is none.

    Raises:
        UsageError: another process is writing it; or what was left is made of something else.
        InputError: the system does not let it be written, or has no room.
    """
    bytes_path, journal = (target.with_name(f".{target.name}.growing{suffix}") for suffix in ("", ".json"))
    with leading_to(target):
        handle = _claim(bytes_path, target)
        try:
            with explained(target):
                with _opened(bytes_path, journal, made_of, target, resume) as growing:
                    yield growing
                bytes_path.chmod(0o666 & ~umask())
                fsync(bytes_path)
                bytes_path.replace(target)
                journal.unlink(missing_ok=True)
                fsync(target.parent)
        except KeyboardInterrupt:
            if not journal.exists():
                _discard(bytes_path)
            raise
        except BaseException as error:
            if not isinstance(error, UsageError):
                _discard(bytes_path, journal)
            raise
        finally:
            if handle is not None:
                os.close(handle)


@contextmanager
def _opened(path: Path, journal: Path, made_of: State, target: Path, resume: bool) -> Iterator[GrowingFile]:
    kept = _journal(journal, made_of, target) if resume else {}
    with path.open("r+b") as file:
        file.truncate(kept.get("bytes", 0))
        file.seek(0, os.SEEK_END)
        if not kept:
            journal.unlink(missing_ok=True)
        yield GrowingFile(file, kept.get("state", {}), lambda state: _write(journal, file, made_of, state))


def _claim(path: Path, target: Path) -> int | None:
    """Make the file, unless it is there, and lock it. Whoever held it may have renamed it meanwhile: then once more."""
    while True:
        with explained(target):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600))
        try:
            handle = lock(path, wait=False)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UsageError(
                "another process is writing it", where=str(target), hint="wait for it, or choose another output"
            ) from error
        if handle is None or (path.exists() and os.path.samestat(os.fstat(handle), path.stat())):
            return handle
        os.close(handle)


def _journal(path: Path, made_of: State, target: Path) -> dict[str, Any]:
    """What an earlier run left; nothing where it left nothing that can be read."""
    try:
        document = json.loads(path.read_text("utf-8"))
        before, _ = document["made_of"], document["bytes"] + 0
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    now = json.loads(json.dumps(dict(made_of)))
    differing = [key for key in now if before.get(key) != now[key]]
    if differing:
        raise UsageError(
            f"what was begun is made of another {' and '.join(differing)}",
            where=str(target),
            expected=f"{differing[0]} {before.get(differing[0])!r}, this run has {now[differing[0]]!r}",
            hint="run it as before, or begin anew without --resume",
        )
    return dict(document)


def _write(journal: Path, file: BinaryIO, made_of: State, state: State) -> None:
    document = {"made_of": dict(made_of), "bytes": file.tell(), "state": dict(state)}
    with replacing_file(journal) as partial:
        partial.write_text(json.dumps(document), "utf-8")


def _discard(*paths: Path) -> None:
    for path in paths:
        with suppress(OSError):
            path.unlink(missing_ok=True)
