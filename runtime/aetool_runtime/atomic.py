"""Nothing half-written: write beside, fsync, rename.

Killing the process at any moment leaves the old file or folder, or the new one. What a killed process left
beside the target (``.NAME.partial-PID-…``) is swept away by the next writer of the same target. Where the system
cannot swap two folders, the old one is moved aside first (``.NAME.replaced-PID-…``), and a kill just then leaves it
there for the next writer to put back.

A writer holds a lock on what it writes, for that is what tells the living from the dead: a process id means another
process, or none, in another container or on another machine that shares the folder. Only where files cannot be locked
the process id must do.
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
from contextlib import contextmanager, suppress
from pathlib import Path

from aetool_runtime.errors import InputError, UsageError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "check_target",
    "explained",
    "fsync",
    "is_empty_folder",
    "is_plain_file",
    "leading_to",
    "lock",
    "replacing_file",
    "replacing_folder",
    "umask",
]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # Linux renameat2(2)
_RENAME_SWAP = 2  # macOS renamex_np(2)
_HELD = (errno.EWOULDBLOCK, errno.EACCES)
Make = Callable[[Path, str], Path]


def is_plain_file(path: Path) -> bool:
    """No folder, link, device or pipe."""
    return path.is_file() and not path.is_symlink()


def is_empty_folder(path: Path) -> bool:
    """A folder, and no link to one, with nothing in it."""
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())


def check_target(
    target: Path, *, overwrite: bool, replaceable: Callable[[Path], bool] = is_plain_file, kind: str = "a plain file"
) -> None:
    """Refuse early, before hours of work, a target that could not be written at the end. Nothing is made.

    Args:
        replaceable: whether what stands at the target is of the kind that is going to be written. Nothing else is
            ever replaced: a slip of the hand must not cost somebody's folder, or a device.
        kind: what that is, for the message.

    Raises:
        UsageError: the target exists and ``overwrite`` is false, or it is not ``replaceable``.
        InputError: its folder cannot be made or written to.
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
    standing = next(folder for folder in target.absolute().parents if os.path.lexists(folder))
    if not standing.is_dir():
        raise InputError("cannot make the folder (Not a directory)", where=str(standing))
    if not os.access(standing, os.W_OK):
        raise InputError("the folder is not writable", where=str(standing))


@contextmanager
def replacing_file(target: Path) -> Iterator[Path]:
    """Yield a path beside ``target``; on success it becomes ``target`` in one step, on an error it is removed.

    Folders that lead to it are made, and removed again on an error.

    Raises:
        InputError: the system does not let it be written, or has no room.
    """
    with leading_to(target), _claimed(target, _new_file) as partial:
        with explained(target, _FULL):
            yield partial
        with explained(target):
            partial.chmod(0o666 & ~umask())
            fsync(partial)
            partial.replace(target)
            fsync(target.parent)


@contextmanager
def replacing_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``target``; on success it becomes ``target`` in one step.

    A folder that stands at ``target`` is swapped out and removed afterwards. Folders that lead to it are made, and
    removed again on an error.

    Raises:
        InputError: the system does not let it be written, or has no room.
    """
    with leading_to(target), _claimed(target, _new_folder) as partial:
        with explained(target, _FULL):
            yield partial
        with explained(target):
            partial.chmod(0o777 & ~umask())
            _fsync_tree(partial)
            _put(partial, target)
            fsync(target.parent)


@contextmanager
def leading_to(target: Path) -> Iterator[None]:
    """Make the folders above the target; those that were not there are removed again when it comes to nothing."""
    with explained(target):
        missing = [folder for folder in target.absolute().parents if not os.path.lexists(folder)]
        target.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # somebody else put something there meanwhile
            for folder in missing:
                folder.rmdir()
        raise


@contextmanager
def _claimed(target: Path, make: Make) -> Iterator[Path]:
    """A new file or folder beside the target, locked while the block runs, and removed at its end if it is there."""
    with explained(target):
        _sweep(target)
        path, handle = _claim(target, "partial", make)
    try:
        yield path
    finally:
        _remove(path)
        _release(handle)


def _claim(target: Path, what: str, make: Make) -> tuple[Path, int | None]:
    """Between making and locking it, another writer may take it for a dead one's: then a new one is made."""
    while True:
        path = make(target.parent, f".{target.name}.{what}-{os.getpid()}-")
        try:
            handle = lock(path, wait=True)
        except FileNotFoundError:
            continue
        if os.path.lexists(path):
            return path, handle
        _release(handle)


def _new_file(folder: Path, prefix: str) -> Path:
    handle, name = tempfile.mkstemp(prefix=prefix, dir=folder)
    os.close(handle)
    return Path(name)


def _new_folder(folder: Path, prefix: str) -> Path:
    return Path(tempfile.mkdtemp(prefix=prefix, dir=folder))


def lock(path: Path, *, wait: bool) -> int | None:
    """A handle that holds the lock until it is closed, also by the process's death; ``None`` where there are no locks.

    Raises:
        OSError: it cannot be opened, or (one of ``_HELD``, without ``wait``) another holds the lock.
    """
    if fcntl is None:
        return None
    # Network file systems lock only what is open for writing, which a folder never is.
    access = os.O_RDONLY if path.is_dir() else os.O_RDWR
    handle = os.open(path, access | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        if error.errno in _HELD:
            raise
        return None
    return handle


@contextmanager
def explained(target: Path, only: tuple[int, ...] = ()) -> Iterator[None]:
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


def _release(handle: int | None) -> None:
    if handle is not None:
        os.close(handle)


def _put(partial: Path, target: Path) -> None:
    """Rename, swapping with what stands at ``target``: ``partial`` then holds the old one."""
    if _appeared(partial, target):
        return
    if not _exchange(partial, target):
        # No atomic swap on this system: the old one is moved aside first.
        aside, handle = _claim(target, "replaced", _new_folder)
        try:
            target.rename(aside / "old")
            partial.rename(target)
            _remove(aside)  # if this is not reached, the next writer puts the old one back
        finally:
            _release(handle)


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


def _sweep(target: Path) -> None:
    """Remove what dead writers of the same target left behind; put the old one back if it was only moved aside."""
    for what in ("replaced", "partial"):
        start = f".{target.name}.{what}-"
        for left in target.parent.glob(glob.escape(start) + "*"):
            pid = left.name.removeprefix(start).split("-")[0]
            if not pid.isdigit():
                continue
            with _abandoned(left, int(pid)) as abandoned:
                if abandoned and what == "replaced" and not os.path.lexists(target) and (left / "old").exists():
                    (left / "old").rename(target)
                if abandoned:
                    _remove(left)


@contextmanager
def _abandoned(left: Path, pid: int) -> Iterator[bool]:
    """Whether its writer is dead; while the block runs, no other writer will find the same."""
    try:
        handle = lock(left, wait=False)
    except OSError:  # locked, gone, or not for us to open
        yield False
        return
    if handle is None:
        yield not _alive(pid)
        return
    try:
        yield True
    finally:
        _release(handle)


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
            fsync(Path(folder, name))
        fsync(Path(folder))


def fsync(path: Path) -> None:
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open a folder
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
