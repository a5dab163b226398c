"""`aetool benchmark` and `--backend auto`: the table, its winner and its warnings, on engines of scripted speed."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.cli.conftest import Aetool
from tests.runtime.scripted import Clock, Script, use_engines
from tests.runtime.test_reduced_precision import integer_bundle
from tests.runtime.tiny import samples, tiny_files, write_bundle

from aetool.edge import EdgeProfile
from aetool_runtime.choosing import candidates
from aetool_runtime.choosing.choice import choose
from aetool_runtime.choosing.measuring import measure
from aetool_runtime.errors import BackendError

pytestmark = pytest.mark.usefixtures("scripted", "forget_plugins")

FAST_INT8 = {("cpu", t, p): s for t in (1, 2) for p, s in (("float32", 4e-3 * t), ("int8", 1e-3 * t))}
SLOW_INT8 = {("cpu", t, p): s for t in (1, 2) for p, s in (("float32", 4e-3 * t), ("int8", 6e-3 * t))}
Engines = Callable[..., list[str]]
MIB = 1 << 20


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Engines:
    """A clock that only engines move, two cores, a cache of this test's own, and no processes to measure memory."""
    clock = Clock()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(candidates, "cores", lambda: 2)
    monkeypatch.setitem(measure.__kwdefaults__, "clock", clock)
    monkeypatch.setitem(choose.__kwdefaults__, "clock", clock)
    monkeypatch.setattr("aetool_runtime.choosing.memory.peak_memory", lambda *_: 50 * 2**20)
    return lambda **scripts: use_engines(monkeypatch, clock, **scripts)


@pytest.fixture
def forget_plugins() -> Any:
    from aetool_runtime.backends import _plugins

    _plugins.cache_clear()
    yield
    _plugins.cache_clear()


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "mixed.aepkg", integer_bundle(beside_float=True))


def test_the_table_has_a_row_for_each_candidate_and_marks_the_winner(
    aetool: Aetool, scripted: Engines, mixed: Path
) -> None:
    scripted(a=Script(call=FAST_INT8))
    outcome = aetool("benchmark", mixed, "--batch-size", "1")
    assert outcome.code == 0
    lines = [line for line in outcome.out.splitlines() if " a/cpu " in line]
    assert len(lines) == 4
    [winner] = [line for line in lines if line.startswith("*")]
    assert winner.split()[1:8] == ["onnx", "float32", "a/cpu", "1", "1", "4,000.0", "4,000.0"]
    assert "auto: onnx float32 on a/cpu, 1 thread: 4,000.0 µs a call of 1, the fastest of 2" in outcome.out
    for word in ("take turns", "once unmeasured", "golden vectors", "peak memory"):
        assert word in outcome.out
    assert outcome.out.splitlines()[-1].startswith("next: aetool encode")


@pytest.mark.parametrize(
    ("options", "winner"),
    [
        ([], "float32"),
        (["--precision", "any"], "int8"),
        (["--min-snr", "30"], "int8"),
        (["--min-snr", "31"], "float32"),
    ],
)
def test_what_may_win_is_said(aetool: Aetool, scripted: Engines, mixed: Path, options: list[str], winner: str) -> None:
    scripted(a=Script(call=FAST_INT8))
    document = aetool("benchmark", mixed, "--batch-size", "1", "--json", *options).document
    assert [row["precision"] for row in document["rows"] if row["winner"]] == [winner]


def test_json_tells_everything(aetool: Aetool, scripted: Engines, mixed: Path) -> None:
    scripted(a=Script(call=FAST_INT8))
    document = aetool("benchmark", mixed, "--batch-size", "2", "--batch-size", "8", "--json").document
    assert [row["batch_size"] for row in document["rows"]] == [2] * 4 + [8] * 4
    row = document["rows"][0]
    assert (row["format"], row["precision"], row["backend"], row["device"], row["threads"]) == (
        *("onnx", "float32", "a", "cpu", 1),
    )
    assert [row[f"{name}_seconds"] for name in ("p50", "p95", "p99")] == pytest.approx([4e-3] * 3)
    assert row["samples_per_second"] == pytest.approx(500)
    assert row["peak_memory_bytes"] == 50 * 2**20
    assert row["load_seconds"] == pytest.approx(0.002)
    assert row["bytes"] == sum((mixed / f"{role}.onnx").stat().st_size for role in ("encoder", "decoder"))
    assert (row["psnr_db"], row["snr_db"]) == (None, 200)  # equal to the last bit: JSON has no infinity
    assert 20 < document["rows"][1]["psnr_db"] < 100
    assert row["parity"] <= 1
    assert document["rows"][1]["told_snr_db"] == 30
    assert "turns" in document["method"]
    assert document["machine"]["cores"] == 2
    assert document["versions"]["numpy"] == np.__version__


def test_int8_that_is_slower_here_is_warned_of(aetool: Aetool, scripted: Engines, mixed: Path) -> None:
    scripted(slow=Script(call=SLOW_INT8), fast=Script(call=FAST_INT8))
    outcome = aetool("benchmark", mixed, "--batch-size", "1", "--json")
    expected = "int8 is 1.50 times slower than float32 here, on slow/cpu at batch 1"
    assert outcome.document["warnings"] == [expected]
    assert f"warning: {expected}" in outcome.err


def test_csv_and_picture_are_written(aetool: Aetool, scripted: Engines, mixed: Path, tmp_path: Path) -> None:
    scripted(a=Script(call=FAST_INT8))
    table, picture = tmp_path / "table.csv", tmp_path / "speed.png"
    command = ("benchmark", mixed, "--batch-size", "1", "--csv", table, "--plot", picture)
    assert aetool(*command).code == 0
    rows = list(csv.DictReader(table.open(encoding="utf-8")))
    assert [(row["precision"], row["threads"]) for row in rows] == [
        *(("float32", "1"), ("int8", "1"), ("float32", "2"), ("int8", "2")),
    ]
    assert [row["winner"] for row in rows] == ["True", "False", "False", "False"]
    assert float(rows[0]["p50_seconds"]) == pytest.approx(4e-3)
    assert picture.read_bytes().startswith(b"\x89PNG")
    refused = aetool(*command)
    assert refused.code == 2
    assert "already exists" in refused.err
    assert aetool(*command, "--overwrite").code == 0


REFUSED = {
    "a device that is not there": (["--device", "cuda"], 8, "no backend has a device 'cuda'"),
    "a precision that is not in it": (["--precision", "float16"], 2, "no complete set of float16"),
    "a picture of another kind": (["--plot", "speed.svg"], 2, "ends in .png"),
    "no budget": (["--budget", "0"], 2, "--budget"),
}


@pytest.mark.parametrize(("options", "code", "text"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_refused(
    aetool: Aetool, scripted: Engines, mixed: Path, options: list[str], code: int, text: str
) -> None:
    scripted(a=Script(call=FAST_INT8))
    outcome = aetool("benchmark", mixed, *options)
    assert (outcome.code, outcome.out) == (code, "")
    assert text in outcome.err


def test_an_engine_that_fails_stands_in_the_table_with_its_reason(
    aetool: Aetool, scripted: Engines, mixed: Path
) -> None:
    scripted(a=Script(call=FAST_INT8), b=Script(broken="on fire"), c=Script(call=FAST_INT8, off=5.0))
    outcome = aetool("benchmark", mixed, "--batch-size", "1", "--threads", "1")
    assert outcome.code == 0
    assert "on fire" in next(line for line in outcome.out.splitlines() if " b/cpu " in line)
    assert "fails its self-test here" in next(line for line in outcome.out.splitlines() if " c/cpu " in line)


# --- on a small device ---


PROFILE = EdgeProfile("?", 105_300_000, 9_000, 0.1, 0.01, 0.02, 4e-6, 0.35, 60 * MIB, 67 * MIB)


@pytest.fixture
def profiles(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Engines and the MiB that each needs; nothing is run."""
    needs: dict[str, int] = {}

    def profile(bundle: Path, options: dict[str, Any], *, memory_cap: int = 0, repeats: int) -> EdgeProfile:
        name = options["backend"]
        if memory_cap and memory_cap < needs[name] * MIB:
            raise BackendError(f"it does not run within {memory_cap // MIB} MiB (killed by SIGABRT)")
        return replace(PROFILE, ran_on=f"{name}/cpu float32", peak_bytes=needs[name] * MIB)

    monkeypatch.setattr("aetool.edge.profile", profile)
    return needs


def test_edge_has_a_row_for_each_engine(
    aetool: Aetool, scripted: Engines, mixed: Path, profiles: dict[str, int]
) -> None:
    scripted(a=Script(), b=Script())
    profiles |= {"a": 67, "b": 55}
    outcome = aetool("benchmark", mixed, "--edge")
    assert outcome.code == 0
    [a, b] = [line.split() for line in outcome.out.splitlines() if "/cpu float32" in line]
    assert a == ["a/cpu", "float32", "105.3", "9", "100", "0.35", "20.0", "4.0", "60", "67"]
    assert b[-1] == "55"
    for word in ("fresh processes", "Cold is from the start", "OPENBLAS_NUM_THREADS=1"):
        assert word in outcome.out
    assert "RLIMIT_DATA" not in outcome.out
    assert outcome.out.splitlines()[-1].startswith("next: aetool verify")


def test_an_engine_that_needs_more_than_the_cap_stands_there_with_its_reason(
    aetool: Aetool, scripted: Engines, mixed: Path, profiles: dict[str, int]
) -> None:
    scripted(a=Script(), b=Script())
    profiles |= {"a": 67, "b": 55}
    outcome = aetool("benchmark", mixed, "--edge", "--memory-cap", "64", "--json")
    assert outcome.code == 0
    a, b = outcome.document["rows"]
    assert (a["engine"], a["cold_s"]) == ("a", None)
    problem = "it does not run within 64 MiB (killed by SIGABRT); without a cap it holds up to 67 MiB"
    assert a["problem"] == problem
    assert f"a: {problem}" in outcome.err
    assert (b["ran_on"], b["cold_s"], b["peak_bytes"], b["problem"]) == ("b/cpu float32", 0.35, 55 * MIB, "")
    assert outcome.document["memory_cap_bytes"] == 64 * MIB
    assert "RLIMIT_DATA" in outcome.document["limit"]


def test_when_no_engine_runs_within_the_cap_that_is_the_exit_code(
    aetool: Aetool, scripted: Engines, mixed: Path, profiles: dict[str, int]
) -> None:
    scripted(a=Script())
    profiles |= {"a": 67}
    outcome = aetool("benchmark", mixed, "--edge", "--memory-cap", "64")
    assert outcome.code == 8
    assert "no engine here runs the bundle within 64 MiB" in outcome.err
    assert "does not run" in outcome.out
    assert "Traceback" not in outcome.err


EDGE_REFUSED = {
    "a cap of nothing": (["--memory-cap", "64"], "expected --edge"),
    "no memory at all": (["--edge", "--memory-cap", "0"], "--memory-cap"),
    "a picture": (["--edge", "--plot", "speed.png"], "--edge writes no .png"),
    "a table in a file": (["--edge", "--csv", "speed.csv"], "--edge writes no .csv"),
}


@pytest.mark.parametrize(("options", "text"), EDGE_REFUSED.values(), ids=EDGE_REFUSED)
def test_what_goes_not_with_edge(aetool: Aetool, scripted: Engines, mixed: Path, options: list[str], text: str) -> None:
    scripted(a=Script())
    outcome = aetool("benchmark", mixed, *options)
    assert (outcome.code, outcome.out) == (2, "")
    assert text in outcome.err


# --- the answer is used ---


def encode(aetool: Aetool, bundle: Path, tmp_path: Path, *options: object) -> Any:
    np.save(tmp_path / "rows.npy", samples(10))
    output = tmp_path / "latents.npy"
    return aetool("encode", bundle, tmp_path / "rows.npy", "-o", output, "--overwrite", "--json", *options)


def test_encode_takes_the_answer_of_benchmark(aetool: Aetool, scripted: Engines, mixed: Path, tmp_path: Path) -> None:
    scripted(a=Script(call=SLOW_INT8), b=Script(call=FAST_INT8))
    assert aetool("benchmark", mixed, "--batch-size", "64", "--precision", "any").code == 0
    outcome = encode(aetool, mixed, tmp_path, "--backend", "auto", "--precision", "any", "--batch-size", "64")
    assert outcome.document["ran_on"] == "b/cpu"
    line = "auto: onnx int8 on b/cpu, 1 thread: 1,000.0 µs a call of 64, the fastest of 8, as measured earlier"
    assert outcome.err.splitlines()[0] == line


def test_encode_measures_by_itself(aetool: Aetool, scripted: Engines, mixed: Path, tmp_path: Path) -> None:
    scripted(a=Script(call=SLOW_INT8), b=Script(call=FAST_INT8))
    outcome = encode(aetool, mixed, tmp_path, "--backend", "auto")
    assert outcome.document["ran_on"] in ("a/cpu", "b/cpu")
    assert "as measured now" in outcome.err
    assert "as measured earlier" in encode(aetool, mixed, tmp_path, "--backend", "auto").err


def test_without_auto_nothing_is_said(aetool: Aetool, scripted: Engines, mixed: Path, tmp_path: Path) -> None:
    scripted(a=Script(call=FAST_INT8))
    outcome = encode(aetool, mixed, tmp_path)
    assert outcome.document["ran_on"] == "a/cpu"
    assert "auto" not in outcome.err


def test_a_device_that_is_not_there_is_not_replaced(
    aetool: Aetool, scripted: Engines, mixed: Path, tmp_path: Path
) -> None:
    scripted(a=Script(call=FAST_INT8))
    outcome = encode(aetool, mixed, tmp_path, "--backend", "auto", "--device", "cuda")
    assert outcome.code == 8
    assert not (tmp_path / "latents.npy").exists()


@pytest.mark.usefixtures("forget_plugins")
def test_real_engines_are_measured(
    aetool: Aetool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    bundle = write_bundle(tmp_path / "tiny.aepkg", tiny_files())
    outcome = aetool("benchmark", bundle, "--batch-size", "1", "--threads", "1", "--budget", "20", "--json")
    rows = json.loads(outcome.out)["rows"]
    assert {row["backend"] for row in rows} >= {"onnxruntime", "litert"}
    assert sum(row["winner"] for row in rows) == 1
    for row in rows:
        assert row["problem"] == ""
        assert 0 < row["p50_seconds"] <= row["p95_seconds"] <= row["p99_seconds"]
        assert row["parity"] <= 1
        assert row["peak_memory_bytes"] > 10 * 2**20
