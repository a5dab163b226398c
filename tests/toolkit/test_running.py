"""A bundle over data of any size: in order, overlapped, in bounded memory, and gone on with after a kill."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aetool.data import open_source
from aetool.running.overlap import WriteBehind, read_ahead
from aetool.running.stream import Work, run_to_npy
from aetool_runtime.errors import InputError, UsageError
from aetool_runtime.growing import growing_file
from aetool_runtime.specs import Array

BUNDLE = Path(__file__).parents[1] / "vectors" / "bundles" / "encoder-decoder-in-both-formats.aepkg"
DATA = np.random.default_rng(0).normal(size=(1000, 6)).astype(np.float32)


# --- overlap ---


def test_items_come_in_their_order() -> None:
    assert list(read_ahead(range(100))) == list(range(100))


def test_no_more_is_read_ahead_than_allowed() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            yield item

    ahead = read_ahead(items(), depth=2)
    assert next(ahead) == 0
    time.sleep(0.3)
    assert len(taken) <= 5, "the one given out, two waiting, one in hand, and one being fetched"
    ahead.close()  # type: ignore[attr-defined]
    assert not any(thread.name == "aetool read ahead" for thread in threading.enumerate())


def test_what_the_reader_raises_is_raised_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise InputError("sample 1 is broken")

    ahead = read_ahead(items())
    assert next(ahead) == 1
    with pytest.raises(InputError, match="sample 1 is broken"):
        next(ahead)


def test_everything_is_written_in_order_before_the_block_ends() -> None:
    written: list[int] = []
    with WriteBehind(lambda item: (time.sleep(0.002), written.append(item))[0]) as behind:
        for item in range(50):
            behind.put(item)
    assert written == list(range(50))


def test_what_the_writer_raises_ends_the_run() -> None:
    written: list[int] = []

    def write(item: int) -> None:
        if item == 3:
            raise InputError("the disk is full")
        written.append(item)

    def write_all() -> None:
        with WriteBehind(write) as behind:
            for item in range(1000):
                behind.put(item)

    with pytest.raises(InputError, match="the disk is full"):
        write_all()
    assert written == [0, 1, 2]


# --- going on where a run was stopped ---


def work(output: Path, *, stop_after: int = 10**9, resume: bool = False, seen: list[int] | None = None) -> Work:
    """Doubles ``DATA`` in batches of 10, safe after every 100; fails after so many samples."""

    def run(given: Iterable[Array]) -> Iterator[Array]:
        for batch in given:
            if seen is not None:
                seen.append(len(batch))
            yield batch * 2

    def batches(start: int) -> Iterator[Array]:
        for at in range(start, len(DATA), 10):
            if at >= stop_after:
                raise KeyboardInterrupt
            yield DATA[at : at + 10]

    return Work(run, batches, output, {"data": "x", "size": 10}, lambda _: None, resume, shard=100)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_run_that_is_not_stopped(tmp_path: Path) -> None:
    assert run_to_npy(work(tmp_path / "out.npy")) == (1000, 6)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), DATA * 2)
    assert names(tmp_path) == ["out.npy"]


@pytest.mark.parametrize("stopped", [0, 50, 100, 430, 990])
def test_an_interrupted_run_is_gone_on_with(tmp_path: Path, stopped: int) -> None:
    output = tmp_path / "out.npy"
    with pytest.raises(KeyboardInterrupt):
        run_to_npy(work(output, stop_after=stopped))
    assert not output.exists()
    assert names(tmp_path) == ([] if stopped < 100 else [".out.npy.growing", ".out.npy.growing.json"])
    seen: list[int] = []
    assert run_to_npy(work(output, resume=True, seen=seen)) == (1000, 6)
    np.testing.assert_array_equal(np.load(output), DATA * 2)
    assert sum(seen) <= 1000 - stopped // 100 * 100 + 100, "finished parts are not done again"
    assert names(tmp_path) == ["out.npy"]


def test_without_resume_a_run_begins_anew(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_to_npy(work(tmp_path / "out.npy", stop_after=500))
    seen: list[int] = []
    run_to_npy(work(tmp_path / "out.npy", seen=seen))
    assert sum(seen) == 1000
    assert names(tmp_path) == ["out.npy"]


def test_nothing_to_go_on_with_is_a_beginning(tmp_path: Path) -> None:
    assert run_to_npy(work(tmp_path / "out.npy", resume=True)) == (1000, 6)


def test_a_run_over_other_data_is_not_gone_on_with(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_to_npy(work(tmp_path / "out.npy", stop_after=500))
    with (
        pytest.raises(UsageError, match="made of another data"),
        growing_file(tmp_path / "out.npy", {"data": "y", "size": 10}, resume=True),
    ):
        pass
    assert run_to_npy(work(tmp_path / "out.npy", resume=True)) == (1000, 6), "what was left is still there"


BROKEN_JOURNALS = {"empty": b"", "no JSON": b"{", "another kind": b"[]", "no state": b'{"made_of": {}}'}


@pytest.mark.parametrize("text", BROKEN_JOURNALS.values(), ids=BROKEN_JOURNALS)
def test_a_broken_journal_is_a_beginning(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_to_npy(work(tmp_path / "out.npy", stop_after=500))
    (tmp_path / ".out.npy.growing.json").write_bytes(text)
    assert run_to_npy(work(tmp_path / "out.npy", resume=True)) == (1000, 6)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), DATA * 2)


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def batches(start: int) -> Iterator[Array]:
        yield DATA[:500]
        raise InputError("sample 500 is broken")

    with pytest.raises(InputError):
        run_to_npy(Work(iter, batches, tmp_path / "a" / "out.npy", {}, lambda _: None, shard=100))
    assert names(tmp_path) == []


def test_two_writers_of_one_file(tmp_path: Path) -> None:
    with growing_file(tmp_path / "x", {}, resume=False) as first:
        first.file.write(b"first")
        with (
            pytest.raises(UsageError, match="another process is writing it"),
            growing_file(tmp_path / "x", {}, resume=False),
        ):
            pass
    assert (tmp_path / "x").read_bytes() == b"first"


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / ".x.growing").symlink_to(tmp_path / "precious")
    with pytest.raises(InputError), growing_file(tmp_path / "x", {}, resume=False):
        pass
    assert not (tmp_path / "precious").exists()


@pytest.mark.slow
def test_a_killed_encode_is_gone_on_with(tmp_path: Path) -> None:
    """A million windows; the kill comes when the first part is safe."""
    np.save(tmp_path / "data.npy", np.resize(DATA, (1_000_000, 6)))
    output = tmp_path / "latents.npy"

    def command(target: Path, *more: str) -> list[str]:
        parts = ["encode", BUNDLE, tmp_path / "data.npy", "-o", target, "--batch-size", 100, *more]
        return [sys.executable, "-m", "aetool", *map(str, parts)]

    process = subprocess.Popen(command(output), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    journal = tmp_path / ".latents.npy.growing.json"
    while not journal.exists() and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=60)
    assert not output.exists()
    safe = json.loads(journal.read_text())["state"]["samples"]
    assert safe >= 65536
    subprocess.run(command(output, "--resume"), check=True, capture_output=True, timeout=300)
    whole = tmp_path / "whole.npy"
    subprocess.run(command(whole), check=True, capture_output=True, timeout=300)
    np.testing.assert_array_equal(np.load(output), np.load(whole))


# --- sources can be entered in the middle ---


def _npy(folder: Path) -> str:
    np.save(folder / "x.npy", DATA[:50])
    return str(folder / "x.npy")


def _npz(folder: Path) -> str:
    np.savez_compressed(folder / "x.npz", a=DATA[:50])
    return str(folder / "x.npz")


def _csv(folder: Path) -> str:
    np.savetxt(folder / "x.csv", DATA[:50], delimiter=",", header="a,b,c,d,e,f", comments="")
    return str(folder / "x.csv")


def _parquet(folder: Path) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({name: DATA[:50, i] for i, name in enumerate("abcdef")})
    pq.write_table(table, folder / "x.parquet", row_group_size=7)
    return str(folder / "x.parquet")


def _images(folder: Path) -> str:
    from PIL import Image

    for i in range(20):
        Image.fromarray(np.full((4, 5), 10 * i, np.uint8)).save(folder / f"{i:02}.png")
    return str(folder)


KINDS: dict[str, Callable[[Path], str]] = {
    "npy": _npy, "compressed npz": _npz, "csv": _csv, "parquet": _parquet, "images": _images
}  # fmt: skip


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_a_source_without_its_first_rows(tmp_path: Path, make: Callable[[Path], str]) -> None:
    source: Any = open_source(make(tmp_path))
    whole = np.concatenate(list(source.batches(8)))
    for start in (0, 1, 7, 8, 13, len(whole) - 1):
        pieces = list(source.batches(8, start))
        np.testing.assert_array_equal(np.concatenate(pieces), whole[start:])
        assert {len(piece) for piece in pieces[:-1]} <= {8}, "only the last may be shorter"
    assert list(source.batches(8, len(whole))) == []
