"""kill -9 at any moment: what is left can be resumed, and ends as a run that was never killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aetool.config import config_text
from aetool.training import is_checkpoint, load_checkpoint, train

from .runs import CONV, assert_same_run, recording, with_training

CONFIG = with_training(CONV, save_seconds=0.0, epochs=2)

SCRIPT = """
import sys
from pathlib import Path
from aetool.config import load_config
from aetool.training import StepsDone, is_checkpoint, train

config, data, output = map(Path, sys.argv[1:])

def report(event):
    if isinstance(event, StepsDone):
        print(event.step, flush=True)
        sys.stdin.readline()

resume = (output / "training").is_dir()
train(load_config(config), data, output, resume=resume, report=report)
"""


def start(folder: Path, data: Path, output: Path) -> subprocess.Popen[str]:
    (folder / "config.toml").write_text(config_text(CONFIG))
    arguments = [sys.executable, "-c", SCRIPT, str(folder / "config.toml"), str(data), str(output)]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )


def let_go_on_until(process: subprocess.Popen[str], step: int) -> None:
    """Each block waits for a line; after ``step`` the process goes on freely."""
    assert process.stdin is not None
    assert process.stdout is not None
    for line in process.stdout:
        process.stdin.write("\n")
        process.stdin.flush()
        if int(line) >= step:
            return


@pytest.mark.slow
def test_a_killed_run_is_resumed_bit_for_bit(tmp_path):
    """Killed inside the first epoch; resumed in a new process, inside the second; again, about when the checkpoint is
    written. The state is saved after each block."""
    data, output = recording(tmp_path), tmp_path / "killed"
    for step, pause in ((7, 0.0), (60, 0.02), (100, random.uniform(0, 0.3))):
        process = start(tmp_path, data, output)
        let_go_on_until(process, step)
        time.sleep(pause)  # into whatever it does then: training, or writing the state
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        process.communicate()
        assert (output / "training" / "state.npz").is_file() or (step == 100 and is_checkpoint(output))
    resumed = train(CONFIG, data, output, resume=True)
    assert_same_run(resumed, train(CONFIG, data, tmp_path / "whole"))
    assert_same_run(load_checkpoint(output), resumed)
    assert [path.name for path in tmp_path.iterdir() if ".partial-" in path.name] == []
