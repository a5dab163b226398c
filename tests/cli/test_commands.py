"""The commands as a person types them: from a checkpoint to latents and back, and what mistakes lead to."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from aetool.data import read_samples
from aetool_runtime import open_bundle

from .conftest import Aetool

ECG = "builtin:ecg"


class TestExport:
    def test_the_sentence_that_people_type(
        self, aetool: Aetool, conv1d_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shutil.copytree(conv1d_checkpoint, tmp_path / "model")
        monkeypatch.chdir(tmp_path)
        outcome = aetool("export", "model", "--onnx")
        assert outcome.code == 0, outcome.err
        assert {artifact.format for artifact in open_bundle("model.aepkg").manifest.artifacts} == {"onnx"}
        assert outcome.out.splitlines()[-1].startswith("next: ")

    def test_a_keras_file(self, aetool: Aetool, tmp_path: Path) -> None:
        import keras

        keras.utils.set_random_seed(1)
        model = keras.Sequential(
            [keras.Input((12,)), keras.layers.Dense(3, activation="relu", name="narrow"), keras.layers.Dense(12)]
        )
        model.save(tmp_path / "tabular.keras")
        outcome = aetool("export", tmp_path / "tabular.keras", "--onnx", "-o", tmp_path / "out.aepkg", "--json")
        assert outcome.code == 0, outcome.err
        assert "'narrow'" in outcome.err, "it says which layer it took for the latent"
        assert "made-up" in outcome.err, "it says that no real samples were given"
        manifest = open_bundle(tmp_path / "out.aepkg").manifest
        assert (manifest.name, manifest.tensor("latent").shape) == ("tabular", (None, 3))
        assert outcome.document["digest"] == open_bundle(tmp_path / "out.aepkg").digest

    def test_a_keras_file_of_free_height_and_width(self, aetool: Aetool, tmp_path: Path) -> None:
        import keras

        keras.utils.set_random_seed(1)
        layers = [
            keras.Input((None, None, 1)),
            keras.layers.Conv2D(2, 3, strides=2, padding="same", name="narrow"),
            keras.layers.Conv2DTranspose(1, 3, strides=2, padding="same"),
        ]
        keras.Sequential(layers).save(tmp_path / "free.keras")
        np.save(tmp_path / "images.npy", np.random.default_rng(0).random((5, 8, 6), np.float32))
        arguments = ("--data", tmp_path / "images.npy")
        free = (tmp_path / "free.keras", "--latent", "narrow", "--onnx", "-o", tmp_path / "free.aepkg")
        outcome = aetool("export", *free, *arguments)
        assert outcome.code == 0, outcome.err
        against = ("--against", tmp_path / "free.keras", "--latent", "narrow")
        outcome = aetool("verify", tmp_path / "free.aepkg", *against, *arguments)
        assert outcome.code == 0, outcome.err

    def test_a_folder_with_a_dot_keeps_its_name(
        self, aetool: Aetool, conv1d_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shutil.copytree(conv1d_checkpoint, tmp_path / "run-0.01")
        monkeypatch.chdir(tmp_path)
        assert aetool("export", "run-0.01", "--dry-run", "--json").document["bundle"] == "run-0.01.aepkg"

    def test_twice_gives_the_same_bytes(
        self, aetool: Aetool, conv1d_checkpoint: Path, bundle: Path, tmp_path: Path
    ) -> None:
        outcome = aetool("export", conv1d_checkpoint, "--onnx", "--tflite", "-o", tmp_path / "again", "--json")
        assert outcome.document["digest"] == open_bundle(bundle).digest

    def test_dry_run_writes_nothing(self, aetool: Aetool, conv1d_checkpoint: Path, tmp_path: Path) -> None:
        outcome = aetool("export", conv1d_checkpoint, "-o", tmp_path / "x", "--dry-run", "--json")
        assert outcome.document["formats"] == ["onnx", "tflite"]
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("arguments", "code", "words"),
        [
            (["export", "nothing-here"], 3, ["no such model", "aetool train"]),
            (["export", "{checkpoint}", "-o", "{bundle}"], 2, ["already exists", "--overwrite"]),
            (["export", "{checkpoint}", "--latent", "x", "-o", "{tmp}/x"], 2, ["knows its latent"]),
            (["export", "{checkpoint}", "--opset", "99", "-o", "{tmp}/x"], 2, ["opset", "99"]),
            (["export", "{checkpoint}", "--format", "onx", "-o", "{tmp}/x"], 2, ["'onx'", "onnx, ort, tflite"]),
            (["export", "{checkpoint}", "--data", "{tmp}/no.npy", "-o", "{tmp}/x"], 3, ["no such file"]),
            (["export", "{checkpoint}", "--license", "{tmp}/no.txt", "-o", "{tmp}/x"], 3, ["cannot be read"]),
            (["export", "{checkpoint}", "--onxx"], 2, ["--onnx"]),
            (["exprot", "x"], 2, ["Did you mean 'export'?"]),
        ],
    )
    def test_mistakes(
        self,
        aetool: Aetool,
        conv1d_checkpoint: Path,
        bundle: Path,
        tmp_path: Path,
        arguments: list[str],
        code: int,
        words: list[str],
    ) -> None:
        places = {"checkpoint": conv1d_checkpoint, "bundle": bundle, "tmp": tmp_path}
        outcome = aetool(*(argument.format(**places) for argument in arguments))
        assert outcome.code == code, outcome.err
        assert [word for word in words if word not in outcome.err] == []
        assert "Traceback" not in outcome.err
        assert list(tmp_path.iterdir()) == []


class TestVerify:
    def test_golden_vectors(self, aetool: Aetool, bundle: Path) -> None:
        outcome = aetool("verify", bundle)
        assert (outcome.code, outcome.out.count(" ok\n")) == (0, 6), outcome.err
        assert "all 6 checks passed" in outcome.out

    def test_against_the_checkpoint(self, aetool: Aetool, bundle: Path, conv1d_checkpoint: Path) -> None:
        outcome = aetool("verify", bundle, "--against", conv1d_checkpoint, "--data", ECG, "--json")
        assert outcome.code == 0, outcome.err
        assert [check["passed"] for check in outcome.document["checks"]] == [True] * 6

    def test_another_model_fails_with_exit_code_5(
        self, aetool: Aetool, bundle: Path, retrained_checkpoint: Path
    ) -> None:
        outcome = aetool("verify", bundle, "--against", retrained_checkpoint, "--json")
        assert outcome.code == 5
        assert outcome.document["error"]["type"] == "ParityError"
        assert not any(check["passed"] for check in outcome.document["checks"])

    def test_samples_without_a_model_are_a_usage_error(self, aetool: Aetool, bundle: Path) -> None:
        outcome = aetool("verify", bundle, "--data", ECG)
        assert (outcome.code, "--against" in outcome.err) == (2, True)

    def test_a_flipped_bit_is_exit_code_7(self, aetool: Aetool, bundle: Path, tmp_path: Path) -> None:
        copy = shutil.copytree(bundle, tmp_path / "copy")
        graph = copy / "onnx/encoder.float32.onnx"
        data = bytearray(graph.read_bytes())
        data[len(data) // 2] ^= 1
        graph.write_bytes(data)
        outcome = aetool("verify", copy, "--json")
        assert (outcome.code, outcome.document["error"]["type"]) == (7, "DigestError")


@pytest.fixture(scope="session")
def retrained_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from aetool.cli import run

    path = tmp_path_factory.mktemp("other") / "model"
    assert run(["train", "--preset", "conv1d", ECG, "-o", str(path), "--epochs", "1", "--seed", "9"]) == 0
    return path


class TestEncodeAndDecode:
    @pytest.mark.parametrize("backend", ["onnxruntime", "litert"])
    def test_there_and_back(self, aetool: Aetool, bundle: Path, tmp_path: Path, backend: str) -> None:
        latents, restored = tmp_path / "latents.npy", tmp_path / "restored.npy"
        outcome = aetool("encode", bundle, ECG, "-o", latents, "--backend", backend, "--batch-size", 100, "--json")
        assert outcome.code == 0, outcome.err
        assert outcome.document["ran_on"] == f"{backend}/cpu"
        assert aetool("decode", bundle, latents, "-o", restored, "--backend", backend).code == 0
        samples = read_samples(ECG, (256, 2))
        decoded = np.load(restored)
        assert decoded.shape == samples.shape
        assert np.corrcoef(samples.ravel(), decoded.ravel())[0, 1] > 0.5

    def test_batches_do_not_change_the_result(self, aetool: Aetool, bundle: Path, tmp_path: Path) -> None:
        for size in (1, 7, 5000):
            assert aetool("encode", bundle, ECG, "-o", tmp_path / f"{size}.npy", "--batch-size", size).code == 0
        results = [np.load(tmp_path / f"{size}.npy") for size in (1, 7, 5000)]
        for other in results[1:]:
            np.testing.assert_allclose(other, results[0], rtol=1e-4, atol=1e-4)

    def test_what_does_not_fill_a_window_is_told(self, aetool: Aetool, bundle: Path, tmp_path: Path) -> None:
        np.save(tmp_path / "short.npy", np.full((300, 2), 1000, np.int16))
        outcome = aetool("encode", bundle, tmp_path / "short.npy", "-o", tmp_path / "out.npy")
        assert outcome.code == 0
        assert "44 rows" in outcome.err
        assert np.load(tmp_path / "out.npy").shape[0] == 1

    @pytest.mark.parametrize(
        ("arguments", "code", "words"),
        [
            (["{bundle}", "{tmp}/wrong.npy", "-o", "{tmp}/o.npy"], 3, ["[3, 5]", "[256, 2]"]),
            (["{bundle}", "{tmp}/nan.npy", "-o", "{tmp}/o.npy"], 3, ["sample 1", "nan"]),
            (["{bundle}", "{tmp}/gone.npy", "-o", "{tmp}/o.npy"], 3, ["no such file"]),
            (["{tmp}/gone", ECG, "-o", "{tmp}/o.npy"], 3, ["no such bundle"]),
            (["{bundle}", ECG, "-o", "{tmp}/wrong.npy"], 2, ["already exists"]),
            (["{bundle}", ECG, "-o", "{tmp}/o.npy", "--backend", "onnxruntme"], 8, ["did you mean 'onnxruntime'"]),
            (["{bundle}", ECG, "-o", "{tmp}/o.npy", "--device", "tpu"], 8, ["'tpu'", "cpu"]),
            (["{bundle}", ECG, "-o", "{tmp}/o.npy", "--precision", "int8"], 2, ["no int8"]),
            (["{bundle}", ECG, "-o", "{tmp}/o.npy", "--threads", "-1"], 2, ["threads"]),
        ],
    )
    def test_mistakes(
        self, aetool: Aetool, bundle: Path, tmp_path: Path, arguments: list[str], code: int, words: list[str]
    ) -> None:
        np.save(tmp_path / "wrong.npy", np.zeros((7, 3, 5)))
        poisoned = np.zeros((2, 256, 2))
        poisoned[1, 3, 1] = np.nan
        np.save(tmp_path / "nan.npy", poisoned)
        outcome = aetool("encode", *(argument.format(bundle=bundle, tmp=tmp_path) for argument in arguments))
        assert outcome.code == code, outcome.err
        assert [word for word in words if word not in outcome.err] == []
        assert sorted(path.name for path in tmp_path.iterdir()) == ["nan.npy", "wrong.npy"]


class TestInspectAndPack:
    def test_inspect_shows_what_is_there(self, aetool: Aetool, bundle: Path) -> None:
        text = aetool("inspect", bundle).out
        for word in (
            "conv1d",
            "encoder",
            "latent float32[batch, 16]",
            "onnx opset 17",
            "inside the graphs",
            "held-out",
        ):
            assert word in text
        document = aetool("inspect", bundle, "--json").document
        assert document["manifest"]["format"] == "aetool.bundle"

    def test_pack_keeps_the_bundle(self, aetool: Aetool, bundle: Path, tmp_path: Path) -> None:
        for name in ("one.aepkg", "two.aepkg"):
            assert aetool("pack", bundle, "-o", tmp_path / name).code == 0
        assert (tmp_path / "one.aepkg").read_bytes() == (tmp_path / "two.aepkg").read_bytes()
        assert open_bundle(tmp_path / "one.aepkg").digest == open_bundle(bundle).digest
        assert aetool("verify", tmp_path / "one.aepkg").code == 0


def test_output_to_a_folder_that_cannot_be_written(aetool: Aetool, bundle: Path) -> None:
    target = "/proc/nowhere/out.npy" if os.geteuid() == 0 else "/out.npy"
    outcome = aetool("encode", bundle, ECG, "-o", target)
    assert outcome.code == 3
    assert "Traceback" not in outcome.err
