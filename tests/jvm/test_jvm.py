"""The Java library comes to the same verdicts and values as every other one: its own tests read tests/vectors."""

from __future__ import annotations

import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
JVM = ROOT / "runtime" / "jvm"
SUITES = ["BundleVectors", "StreamVectors", "Autoencoder", "Compressor", "OrtScan", "Mutation", "Tool"]
REPORTS = JVM / "target" / "surefire-reports"

pytestmark = pytest.mark.slow


def _needed(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"no {program}")
    return path


@pytest.fixture(scope="module")
def built() -> Path:
    """``target/`` after ``mvn verify``: compiled without a warning, every test passed."""
    _needed("java")
    shutil.rmtree(REPORTS, ignore_errors=True)  # reports of tests that are no more
    done = subprocess.run([_needed("mvn"), "-q", "-B", "verify"], cwd=JVM, capture_output=True, text=True)
    if "Could not transfer artifact" in done.stdout or "Could not resolve dependencies" in done.stdout:
        pytest.skip("Maven's dependencies are not here, and no repository can be reached")
    assert done.returncode == 0, done.stdout + done.stderr
    return JVM / "target"


@pytest.mark.parametrize("suite", SUITES)
def test_every_suite_ran_whole(built: Path, suite: str) -> None:
    report = (built / "surefire-reports" / f"io.aetool.{suite}Test.txt").read_text("utf-8")
    counts = re.search(r"Tests run: (\d+), Failures: 0, Errors: 0, Skipped: 0", report)
    assert counts is not None, report
    assert int(counts[1]) > 0


def test_the_classes_are_of_java_11(built: Path) -> None:
    classes = list((built / "classes").rglob("*.class"))
    assert classes
    assert {path.read_bytes()[6:8] for path in classes} == {(55).to_bytes(2, "big")}


def test_the_archive_holds_this_library_alone(built: Path) -> None:
    (jar,) = built.glob("aetool-runtime-*.jar")
    with zipfile.ZipFile(jar) as archive:
        code = [name for name in archive.namelist() if name.endswith((".class", ".so", ".dll", ".dylib", ".jar"))]
    assert code
    assert [name for name in code if not re.fullmatch(r"io/aetool/[\w$]+\.class", name)] == []
