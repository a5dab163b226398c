"""Killing a command at any moment leaves the old state or the new, never half of one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aetool.cli import run
from aetool_runtime import open_bundle

ENVIRONMENT = {**os.environ, "PYTHONUNBUFFERED": "1"}


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "aetool", *map(str, arguments)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        # A suite that runs in the background of a shell inherits a Ctrl-C that is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.mark.slow
def test_kill_export_at_random_moments(conv1d_checkpoint: Path, bundle: Path, tmp_path: Path) -> None:
    target = tmp_path / "model.aepkg"
    began = time.monotonic()
    first = start("export", conv1d_checkpoint, "-o", target)
    assert first.wait(timeout=300) == 0
    whole = time.monotonic() - began
    wanted = open_bundle(bundle).digest
    moments = random.Random(4)
    for _ in range(3):
        # Most of the time goes by before anything is written; the moments lean towards the end.
        process = start("export", conv1d_checkpoint, "-o", target, "--overwrite")
        time.sleep(whole * moments.triangular(0.2, 1.05, 1.0))
        process.kill()
        process.wait(timeout=60)
        assert open_bundle(target).digest == wanted, "the old bundle or the new one: both have these bytes"
    assert run(["export", str(conv1d_checkpoint), "-o", str(target), "--overwrite"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["model.aepkg"], "what killed runs left is swept away"


@pytest.mark.slow
def test_ctrl_c_in_export(conv1d_checkpoint: Path, tmp_path: Path) -> None:
    process = start("export", conv1d_checkpoint, "-o", tmp_path / "model.aepkg")
    assert process.stderr is not None
    assert "reading" in process.stderr.readline()
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    assert "Traceback" not in process.stderr.read()
    assert list(tmp_path.iterdir()) == []
