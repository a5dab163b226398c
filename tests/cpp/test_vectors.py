"""The C++ runtime comes to the same verdicts, values and bytes as every other one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cpp.conftest import CPP, ROOT
from tests.cpp.seeds import write_seeds

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("program", ["test_bundles", "test_streams"])
def test_every_vector(build: Callable[..., Path], program: str) -> None:
    built = build(CPP / "tests" / f"{program}.cpp")
    done = subprocess.run([built, ROOT / "tests" / "vectors"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("kind", "runs"), [("manifest", 3000), ("archive", 1000), ("stream", 3000)])
def test_changed_at_random(build: Callable[..., Path], kind: str, runs: int, tmp_path: Path) -> None:
    """What `make fuzz-cpp` does for an hour, guided; here a moment of it."""
    program = build(CPP / "fuzz" / f"fuzz_{kind}.cpp", str(CPP / "fuzz" / "mutate.cpp"))
    bundle = ROOT / "tests" / "vectors" / "compression" / "fixed.aepkg"
    (tmp_path / "seeds").mkdir()
    write_seeds(kind, tmp_path / "seeds")
    command = [program, str(runs), *map(str, sorted((tmp_path / "seeds").iterdir()))]
    environment = os.environ | {"AETOOL_FUZZ_BUNDLE": str(bundle), "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
