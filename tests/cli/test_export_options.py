"""What `aetool export` writes beside float32 graphs, as its user sees it."""

from __future__ import annotations

from pathlib import Path

from aetool_runtime import Autoencoder, open_bundle

from .conftest import Aetool


def test_every_precision_at_once(aetool: Aetool, dense_checkpoint: Path, tmp_path: Path) -> None:
    names = "float32,float16,dynamic_range,int8,int16x8"
    outcome = aetool(
        "export",
        dense_checkpoint,
        "--precision",
        names,
        "-o",
        tmp_path / "m.aepkg",
        "--triton",
        tmp_path / "r",
        "--json",
    )
    assert outcome.code == 0
    bundle = open_bundle(tmp_path / "m.aepkg")
    met = {(a.format, a.precision) for a in bundle.manifest.artifacts}
    both = ("float32", "float16", "dynamic_range", "int8")
    assert met == {(f, p) for f in ("onnx", "tflite") for p in both} | {("tflite", "int16x8")}
    sizes = {path: entry.bytes for path, entry in bundle.manifest.files.items()}
    for name, share in (("float16", 0.6), ("dynamic_range", 0.35), ("int8", 0.35)):
        assert sizes[f"tflite/model.{name}.tflite"] < share * sizes["tflite/model.float32.tflite"]
        assert sizes[f"onnx/autoencoder.{name}.onnx"] < share * sizes["onnx/autoencoder.float32.onnx"]
    assert {check["precision"] for check in outcome.document["checks"] if check["snr"]} == met_below(met)
    assert aetool("verify", tmp_path / "m.aepkg").code == 0
    assert (tmp_path / "r" / "dense-encoder" / "config.pbtxt").is_file()
    assert (tmp_path / "r" / "dense-encoder-int8" / "1" / "model.onnx").is_file()


def met_below(met: set[tuple[str, str]]) -> set[str]:
    return {precision for _, precision in met} - {"float32"}


def test_for_a_microcontroller(aetool: Aetool, dense_checkpoint: Path, tmp_path: Path) -> None:
    outcome = aetool("export", dense_checkpoint, "--mcu", "-o", tmp_path / "m.aepkg")
    assert outcome.code == 0
    assert "runs without floating point; activations take at least" in outcome.err
    with Autoencoder.open(tmp_path / "m.aepkg") as model:
        artifacts = model.bundle.manifest.artifacts
        assert {(a.format, a.precision, a.inputs[0].dtype, a.outputs[0].dtype) for a in artifacts} == {
            ("tflite", "int8", "int8", "int8")
        }
        assert model.tensor("input").dtype == "float32", "callers go on with real values"


def test_c_for_a_microcontroller(aetool: Aetool, dense_checkpoint: Path, tmp_path: Path) -> None:
    arguments = ("export", dense_checkpoint, "--mcu", "-o", tmp_path / "m.aepkg", "--c", tmp_path / "code")
    outcome = aetool(*arguments)
    assert outcome.code == 0
    assert "dense_encode(), constants" in outcome.err
    written = {path.name: path.read_bytes() for path in (tmp_path / "code").iterdir()}
    assert set(written) == {"dense.h", "dense.c", "dense_test.c", "README.md"}
    assert aetool("inspect", tmp_path / "m.aepkg", "--json").document["c"]["arena_bytes"] == 64
    assert "encoder as C   static arena 64 bytes, constants 5" in aetool("inspect", tmp_path / "m.aepkg").out
    assert "overwrite" in aetool(*arguments).err
    assert aetool(*arguments, "--overwrite").code == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "code").iterdir()} == written


def test_c_without_an_integer_graph(aetool: Aetool, dense_checkpoint: Path, tmp_path: Path) -> None:
    outcome = aetool("export", dense_checkpoint, "-o", tmp_path / "m.aepkg", "--c", tmp_path / "code")
    assert outcome.code == 2
    assert "add --mcu" in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_a_layer_that_the_model_lacks(aetool: Aetool, dense_checkpoint: Path, tmp_path: Path) -> None:
    outcome = aetool(
        "export", dense_checkpoint, "--precision", "int8", "--float-layer", "encoder_dense_7", "-o", tmp_path / "m"
    )
    assert outcome.code == 2
    assert "no layer 'encoder_dense_7'" in outcome.err
    assert "did you mean 'encoder_dense_" in outcome.err


def test_a_precision_that_there_is_not(aetool: Aetool, dense_checkpoint: Path, tmp_path: Path) -> None:
    outcome = aetool("export", dense_checkpoint, "--precision", "int4", "-o", tmp_path / "m")
    assert outcome.code == 2
    assert "'int4'" in outcome.err
    assert list(tmp_path.iterdir()) == []
