"""``aetool tune``: arguments, what it prints, and what it writes."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aetool.cli import tune

from .conftest import Aetool

CONFIG = """
[model]
family = "dense"
latent = 2
hidden = [6]

[training]
epochs = 2

[tune]
"model.hidden" = {choices = [[4], [6]]}
"training.learning_rate" = {low = 1e-3, high = 0.1, log = true}
"""


@pytest.fixture
def given(tmp_path: Path) -> list[str]:
    """CONFIG and DATA."""
    (tmp_path / "run.toml").write_text(CONFIG)
    np.save(tmp_path / "data.npy", np.random.default_rng(0).random((90, 8), np.float32))
    return [str(tmp_path / "run.toml"), str(tmp_path / "data.npy")]


def test_a_study_ends_with_the_front_and_what_to_do_next(aetool: Aetool, given: list[str], tmp_path: Path) -> None:
    study = tmp_path / "study"
    outcome = aetool("tune", *given, "-o", study, "--trials", 3, "--objective", "parameters")
    assert outcome.code == 0, outcome.err
    assert "trial 3/3: error" in outcome.err
    assert "3 trials (3 complete, 0 pruned, 0 failed)" in outcome.out
    table = [line.split() for line in outcome.out.splitlines() if line.startswith(("configuration", "best-"))]
    assert table[0] == ["configuration", "trial", "error", "parameters", "model.hidden", "training.learning_rate"]
    assert [row[0] for row in table[1:]] == sorted(path.name for path in study.glob("*.toml"))
    best = study / "best-01.toml"
    assert outcome.out.splitlines()[-1] == f"next: aetool train {best} {given[1]} -o model"
    assert aetool("train", best, given[1], "-o", tmp_path / "model").code == 0

    outcome = aetool("tune", "--resume", given[1], "-o", study, "--trials", 4, "--json")
    assert [record["number"] for record in outcome.document["trials"]] == [1, 2, 3, 4]
    assert outcome.document["front"][0]["config"] == str(study / "best-01.toml")


def test_dry_run_shows_the_space_and_writes_nothing(aetool: Aetool, given: list[str], tmp_path: Path) -> None:
    outcome = aetool("tune", *given, "-o", tmp_path / "study", "--dry-run")
    assert '"model.hidden" = {choices = [[4], [6]]}' in outcome.out
    document = aetool("tune", given[1], "--preset", "dense", "-o", tmp_path / "study", "--dry-run", "--json").document
    assert document["objectives"] == ["error"]
    assert "model.activation" in document["space"]
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{data}", "-o", "{out}"], "no configuration was given"),
        (["{config}", "{data}", "-o", "{out}", "--preset", "dense"], "a CONFIG and a --preset were given"),
        (["{config}", "{data}", "-o", "{out}", "--trials", "0"], "0 trials were asked for"),
        (["{config}", "{data}", "-o", "{out}", "--objective", "beauty"], "beauty"),
        (["{config}", "{data}", "-o", "{out}", "--epochs", "0"], "epochs must be > 0"),
        (["{config}", "{data}", "-o", "{out}", "--resume", "--overwrite"], "exclude each other"),
        (["--resume", "{data}", "-o", "{out}"], "there is no study to resume"),
    ],
)
def test_wrong_calls(aetool: Aetool, given: list[str], tmp_path: Path, arguments: list[str], message: str) -> None:
    places = {"config": given[0], "data": given[1], "out": str(tmp_path / "study")}
    outcome = aetool("tune", *(argument.format(**places) for argument in arguments))
    assert outcome.code == 2
    assert message in outcome.err
    assert not (tmp_path / "study").exists()


def test_ctrl_c_is_130_and_says_how_to_go_on(
    aetool: Aetool, given: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tune._told

    def interrupting(event: Any) -> None:
        told(event)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(tune, "_told", interrupting)
    outcome = aetool("tune", *given, "-o", tmp_path / "study", "--time", 30)
    assert outcome.code == 130
    assert "trial 1: error" in outcome.err
    assert "error: trial 2: tuning was interrupted" in outcome.err
    assert f"aetool tune --resume {given[1]} -o {tmp_path / 'study'} --time 30" in outcome.err
    assert "Traceback" not in outcome.err
