"""The JavaScript runtime comes to the same verdicts, values and bytes as every other one; its demo page works."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

WEB = Path(__file__).parents[2] / "runtime" / "web"
pytestmark = pytest.mark.slow


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name}")
    return found


def run(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(command, cwd=WEB, capture_output=True, text=True, env={**os.environ, **environment})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def packages() -> Path:
    """The packages of package-lock.json: the engine, the type checker, what drives a browser."""
    folder = WEB / "node_modules"
    if not folder.is_dir():
        done = subprocess.run([program("npm"), "ci", "--silent"], cwd=WEB, capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"npm ci: {done.stderr.strip()[-200:] or 'failed'}")
    return folder


@pytest.mark.parametrize("name", ["bundles", "streams"])
def test_every_vector(name: str) -> None:
    run(program("node"), "--test", f"test/{name}.test.js")


def test_types(packages: Path) -> None:
    run(program("node"), packages / "typescript" / "bin" / "tsc")


def test_graphs_and_compression(packages: Path) -> None:
    assert "# skipped 0" in run(program("node"), "--test", "--test-reporter=tap", "test/autoencoder.test.js")


def test_the_demo_page_in_chromium(packages: Path) -> None:
    chromium = program("chromium")
    report = run(program("node"), "--test", "--test-reporter=tap", "test/demo.test.js", CHROMIUM=chromium)
    assert "# skipped 0" in report
