"""Nothing half-written: write beside, fsync, rename.

Killing the process at any moment leaves the old file or folder, or the new one. What a killed process left
beside the target (``.NAME.partial-PID-…``) is swept away by the next writer of the same target. Where the system
cannot swap two folders, the old one is moved aside first (``.NAME.replaced-PID-…``), and a kill just then leaves it
there for the next writer to put back.
"""

from __future__ import annotations

import ctypes
import errno
import glob
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from aetool_runtime.errors import InputError, UsageError

__all__ = ["check_target", "is_empty_folder", "is_plain_file", "replacing_file", "replacing_folder"]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # Linux renameat2(2)
_RENAME_SWAP = 2  # macOS renamex_np(2)


def is_plain_file(path: Path) -> bool:
    """No folder, link, device or pipe."""
    return path.is_file() and not path.is_symlink()


def is_empty_folder(path: Path) -> bool:
    """A folder, and no link to one, with nothing in it."""
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())


def check_target(
    target: Path, *, overwrite: bool, replaceable: Callable[[Path], bool] = is_plain_file, kind: str = "a plain file"
) -> None:
    """Refuse early, before hours of work, a target that could not be written at the end.

    Args:
        replaceable: whether what stands at the target is of the kind that is going to be written. Nothing else is
            ever replaced: a slip of the hand must not cost somebody's folder, or a device.
        kind: what that is, for the message.

    Raises:
        UsageError: the target exists and ``overwrite`` is false, or it is not ``replaceable``.
        InputError: its parent folder cannot be made or written to.
    """
    if os.path.lexists(target):
        if not replaceable(target):
            raise UsageError(
                f"already exists and is not {kind}, so it is not replaced",
                where=str(target),
                hint="choose another name",
            )
        if not overwrite:
            raise UsageError(
                "already exists", where=str(target), hint="choose another name, or pass --overwrite to replace it"
            )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder ({error.strerror})", where=str(target.parent)) from error
    if not os.access(target.parent, os.W_OK):
        raise InputError("the folder is not writable", where=str(target.parent))


@contextmanager
def replacing_file(target: Path) -> Iterator[Path]:
    """Yield a path beside ``target``; on success it becomes ``target`` in one step, on an error it is removed.

    Raises:
        InputError: the system does not let it be written, or has no room.
    """
    with _explained(target):
        _sweep(target)
        handle, name = tempfile.mkstemp(prefix=_beside(target, "partial"), dir=target.parent)
    os.close(handle)
    partial = Path(name)
    try:
        with _explained(target, _FULL):
            yield partial
        with _explained(target):
            partial.chmod(0o666 & ~_umask())
            _fsync(partial)
            partial.replace(target)
            _fsync(target.parent)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def replacing_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``target``; on success it becomes ``target`` in one step.

    A folder that stands at ``target`` is swapped out and removed afterwards.

    Raises:
        InputError: the system does not let it be written, or has no room.
    """
    with _explained(target):
        _sweep(target)
        partial = Path(tempfile.mkdtemp(prefix=_beside(target, "partial"), dir=target.parent))
    try:
        with _explained(target, _FULL):
            yield partial
        with _explained(target):
            partial.chmod(0o777 & ~_umask())
            _fsync_tree(partial)
            _put(partial, target)
            _fsync(target.parent)
    finally:
        _remove(partial)


@contextmanager
def _explained(target: Path, only: tuple[int, ...] = ()) -> Iterator[None]:
    """Turn what the system answers into an error that names the target; with ``only``, just these error numbers."""
    try:
        yield
    except OSError as error:
        if only and error.errno not in only:
            raise
        raise InputError(
            f"cannot be written ({error.strerror or error})",
            where=str(target),
            hint="choose another place with room that you may write to",
        ) from error


def _put(partial: Path, target: Path) -> None:
    """Rename, swapping with what stands at ``target``: ``partial`` then holds the old one."""
    if _appeared(partial, target):
        return
    if not _exchange(partial, target):
        # No atomic swap on this system: the old one is moved aside first.
        aside = Path(tempfile.mkdtemp(prefix=_beside(target, "replaced"), dir=target.parent)) / "old"
        target.rename(aside)
        partial.rename(target)
        _remove(aside.parent)


def _appeared(partial: Path, target: Path) -> bool:
    """Rename, unless something stands at ``target``; say whether it was done."""
    if os.path.lexists(target):
        return False
    try:
        partial.rename(target)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):  # another writer came first
            return False
        raise
    return True


def _exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step where the system can; say whether it was done."""
    names = os.fsencode(one), os.fsencode(other)
    libc = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None
    if sys.platform == "linux" and hasattr(libc, "renameat2"):
        return bool(libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0)  # type: ignore[union-attr]
    if sys.platform == "darwin" and hasattr(libc, "renamex_np"):
        return bool(libc.renamex_np(names[0], names[1], _RENAME_SWAP) == 0)  # type: ignore[union-attr]
    return False


def _beside(target: Path, what: str) -> str:
    return f".{target.name}.{what}-{os.getpid()}-"


def _sweep(target: Path) -> None:
    """Remove what dead writers of the same target left behind; put the old one back if it was only moved aside."""
    for what in ("replaced", "partial"):
        start = f".{target.name}.{what}-"
        for left in target.parent.glob(glob.escape(start) + "*"):
            pid = left.name.removeprefix(start).split("-")[0]
            if not pid.isdigit() or _alive(int(pid)):
                continue
            if what == "replaced" and not os.path.lexists(target) and (left / "old").exists():
                (left / "old").rename(target)
            _remove(left)


def _alive(pid: int) -> bool:
    if os.name == "nt":
        return True  # os.kill would end the process there
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _fsync_tree(top: Path) -> None:
    for folder, _, files in os.walk(top):
        for name in files:
            _fsync(Path(folder, name))
        _fsync(Path(folder))


def _fsync(path: Path) -> None:
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open a folder
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
