"""What `aetool inspect` says about costs: the same before the export and after it, and after it without TensorFlow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aetool_runtime import open_bundle

from .conftest import Aetool
from .linear import orthogonal, write_linear


class TestModels:
    def test_a_checkpoint(self, aetool: Aetool, dense_checkpoint: Path) -> None:
        outcome = aetool("inspect", dense_checkpoint)
        assert outcome.code == 0, outcome.err
        assert "encoder, for one sample of [784]" in outcome.out
        rows = [" ".join(line.split()) for line in outcome.out.splitlines()]
        for row in (
            "layer kind output parameters multiply-adds activation bytes",
            "encoder_dense_0 Dense [64] 50,240 50,176 256",
            "encoder_dense_1 Dense [32] 2,080 2,048 128",
            "encoder, together 52,320 52,224 384",
            "peak activation memory: 3,392 bytes",
            "encoder + decoder: 105,392 parameters, 104,448 multiply-adds, peak activation memory 3,392 bytes",
        ):
            assert row in rows
        assert outcome.out.splitlines()[-1] == f"next: aetool export {dense_checkpoint}"

    def test_the_same_as_json(self, aetool: Aetool, dense_checkpoint: Path) -> None:
        document = aetool("inspect", dense_checkpoint, "--json").document
        assert document["totals"]["encoder"] == {
            "parameters": 52_320,
            "multiply_adds": 52_224,
            "unknown": [],
            "weight_bytes": {"float32": 209_280, "float16": 104_640, "int8": 52_992},
            "peak_activation_bytes": 3_392,
        }
        first = document["complexity"]["encoder"]["layers"][0]
        assert (first["name"], first["shape"], first["multiply_adds"]) == ("encoder_dense_0", [64], 50_176)

    def test_a_keras_file(self, aetool: Aetool, tmp_path: Path) -> None:
        import keras

        layers = [keras.layers.Dense(3, name="narrow"), keras.layers.Dense(12)]
        keras.Sequential([keras.Input((12,)), *layers]).save(tmp_path / "m.keras")
        outcome = aetool("inspect", tmp_path / "m.keras", "--json")
        assert outcome.code == 0, outcome.err
        assert "'narrow'" in outcome.err
        assert outcome.document["totals"]["decoder"]["multiply_adds"] == 36

    def test_layers_that_are_not_known_are_named(self, aetool: Aetool, tmp_path: Path) -> None:
        import keras

        layers = [keras.layers.EinsumDense("ab,bc->ac", 3, name="narrow"), keras.layers.Dense(12)]
        keras.Sequential([keras.Input((12,)), *layers]).save(tmp_path / "m.keras")
        text = aetool("inspect", tmp_path / "m.keras").out
        assert "multiply-adds not known, and not in the total: narrow" in text
        assert "36 + ? multiply-adds" in text


class TestBundles:
    def test_tell_the_same_as_the_checkpoint(self, aetool: Aetool, conv1d_checkpoint: Path, bundle: Path) -> None:
        before = aetool("inspect", conv1d_checkpoint, "--json").document
        after = aetool("inspect", bundle, "--json").document
        assert after["manifest"]["complexity"] == before["complexity"]
        assert after["totals"] == before["totals"]
        for role, count in open_bundle(bundle).manifest.parameters.items():
            assert after["totals"][role]["parameters"] == count

    def test_show_the_table_without_tensorflow(self, bundle: Path) -> None:
        code = f"""
import sys
from aetool.cli import run
assert run(["inspect", {str(bundle)!r}]) == 0
assert not {{"tensorflow", "keras", "aetool_exporters"}} & sys.modules.keys()
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "peak activation memory:" in done.stdout

    def test_show_what_their_graphs_are_made_of(self, aetool: Aetool, bundle: Path) -> None:
        rows = [" ".join(line.split()) for line in aetool("inspect", bundle).out.splitlines()]
        assert "graph operations" in rows
        artifact = aetool("inspect", bundle, "--json").document["manifest"]["artifacts"][0]
        counts = sorted(artifact["operators"].items(), key=lambda item: (-item[1], item[0]))
        assert counts[0][1] > 1
        assert "encoder onnx float32 " + ", ".join(f"{name} {count}" for name, count in counts) in rows

    def test_that_tell_nothing_show_no_table(self, aetool: Aetool, tmp_path: Path) -> None:
        outcome = aetool("inspect", write_linear(tmp_path / "b.aepkg", orthogonal(6, 2), (6,)))
        assert outcome.code == 0, outcome.err
        assert "multiply-adds" not in outcome.out
        assert "latent prior   not told" in outcome.out
        assert "operations" not in outcome.out

    def test_tell_their_prior(self, aetool: Aetool, tmp_path: Path) -> None:
        bundle = write_linear(tmp_path / "b.aepkg", orthogonal(6, 2), (6,), latent_prior="standard_normal")
        assert "latent prior   standard_normal" in aetool("inspect", bundle).out


MISTAKES: dict[str, Any] = {
    "nothing there": (["{tmp}/no"], 3, ["no such bundle"]),
    "an empty folder": (["{tmp}/empty"], 7, ["missing"]),
    "a training that is not finished": (["{tmp}/run"], 3, ["not finished", "--resume"]),
    "a Keras file that is none": (["{tmp}/bad.keras"], 3, ["bad.keras"]),
    "a latent for a bundle": (["{bundle}", "--latent", "x"], 2, ["knows its latent"]),
    "a latent for a checkpoint": (["{checkpoint}", "--latent", "x"], 2, ["knows its latent"]),
}


@pytest.mark.parametrize(("arguments", "code", "words"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes(
    aetool: Aetool,
    bundle: Path,
    conv1d_checkpoint: Path,
    tmp_path: Path,
    arguments: list[str],
    code: int,
    words: list[str],
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "run" / "training").mkdir(parents=True)
    (tmp_path / "bad.keras").write_bytes(b"no")
    places = {"bundle": bundle, "checkpoint": conv1d_checkpoint, "tmp": tmp_path}
    outcome = aetool("inspect", *(argument.format(**places) for argument in arguments))
    assert outcome.code == code, outcome.err
    assert [word for word in words if word not in outcome.err] == []
