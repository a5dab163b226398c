"""Whatever a command raises ends in an exit code and a message: nothing foreign leaves, and JSON stays one document."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from tests.vectors.make import FOLDER

from aetool.cli import COMMANDS, run
from aetool_runtime import errors
from aetool_runtime.errors import AetoolError

BUNDLE = str(FOLDER / "bundles" / "encoder.aepkg")
Boom = Callable[[BaseException], None]


@pytest.fixture
def boom(monkeypatch: pytest.MonkeyPatch) -> Boom:
    """Adds the command `boom`, which raises what it is given."""

    def add(error: BaseException) -> None:
        @click.command()
        @click.option("--json", "as_json", is_flag=True)
        def command(as_json: bool) -> None:
            raise error

        module = types.ModuleType("boom")
        module.command = command  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "boom", module)
        monkeypatch.setitem(COMMANDS, "boom", ("boom", "Raises."))

    return add


OURS = [getattr(errors, name)("met", where="here", expected="that", hint="this") for name in errors.__all__]


@pytest.mark.parametrize("error", OURS, ids=lambda error: type(error).__name__)
def test_each_of_our_errors_ends_in_its_exit_code(
    boom: Boom, capsys: pytest.CaptureFixture[str], error: AetoolError
) -> None:
    boom(error)
    assert run(["boom"]) == error.exit_code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"error: {error}\n"


FOREIGN = [
    ValueError("no\nreally"),
    KeyError("x"),
    RuntimeError(),
    RecursionError("deep"),
    MemoryError(),
    AssertionError(),
]


@pytest.mark.parametrize("error", FOREIGN, ids=lambda error: type(error).__name__)
def test_a_foreign_exception_is_an_internal_error_without_a_traceback(
    boom: Boom, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    boom(error)
    assert run(["boom"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"internal error, a mistake of ours: {type(error).__name__}" in captured.err
    assert "AETOOL_TRACEBACK=1" in captured.err
    assert "Traceback" not in captured.err


def test_whoever_wants_the_traceback_gets_it(boom: Boom, monkeypatch: pytest.MonkeyPatch) -> None:
    boom(ValueError("no"))
    monkeypatch.setenv("AETOOL_TRACEBACK", "1")
    with pytest.raises(ValueError, match="no"):
        run(["boom"])


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()], ids=lambda error: type(error).__name__)
def test_an_interruption_is_130(boom: Boom, capsys: pytest.CaptureFixture[str], error: BaseException) -> None:
    boom(error)
    assert run(["boom"]) == 130
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "error", [*OURS, *FOREIGN, KeyboardInterrupt(), click.UsageError("no")], ids=lambda error: type(error).__name__
)
def test_json_is_one_document_whatever_happens(
    boom: Boom, capsys: pytest.CaptureFixture[str], error: BaseException
) -> None:
    boom(error)
    code = run(["boom", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["error"]["exit_code"] == code
    assert document["error"]["type"] in errors.__all__


USAGE = {
    "a misspelt command": (["encod"], "Did you mean 'encode'?"),
    "an unknown command": (["zzz"], "Known are demo, init, train"),
    "an unknown option": (["inspect", BUNDLE, "--jsno"], "--json"),
    "a missing argument": (["inspect"], "BUNDLE"),
    "a missing option": (["pack", BUNDLE], "--output"),
    "a number that is none": (["encode", BUNDLE, "x", "-o", "y", "--threads", "many"], "many"),
}


@pytest.mark.parametrize(("arguments", "text"), USAGE.values(), ids=USAGE)
def test_a_wrong_call_is_2_and_says_what_is_right(
    capsys: pytest.CaptureFixture[str], arguments: list[str], text: str
) -> None:
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert text in captured.err
    assert "--help" in captured.err or "Did you mean" in captured.err
    assert captured.out == ""


VERDICTS = {"truncated": 7, "digest": 7, "unsafe": 7, "manifest": 3, "version": 3}


@pytest.mark.parametrize("verb", ["inspect", "verify", "encode", "decode", "pack"])
@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("half", "truncated"),
        ("graph-flipped", "digest"),
        ("name-parent", "unsafe"),
        ("manifest-and-digest-changed", "manifest"),
        ("manifest-of-version-2", "version"),
    ],
)
def test_every_command_refuses_a_bad_bundle_by_name_and_writes_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, verb: str, name: str, verdict: str
) -> None:
    (tmp_path / "rows.csv").write_text("1,2,3,4,5,6\n")
    output = ["-o", str(tmp_path / "out")]
    more = {"encode": [str(tmp_path / "rows.csv"), *output], "decode": [str(tmp_path / "rows.csv"), *output]}
    more["pack"] = output
    code = run([verb, str(FOLDER / "bundles" / f"{name}.aepkg"), *more.get(verb, []), "--json"])
    document = json.loads(capsys.readouterr().out)
    assert code == VERDICTS[verdict]
    assert document["error"]["type"].lower() == f"{verdict}error"
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


def test_a_reader_that_goes_away_is_told_nothing() -> None:
    """`aetool … | head -1` ends without a traceback."""
    command = [sys.executable, "-m", "aetool", "inspect", BUNDLE, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        assert child.stderr.read() == ""


@pytest.mark.parametrize("variables", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_what_is_not_a_terminal_gets_no_escape_sequences(variables: dict[str, str]) -> None:
    for arguments in (["inspect", BUNDLE], ["inspect", "missing"], ["--help"]):
        done = subprocess.run(
            [sys.executable, "-m", "aetool", *arguments], capture_output=True, env={**os.environ, **variables}
        )
        assert b"\x1b" not in done.stdout + done.stderr
