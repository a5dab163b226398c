"""Builds the C++ runtime's programs: warnings are errors, and sanitizers watch."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CPP = ROOT / "runtime" / "cpp"
WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1"]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``build(source, *flags)`` → the program; skips where no compiler is."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++")

    def compile_source(source: Path, *flags: str) -> Path:
        program = tmp_path_factory.mktemp("cpp") / source.stem
        command = [compiler, "-std=c++17", *WARNINGS, *SANITIZERS, *flags, f"-I{CPP / 'include'}", str(source)]
        done = subprocess.run([*command, "-o", str(program), "-ldl", "-lpthread"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return program

    return compile_source
