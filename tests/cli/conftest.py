"""What the tests of the command line share: running it in this process, and one exported bundle."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aetool.cli import run


@dataclass(frozen=True)
class Outcome:
    """What a command left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout; anything before or after it fails."""
        return json.loads(self.out)


Aetool = Callable[..., Outcome]


@pytest.fixture
def aetool(capsys: pytest.CaptureFixture[str]) -> Aetool:
    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def bundle(conv1d_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "ecg.aepkg"
    assert run(["export", str(conv1d_checkpoint), "-o", str(path)]) == 0
    return path
