"""Readers that go away, full disks, poor encodings, arguments that mislead: work goes on, or one line says why not."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from tests.runtime.tiny import samples, tiny_files, write_bundle
from tests.vectors.bundles import with_manifest
from tests.vectors.make import FOLDER

from aetool.cli import run
from aetool_exporters.foreign import keras_file
from aetool_runtime.bundle import digest_line
from aetool_runtime.errors import ModelError

BUNDLE = FOLDER / "bundles" / "encoder-decoder-in-both-formats.aepkg"
full_disk = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")

# A command that talks on both streams, works, and talks again.
TALKATIVE = """
import sys, types
from pathlib import Path
import click
from aetool import cli
from aetool.cli.output import log

@click.command()
@click.argument("done", type=click.Path(path_type=Path))
def command(done):
    for turn in range(2000):
        log(f"turn {turn}")
        click.echo(f"turn {turn}")
        print("native", file=sys.stderr)
    done.write_text("done")

module = types.ModuleType("talk")
module.command = command
sys.modules["talk"] = module
cli.COMMANDS["talk"] = ("talk", "Talks.")
cli.main()
"""


def aetool(*arguments: object, **settings: Any) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "aetool", *map(str, arguments)]
    return subprocess.run(command, **{"capture_output": True, **settings})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    np.save(tmp_path / "x.npy", samples(4))
    return tmp_path / "x.npy"


# --- streams that cannot be written ---


@pytest.mark.parametrize("streams", ["stdout", "stderr", "both"])
@pytest.mark.parametrize("traceback", ["", "1"])
def test_work_goes_on_when_nobody_reads_any_more(tmp_path: Path, streams: str, traceback: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    out = writer if streams in ("stdout", "both") else subprocess.PIPE
    err = writer if streams in ("stderr", "both") else subprocess.PIPE
    command = [sys.executable, "-c", TALKATIVE, "talk", str(tmp_path / "done")]
    environment = {**os.environ, "AETOOL_TRACEBACK": traceback}
    done = subprocess.run(command, stdout=out, stderr=err, env=environment)
    os.close(writer)
    assert done.returncode == 0
    assert (tmp_path / "done").read_text() == "done"
    assert b"Traceback" not in (done.stderr or b"")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_closed_streams_do_not_matter(tmp_path: Path, unbuffered: str) -> None:
    command = f"exec {sys.executable} -m aetool pack {BUNDLE} -o {tmp_path / 'p.aepkg'} >&- 2>&-"
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    assert subprocess.run(["sh", "-c", command], env=environment).returncode == 0
    assert (tmp_path / "p.aepkg").read_bytes() == BUNDLE.read_bytes()


@full_disk
@pytest.mark.parametrize("as_json", [[], ["--json"]], ids=["text", "json"])
def test_a_full_disk_behind_stdout_is_one_line(as_json: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = aetool("inspect", BUNDLE, *as_json, stdout=full, stderr=subprocess.PIPE, capture_output=False)
    assert done.returncode == 3
    assert done.stderr == b"error: standard output: cannot be written (No space left on device)\n"


@full_disk
def test_a_failure_keeps_its_own_code_when_stdout_is_full() -> None:
    with Path("/dev/full").open("wb") as full:
        done = aetool("inspect", "missing", "--json", stdout=full, stderr=subprocess.PIPE, capture_output=False)
    assert done.returncode == 3
    assert b"no such bundle" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("encoding", ["latin1", "ascii", "utf-8"])
def test_letters_that_the_terminal_lacks_do_not_turn_success_into_failure(
    tmp_path: Path, data: Path, encoding: str
) -> None:
    output = tmp_path / "ü→.npy"
    done = aetool("encode", BUNDLE, data, "-o", output, env={**os.environ, "PYTHONIOENCODING": encoding})
    assert (done.returncode, done.stderr) == (0, b"")
    assert np.load(output).shape == (4, 2)
    assert b"4 samples" in done.stdout


INTERRUPTED = """
import sys

module = sys.argv[1]

class Interrupting:
    def find_spec(self, name, *_):
        if name == module:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
from aetool.cli import main
sys.argv = ["aetool", "inspect", "missing"]
main()
"""


@pytest.mark.parametrize("module", ["click", "numpy", "aetool_runtime.errors", "aetool.cli.inspect"])
def test_ctrl_c_while_modules_are_loaded_prints_no_traceback(module: str) -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED, module], capture_output=True)
    assert done.returncode == 130
    assert b"Traceback" not in done.stderr


# --- arguments ---


def test_a_name_in_another_encoding_is_no_mistake_of_ours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        "\udcff".encode()

    monkeypatch.setattr("aetool.cli.cli.main", refuse)
    assert run(["export", "--json"]) == 2
    captured = capsys.readouterr()
    assert json.loads(captured.out)["error"]["type"] == "UsageError"
    assert "is no text in UTF-8" in captured.err


def test_files_in_another_encoding_are_files(tmp_path: Path, data: Path) -> None:
    output = os.fsencode(tmp_path) + b"/\xff.npy"
    command = [sys.executable, "-m", "aetool", "encode", BUNDLE, data, "-o", output]
    assert subprocess.run(command, capture_output=True).returncode == 0
    assert Path(os.fsdecode(output)).exists()


JSON_OR_NOT = {
    "the flag": (["inspect", "missing", "--json"], True),
    "the flag before a mistake": (["inspect", "--json", "--wrong"], True),
    "another option's value": (["pack", "missing", "-o", "--json"], False),
    "behind the end of options": (["inspect", "--", "--json"], False),
    "the value, then the flag": (["pack", "missing", "--output", "--json", "--json"], True),
    "of no command": (["--json"], True),
}


@pytest.mark.parametrize(("arguments", "expected"), JSON_OR_NOT.values(), ids=JSON_OR_NOT)
def test_errors_are_json_where_the_flag_stands(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    arguments: list[str],
    expected: bool,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(arguments) in (2, 3)
    out = capsys.readouterr().out
    assert bool(out) is expected
    assert not expected or "error" in json.loads(out)


# --- what is read, and what is left ---


def test_the_data_are_not_replaced_by_their_latents(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = data.read_bytes()
    for output in (data, data.parent / "." / data.name):
        assert run(["encode", str(BUNDLE), str(data), "-o", str(output), "--overwrite"]) == 2
    assert "is read, so it is not written to" in capsys.readouterr().err
    assert data.read_bytes() == before


def test_the_bundle_is_not_replaced_by_its_latents(tmp_path: Path, data: Path) -> None:
    bundle = tmp_path / "b.aepkg"
    bundle.write_bytes(BUNDLE.read_bytes())
    assert run(["encode", str(bundle), str(data), "-o", str(bundle), "--overwrite"]) == 2
    assert bundle.read_bytes() == BUNDLE.read_bytes()


def test_an_older_output_is_replaced(tmp_path: Path, data: Path) -> None:
    for more in ([], ["--overwrite"]):
        assert run(["encode", str(BUNDLE), str(data), "-o", str(tmp_path / "z.npy"), *more]) == 0


@pytest.mark.parametrize("verb", ["encode", "pack"])
def test_a_failed_command_leaves_no_folders(tmp_path: Path, data: Path, verb: str) -> None:
    np.save(data, np.array([[np.nan] * 6], "f4"))
    arguments = {"encode": [BUNDLE, data], "pack": [tmp_path / "missing"]}[verb]
    assert run([verb, *map(str, arguments), "-o", str(tmp_path / "a" / "b" / "out")]) == 3
    assert [path.name for path in tmp_path.iterdir()] == [data.name]


def test_an_output_in_a_new_folder(tmp_path: Path, data: Path) -> None:
    assert run(["encode", str(BUNDLE), str(data), "-o", str(tmp_path / "a" / "b" / "z.npy")]) == 0
    assert np.load(tmp_path / "a" / "b" / "z.npy").shape == (4, 2)


def test_an_infinite_number_in_a_manifest_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = with_manifest(tiny_files(), lambda document: document.update(x="infinite"))
    text = files["manifest.json"].replace(b'"infinite"', b"1e999")
    path = write_bundle(tmp_path / "b", {**files, "manifest.json": text, "manifest.sha256": digest_line(text)})
    assert run(["inspect", str(path), "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["error"]["type"] == "ManifestError"


def test_a_keras_file_nested_deeper_than_python_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep.keras"
    weights = io.BytesIO()
    h5py.File(weights, "w").close()
    with zipfile.ZipFile(path, "w") as archive:
        nested = "[" * 600 + "]" * 600  # JSON takes it
        archive.writestr(
            "config.json", f'{{"class_name": "Sequential", "config": {{"name": "deep", "layers": {nested}}}}}'
        )
        archive.writestr("model.weights.h5", weights.getvalue())
    monkeypatch.setattr(keras_file, "_build", lambda *_: pytest.fail("was given to Keras"))
    with pytest.raises(ModelError, match="nested too deeply"):
        keras_file.load_keras(path)
