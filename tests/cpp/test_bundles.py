"""The C++ runtime comes to the same verdicts on bundles and manifests as every other reader."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cpp.conftest import CPP, ROOT

pytestmark = pytest.mark.slow


def test_every_vector_of_bundles_and_manifests(build: Callable[..., Path]) -> None:
    program = build(CPP / "tests" / "test_bundles.cpp")
    done = subprocess.run([program, ROOT / "tests" / "vectors"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
