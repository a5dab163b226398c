"""The old or the new, never half: whatever raises, whoever kills, however many look on."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from aetool_runtime import atomic
from aetool_runtime.atomic import check_target, replacing_file, replacing_folder
from aetool_runtime.errors import InputError, UsageError

linux = pytest.mark.skipif(sys.platform != "linux", reason="swaps two names in one step with renameat2(2)")


def write_file(target: Path, text: str) -> None:
    with replacing_file(target) as partial:
        partial.write_text(text)


def write_folder(target: Path, text: str) -> None:
    with replacing_folder(target) as partial:
        (partial / "sub").mkdir()
        for name in ("a", "b", "sub/c"):
            (partial / name).write_text(text)


def read_file(target: Path) -> str:
    return target.read_text()


def read_folder(target: Path) -> str:
    """The text of a folder, which every file of it must hold."""
    texts = {path.relative_to(target).as_posix(): path.read_text() for path in target.rglob("*") if path.is_file()}
    assert set(texts) == {"a", "b", "sub/c"}
    assert len(set(texts.values())) == 1
    return texts["a"]


KINDS = {"a file": (write_file, read_file), "a folder": (write_folder, read_folder)}
EITHER = pytest.mark.parametrize(("write", "read"), KINDS.values(), ids=KINDS)
Write = Callable[[Path, str], None]
Read = Callable[[Path], str]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- it goes well ---


@EITHER
def test_the_target_appears_and_is_replaced(tmp_path: Path, write: Write, read: Read) -> None:
    for text in ("old", "new", "newer"):
        write(tmp_path / "t", text)
        assert read(tmp_path / "t") == text
        assert names(tmp_path) == ["t"]


@EITHER
@pytest.mark.parametrize("name", ["model.aepkg", "a b", "-rf", "[x]*?", "ü", ".hidden", "t.partial-1-x"])
def test_any_name(tmp_path: Path, write: Write, read: Read, name: str) -> None:
    write(tmp_path / name, "old")
    write(tmp_path / name, "new")
    assert read(tmp_path / name) == "new"
    assert names(tmp_path) == [name]


@EITHER
def test_the_permissions_are_those_of_a_plain_new_file(tmp_path: Path, write: Write, read: Read) -> None:
    mask = os.umask(0o027)
    try:
        write(tmp_path / "t", "x")
    finally:
        os.umask(mask)
    assert (tmp_path / "t").stat().st_mode & 0o777 == (0o750 if (tmp_path / "t").is_dir() else 0o640)


def test_a_link_in_the_targets_place_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "t").symlink_to("elsewhere")
    write_folder(tmp_path / "t", "new")
    assert not (tmp_path / "t").is_symlink()
    assert names(tmp_path / "elsewhere") == []


# --- something raises ---


@EITHER
@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
def test_an_exception_leaves_the_old_and_nothing_beside(
    tmp_path: Path, write: Write, read: Read, error: BaseException
) -> None:
    write(tmp_path / "t", "old")
    opened = replacing_file if write is write_file else replacing_folder

    def fail() -> None:
        with opened(tmp_path / "t") as partial:
            (partial if write is write_file else partial / "a").write_text("new")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert read(tmp_path / "t") == "old"
    assert names(tmp_path) == ["t"]


@EITHER
def test_nothing_appears_where_nothing_was(tmp_path: Path, write: Write, read: Read) -> None:
    opened = replacing_file if write is write_file else replacing_folder
    with pytest.raises(ValueError, match="no"), opened(tmp_path / "t"):
        raise ValueError("no")
    assert names(tmp_path) == []


@EITHER
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_named_with_the_target(tmp_path: Path, write: Write, read: Read, number: int) -> None:
    write(tmp_path / "t", "old")
    opened = replacing_file if write is write_file else replacing_folder
    with pytest.raises(InputError, match="cannot be written") as refusal, opened(tmp_path / "t"):
        raise OSError(number, os.strerror(number))
    assert refusal.value.where == str(tmp_path / "t")
    assert read(tmp_path / "t") == "old"
    assert names(tmp_path) == ["t"]


@EITHER
@pytest.mark.parametrize("step", ["fsync", "umask", "_sweep"])
def test_a_system_that_refuses_a_step_is_named_with_the_target(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, write: Write, read: Read, step: str
) -> None:
    write(tmp_path / "t", "old")

    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(atomic, step, refuse)
    with pytest.raises(InputError, match="Input/output error"):
        write(tmp_path / "t", "new")
    assert read(tmp_path / "t") == "old"
    assert names(tmp_path) == ["t"]


@EITHER
def test_folders_that_lead_to_the_target_are_made(tmp_path: Path, write: Write, read: Read) -> None:
    write(tmp_path / "a" / "b" / "t", "x")
    assert read(tmp_path / "a" / "b" / "t") == "x"


@EITHER
def test_folders_that_were_made_for_nothing_are_removed_again(tmp_path: Path, write: Write, read: Read) -> None:
    (tmp_path / "a").mkdir()
    opened = replacing_file if write is write_file else replacing_folder
    with pytest.raises(ValueError, match="no"), opened(tmp_path / "a" / "b" / "c" / "t"):
        raise ValueError("no")
    assert names(tmp_path) == ["a"]
    assert names(tmp_path / "a") == []


def test_folders_in_which_another_wrote_meanwhile_stay(tmp_path: Path) -> None:
    def fail() -> None:
        with replacing_file(tmp_path / "a" / "b" / "t"):
            (tmp_path / "a" / "other").write_text("x")
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert names(tmp_path / "a") == ["other"]


@EITHER
def test_a_parent_that_cannot_be_made(tmp_path: Path, write: Write, read: Read) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot be written"):
        write(tmp_path / "file" / "t", "x")


def test_a_folder_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    write_folder(tmp_path / "t", "old")
    with pytest.raises(InputError, match="cannot be written"):
        write_file(tmp_path / "t", "new")
    assert read_folder(tmp_path / "t") == "old"
    assert names(tmp_path) == ["t"]


def test_an_error_of_what_is_read_meanwhile_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing"), replacing_file(tmp_path / "t"):
        (tmp_path / "missing").read_text()


# --- someone kills ---

CHILD = """
import os, signal, sys
from pathlib import Path
from aetool_runtime import atomic

target, kind, stage = Path(sys.argv[1]), sys.argv[2], sys.argv[3]

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def before(owner, name):
    setattr(owner, name, die)

def after(owner, name):
    original = getattr(owner, name)
    def call(*args, **kw):
        result = original(*args, **kw)
        die()
    setattr(owner, name, call)

if stage == "before the swap":
    before(atomic, "_put"), before(Path, "replace")
if stage == "after the swap":
    after(atomic, "_put"), after(Path, "replace")
if stage == "while the old one is removed":
    before(atomic, "_remove")
if stage == "before fsync":
    before(atomic, "fsync")
if stage.startswith("without a swap"):
    atomic._exchange = lambda *_: False
if stage == "without a swap, between the renames":
    original = Path.rename
    Path.rename = lambda self, to: (original(self, to), die()) if to.name == "old" else original(self, to)
if stage == "without a swap, while the old one is removed":
    before(atomic, "_remove")

if kind == "a file":
    with atomic.replacing_file(target) as partial:
        partial.write_text("n")
        if stage == "while writing":
            die()
        partial.write_text("new")
else:
    with atomic.replacing_folder(target) as partial:
        (partial / "sub").mkdir()
        for name in ("a", "b", "sub/c"):
            (partial / name).write_text("new")
            if stage == "while writing" and name == "b":
                die()
die()
"""
STAGES = {
    ("a file", "while writing"): "old",
    ("a file", "before fsync"): "old",
    ("a file", "before the swap"): "old",
    ("a file", "after the swap"): "new",
    ("a folder", "while writing"): "old",
    ("a folder", "before fsync"): "old",
    ("a folder", "before the swap"): "old",
    ("a folder", "after the swap"): "new",
    ("a folder", "while the old one is removed"): "new",
    ("a folder", "without a swap, while the old one is removed"): "new",
}


def kill_at(target: Path, kind: str, stage: str) -> None:
    child = subprocess.run([sys.executable, "-c", CHILD, str(target), kind, stage], capture_output=True, text=True)
    assert child.returncode == -signal.SIGKILL, child.stderr


@linux
@pytest.mark.parametrize(("kind", "stage", "left"), [(*key, left) for key, left in STAGES.items()])
def test_a_kill_leaves_the_old_or_the_new_and_the_next_writer_sweeps(
    tmp_path: Path, kind: str, stage: str, left: str
) -> None:
    write, read = KINDS[kind]
    write(tmp_path / "t", "old")
    kill_at(tmp_path / "t", kind, stage)
    assert read(tmp_path / "t") == left
    write(tmp_path / "t", "newest")
    assert read(tmp_path / "t") == "newest"
    assert names(tmp_path) == ["t"]


@linux
@pytest.mark.parametrize(("kind", "stage"), [(kind, stage) for kind, stage in STAGES if "swap" in stage])
def test_a_kill_where_nothing_was_leaves_nothing_or_the_new(tmp_path: Path, kind: str, stage: str) -> None:
    kill_at(tmp_path / "t", kind, stage)
    assert not (tmp_path / "t").exists() or KINDS[kind][1](tmp_path / "t") == "new"


@linux
def test_without_an_atomic_swap_a_kill_between_the_renames_loses_nothing(tmp_path: Path) -> None:
    write_folder(tmp_path / "t", "old")
    kill_at(tmp_path / "t", "a folder", "without a swap, between the renames")
    assert not (tmp_path / "t").exists()
    with pytest.raises(ValueError, match="no"), replacing_folder(tmp_path / "t"):
        raise ValueError("no")
    assert read_folder(tmp_path / "t") == "old", "the next writer put it back, although it failed itself"
    assert names(tmp_path) == ["t"]


def test_without_an_atomic_swap_a_folder_is_replaced_as_well(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(atomic, "_exchange", lambda *_: False)
    write_folder(tmp_path / "t", "old")
    write_folder(tmp_path / "t", "new")
    assert read_folder(tmp_path / "t") == "new"
    assert names(tmp_path) == ["t"]


def test_a_living_writer_is_not_swept(tmp_path: Path) -> None:
    with replacing_file(tmp_path / "t") as first:
        first.write_text("first")
        write_file(tmp_path / "t", "second")
        assert first.exists()
    assert read_file(tmp_path / "t") == "first"
    assert names(tmp_path) == ["t"]


OTHER_WRITER = """
import sys
from pathlib import Path
from aetool_runtime import atomic

opened = atomic.replacing_file if sys.argv[2] == "a file" else atomic.replacing_folder
with opened(Path(sys.argv[1])) as partial:
    (partial if sys.argv[2] == "a file" else partial / "a").write_text("first")
    print(partial.name, flush=True)
    sys.stdin.readline()
"""


@linux
@EITHER
def test_a_living_writer_whose_process_cannot_be_seen_is_not_swept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, write: Write, read: Read
) -> None:
    """It runs in another container, or on another machine."""
    monkeypatch.setattr(atomic, "_alive", lambda _: False)
    kind = "a file" if write is write_file else "a folder"
    command = [sys.executable, "-c", OTHER_WRITER, str(tmp_path / "t"), kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        partial = other.stdout.readline().strip()
        write(tmp_path / "t", "second")
        assert names(tmp_path) == [partial, "t"]
        assert read(tmp_path / "t") == "second"
        other.stdin.write("\n")
    assert other.returncode == 0
    assert names(tmp_path) == ["t"]


@linux
@EITHER
def test_what_a_dead_writer_left_is_swept_although_its_number_is_in_use_again(
    tmp_path: Path, write: Write, read: Read
) -> None:
    """The first processes of containers have the same few numbers each time."""
    for what in ("partial", "replaced"):
        (tmp_path / f".t.{what}-{os.getpid()}-x").mkdir()
        (tmp_path / f".t.{what}-{os.getpid()}-y").write_text("x")
    write(tmp_path / "t", "new")
    assert names(tmp_path) == ["t"]


def without_locks(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    if way == "no such module":
        monkeypatch.setattr(atomic, "fcntl", None)
        return

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)


@EITHER
@pytest.mark.parametrize("way", ["no such module", "a file system without them"])
def test_where_nothing_can_be_locked_the_process_id_tells(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, write: Write, read: Read, way: str
) -> None:
    without_locks(monkeypatch, way)
    monkeypatch.setattr(atomic, "_alive", lambda pid: pid != 7)
    for name in (".t.partial-7-x", ".t.partial-8-x"):
        (tmp_path / name).write_text("x")
    write(tmp_path / "t", "new")
    assert read(tmp_path / "t") == "new"
    assert names(tmp_path) == [".t.partial-8-x", "t"]


def test_a_claim_that_is_swept_before_it_is_locked_is_made_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made: list[Path] = []

    def swept_at_first(folder: Path, prefix: str) -> Path:
        path = new_file(folder, prefix)
        made.append(path)
        if len(made) == 1:
            path.unlink()
        return path

    new_file = atomic._new_file
    monkeypatch.setattr(atomic, "_new_file", swept_at_first)
    write_file(tmp_path / "t", "x")
    assert len(made) == 2
    assert read_file(tmp_path / "t") == "x"


def test_only_leftovers_of_the_same_target_are_swept(tmp_path: Path) -> None:
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    pid = dead.stdout.strip()
    mine, others = f".t.partial-{pid}-x", [f".u.partial-{pid}-x", f"t.partial-{pid}-x", ".t.partial-x", ".t.partial"]
    for name in (mine, *others):
        (tmp_path / name).write_text("x")
    write_file(tmp_path / "t", "x")
    assert names(tmp_path) == sorted([*others, "t"])


# --- others look on ---


@contextmanager
def in_background(work: Callable[[], None]) -> Iterator[None]:
    """Repeat ``work`` until the block ends; what it raises fails the test."""
    stop, failures = threading.Event(), []

    def loop() -> None:
        try:
            while not stop.wait(0.0002):  # lets the writer in
                work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=loop) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []


@linux
def test_readers_always_find_a_whole_file_while_a_folder_is_swapped_200_times(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(atomic, "fsync", lambda _: None)  # what others see does not depend on the disk
    target, long = tmp_path / "t", 5_000
    write_folder(target, "0" * long)

    def look() -> None:
        for name in ("a", "b", "sub/c"):
            text = (target / name).read_text()
            assert len(text) == long
            assert len(set(text)) == 1

    with in_background(look):
        for turn in range(200):
            write_folder(target, str(turn % 10) * long)
    assert names(tmp_path) == ["t"]


@linux
def test_there_is_no_moment_without_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(atomic, "fsync", lambda _: None)
    target = tmp_path / "t"
    write_folder(target, "0")

    def look() -> None:
        assert target.is_dir()

    with in_background(look):
        for turn in range(200):
            write_folder(target, str(turn))


@EITHER
def test_many_writers_of_one_target_leave_one_whole_result(tmp_path: Path, write: Write, read: Read) -> None:
    for turn in range(10):
        target = tmp_path / f"t{turn}"
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda text, target=target: write(target, text), [letter * 1000 for letter in "abcdefgh"]))
        assert len(set(read(target))) == 1
    assert names(tmp_path) == sorted(f"t{turn}" for turn in range(10))


# --- refusing early ---


def test_what_stands_there_is_kept_unless_told_otherwise(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("x")
    with pytest.raises(UsageError, match="already exists"):
        check_target(tmp_path / "t", overwrite=False)
    check_target(tmp_path / "t", overwrite=True)


@pytest.mark.parametrize("overwrite", [False, True])
def test_nothing_of_another_kind_is_ever_replaced(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "link").symlink_to("nothing")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for target in (tmp_path / "link", tmp_path / "folder", tmp_path / "pipe", Path(os.devnull)):
        with pytest.raises(UsageError, match="not a plain file, so it is not replaced"):
            check_target(target, overwrite=overwrite)
    check_target(tmp_path / "folder", overwrite=True, replaceable=Path.is_dir, kind="a folder")


def test_the_parent_is_not_made_yet(tmp_path: Path) -> None:
    check_target(tmp_path / "a" / "b" / "t", overwrite=False)
    assert names(tmp_path) == []


def test_a_parent_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    with pytest.raises(InputError, match="cannot make the folder"):
        check_target(tmp_path / "a" / "t", overwrite=False)


def test_a_parent_that_is_read_only_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(InputError, match="not writable"):
        check_target(tmp_path / "t", overwrite=False)
