"""The C++ runtime comes to the same verdicts, values and bytes as every other one."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cpp.conftest import CPP, ROOT

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("program", ["test_bundles", "test_streams"])
def test_every_vector(build: Callable[..., Path], program: str) -> None:
    built = build(CPP / "tests" / f"{program}.cpp")
    done = subprocess.run([built, ROOT / "tests" / "vectors"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
