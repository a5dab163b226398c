"""What runs a bundle needs no TensorFlow, and refuses a bad bundle by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.vectors.make import FOLDER

from .conftest import Aetool
from .linear import orthogonal, write_linear

COMMANDS = {
    "evaluate": ["{bundle}", "{tmp}/data.npy", "--clusters", "2", "-o", "{tmp}/scatter.png"],
    "sample": ["{bundle}", "--fit", "{tmp}/data.npy", "-o", "{tmp}/grid.png"],
}
VERDICTS = {
    "half": (7, "TruncatedError"),
    "graph-flipped": (7, "DigestError"),
    "name-parent": (7, "UnsafeError"),
    "manifest-and-digest-changed": (3, "ManifestError"),
    "manifest-of-version-2": (3, "VersionError"),
}


def arguments(verb: str, bundle: Path, folder: Path) -> list[str]:
    np.save(folder / "data.npy", np.random.default_rng(0).random((9, 64)))
    return [verb, *(argument.format(bundle=bundle, tmp=folder) for argument in COMMANDS[verb])]


@pytest.mark.parametrize("verb", COMMANDS)
def test_runs_without_tensorflow(verb: str, tmp_path: Path) -> None:
    bundle = write_linear(tmp_path / "b.aepkg", orthogonal(64, 4), (64,))
    code = f"""
import sys
from aetool.cli import run
assert run({arguments(verb, bundle, tmp_path)!r}) == 0
assert not {{"tensorflow", "keras"}} & sys.modules.keys()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("verb", COMMANDS)
@pytest.mark.parametrize("name", VERDICTS)
def test_a_bad_bundle_is_refused_and_nothing_written(aetool: Aetool, tmp_path: Path, verb: str, name: str) -> None:
    outcome = aetool(*arguments(verb, FOLDER / "bundles" / f"{name}.aepkg", tmp_path), "--json")
    assert (outcome.code, outcome.document["error"]["type"]) == VERDICTS[name]
    assert [path.name for path in tmp_path.iterdir()] == ["data.npy"]


def test_an_encoder_alone_is_evaluated(aetool: Aetool, tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", np.random.default_rng(0).random((30, 6)))
    outcome = aetool("evaluate", FOLDER / "bundles" / "encoder.aepkg", tmp_path / "data.npy", "--clusters", 2)
    assert outcome.code == 0, outcome.err
    assert "not compared, for there is none" in outcome.out


def test_an_encoder_alone_makes_no_samples(aetool: Aetool, tmp_path: Path) -> None:
    outcome = aetool("sample", FOLDER / "bundles" / "encoder.aepkg", "-o", tmp_path / "x.npy")
    assert (outcome.code, "no tensor 'reconstruction'" in outcome.err) == (2, True)
