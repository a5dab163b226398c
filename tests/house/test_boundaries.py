"""What is loaded when, measured in fresh interpreters: a device has no TensorFlow, and help needs no engine.

Which room may import which is the business of import-linter (`make check`).
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.vectors.make import FOLDER

from aetool.cli import COMMANDS

ENGINES = {"onnxruntime", "ai_edge_litert", "openvino"}
HEAVY = {
    *ENGINES,
    *("tensorflow", "keras", "onnx", "onnxslim", "tf2onnx"),
    *("sklearn", "scipy", "matplotlib", "pyarrow", "PIL", "pandas", "msgspec"),
}


def loaded(*arguments: str) -> set[str]:
    """The top-level packages that `python …` imports; the command must succeed."""
    done = subprocess.run([sys.executable, "-X", "importtime", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return {name.split(".")[0] for name in re.findall(r"^import time:.*\| +(\S+)$", done.stderr, re.MULTILINE)}


def test_the_measure_sees_an_engine() -> None:
    assert "onnxruntime" in loaded(
        "-c", "from aetool_runtime.backends import load_backend; load_backend('onnxruntime')"
    )


@pytest.mark.parametrize("module", ["aetool_runtime", "aetool_runtime.backends.onnxruntime", "aetool_runtime.selftest"])
def test_importing_the_runtime_loads_no_engine(module: str) -> None:
    packages = loaded("-c", f"import {module}")
    assert "aetool_runtime" in packages
    assert packages & {*HEAVY, "click", "aetool", "aetool_exporters"} == set()


def test_importing_the_exporters_loads_no_tensorflow() -> None:
    assert loaded("-c", "import aetool_exporters") & HEAVY == set()


def test_the_backends_are_named_without_loading_one() -> None:
    assert loaded("-c", "from aetool_runtime.backends import backend_names; assert backend_names()") & HEAVY == set()


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], *([verb, "--help"] for verb in COMMANDS)], ids=" ".join
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    packages = loaded("-m", "aetool", *arguments)
    assert "aetool" in packages
    assert packages & HEAVY == set()


@pytest.mark.parametrize("verb", ["verify", "inspect", "encode", "pack"])
def test_a_bundle_is_used_without_tensorflow(verb: str, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("1,2,3,4,5,6\n" * 3)
    arguments = {"encode": [str(rows), "-o", str(tmp_path / "l.npy")], "pack": ["-o", str(tmp_path / "p.aepkg")]}
    packages = loaded("-m", "aetool", verb, str(FOLDER / "bundles" / "encoder.aepkg"), *arguments.get(verb, []))
    assert packages & (HEAVY - ENGINES) == set()
