"""``aetool debug`` as a person types it: what it prints, where it writes, how it ends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from aetool_exporters.bundle_writer import bundle_files, write_folder
from aetool_runtime import open_bundle

from .conftest import Aetool

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def mirrored(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle with the first convolution's kernel back to front, in the ONNX autoencoder only."""
    opened = open_bundle(bundle)
    files = {path: opened.read(path) for path in opened.manifest.files}
    place = "onnx/autoencoder.float32.onnx"
    model = onnx.load_from_string(files[place])
    name = next(node for node in model.graph.node if node.op_type == "Conv").input[1]
    kernel = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    kernel.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(numpy_helper.to_array(kernel)[..., ::-1]), name))
    files[place] = model.SerializeToString(deterministic=True)
    folder = tmp_path_factory.mktemp("mirrored") / "b.aepkg"
    write_folder(folder, bundle_files(replace(opened.manifest, files={}), files))
    return folder


@pytest.mark.parametrize("kind", ["onnx", "tflite"])
def test_a_sound_artifact(aetool: Aetool, bundle: Path, conv1d_checkpoint: Path, kind: str) -> None:
    outcome = aetool("debug", bundle, "--against", conv1d_checkpoint, "--artifact", kind)
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    assert f"autoencoder {kind} float32, layer by layer against Keras" in lines[0]
    assert [line for line in lines if line.startswith("encoder_dense_0")]
    assert lines[-2].startswith("no layer is beyond tolerance; the least ratio is 1")
    assert lines[-1].startswith("next: aetool verify")


def test_a_broken_one_ends_with_exit_code_5(aetool: Aetool, mirrored: Path, conv1d_checkpoint: Path) -> None:
    outcome = aetool("debug", mirrored, "--against", conv1d_checkpoint, "--artifact", "autoencoder:onnx")
    assert outcome.code == 5
    assert "first layer beyond tolerance: encoder_conv_0" in outcome.out
    assert "its kernel is mirrored" in outcome.out
    assert "try: " in outcome.out
    assert outcome.out.count("beyond, inherited") >= 5
    assert "the first is encoder_conv_0" in outcome.err


def test_json_is_the_whole_report(aetool: Aetool, mirrored: Path, conv1d_checkpoint: Path) -> None:
    arguments = ("--against", conv1d_checkpoint, "--json", "--artifact")
    sound = aetool("debug", mirrored, *arguments, "tflite").document
    assert (sound["passed"], sound["first"], sound["artifact"]["format"]) == (True, None, "tflite")
    assert sound["digest"] == open_bundle(mirrored).digest
    outcome = aetool("debug", mirrored, *arguments, "onnx")
    assert (outcome.code, outcome.document["error"]["type"]) == (5, "ParityError")
    layers = {layer["layer"]: layer for layer in outcome.document["layers"]}
    assert outcome.document["first"] == "encoder_conv_0"
    assert layers["encoder_conv_0"]["causes"][0]["kind"] == "wrong_layout"
    assert layers["encoder_dense_0"]["beyond"]
    assert layers["encoder_dense_0"]["own_snr"] > 100
    assert layers["encoder_dense_0"]["causes"] == []


def test_the_plot_is_written_for_sound_and_broken(
    aetool: Aetool, mirrored: Path, conv1d_checkpoint: Path, tmp_path: Path
) -> None:
    arguments = ("debug", mirrored, "--against", conv1d_checkpoint)
    for kind, code in (("tflite", 0), ("onnx", 5)):
        target = tmp_path / f"{kind}.png"
        outcome = aetool(*arguments, "--artifact", kind, "--plot", target, "--json")
        assert (outcome.code, outcome.document["plot"]) == (code, str(target))
        assert target.read_bytes().startswith(PNG)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["onnx.png", "tflite.png"]


def test_a_role_and_data_of_ones_own(aetool: Aetool, mirrored: Path, conv1d_checkpoint: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "windows.npy", np.random.default_rng(0).normal(1000, 60, (5, 256, 2)).astype("f4"))
    arguments = ("--against", conv1d_checkpoint, "--artifact", "decoder:onnx", "--data", tmp_path / "windows.npy")
    document = aetool("debug", mirrored, *arguments, "--json").document
    assert (document["samples"], document["passed"]) == (5, True)
    assert document["layers"][0]["layer"] == "decoder_dense_0"


def test_a_tolerance_in_decibels(aetool: Aetool, mirrored: Path, conv1d_checkpoint: Path) -> None:
    arguments = ("debug", mirrored, "--against", conv1d_checkpoint, "--artifact", "tflite", "--tolerance")
    assert aetool(*arguments, 60).code == 0
    assert aetool(*arguments, 190).code == 5


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["{bundle}"], 2, ["--against"]),
        (["{bundle}", "--against", "{model}"], 2, ["2 artifacts", "--artifact autoencoder:onnx:float32"]),
        (["{bundle}", "--against", "{model}", "--artifact", "onnx:int8"], 2, ["fits no artifacts", "onnx:float32"]),
        (["{bundle}", "--against", "{model}", "--artifact", "onnx", "--plot", "{tmp}/x.jpg"], 2, [".png"]),
        (["{bundle}", "--against", "{model}", "--artifact", "onnx", "--plot", "{tmp}/old.png"], 2, ["already exists"]),
        (["{bundle}", "--against", "{model}", "--artifact", "onnx", "--tolerance", "nan"], 2, ["dB"]),
        (["{bundle}", "--against", "{tmp}/gone", "--artifact", "onnx"], 3, ["no such model"]),
        (["{tmp}/gone", "--against", "{model}"], 3, ["no such bundle"]),
        (["{bundle}", "--against", "{tmp}/other.keras", "--artifact", "onnx"], 3, ["the model's"]),
        (["{bundle}", "--against", "{model}", "--artifact", "onnx", "--data", "{tmp}/no.npy"], 3, ["no such file"]),
    ],
)
def test_mistakes(
    aetool: Aetool,
    bundle: Path,
    conv1d_checkpoint: Path,
    tmp_path: Path,
    arguments: list[str],
    code: int,
    words: list[str],
) -> None:
    import keras

    (tmp_path / "old.png").write_bytes(b"mine")
    keras.Sequential([keras.Input((12,)), keras.layers.Dense(3), keras.layers.Dense(12)]).save(tmp_path / "other.keras")
    places = {"bundle": bundle, "model": conv1d_checkpoint, "tmp": tmp_path}
    outcome = aetool("debug", *(argument.format(**places) for argument in arguments))
    assert outcome.code == code, outcome.err
    assert [word for word in words if word not in outcome.err] == []
    assert "Traceback" not in outcome.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old.png", "other.keras"]
    assert (tmp_path / "old.png").read_bytes() == b"mine"


def test_a_flipped_bit_is_exit_code_7(aetool: Aetool, bundle: Path, tmp_path: Path, conv1d_checkpoint: Path) -> None:
    import shutil

    copy = shutil.copytree(bundle, tmp_path / "copy")
    graph = copy / "onnx/autoencoder.float32.onnx"
    data = bytearray(graph.read_bytes())
    data[len(data) // 2] ^= 1
    graph.write_bytes(data)
    outcome = aetool("debug", copy, "--against", conv1d_checkpoint, "--artifact", "onnx", "--json")
    assert (outcome.code, outcome.document["error"]["type"]) == (7, "DigestError")


def test_verify_refuses_another_model_too(aetool: Aetool, bundle: Path, tmp_path: Path) -> None:
    """Without samples of its own, which would be made up in the range of the bundle's two channels."""
    import keras

    keras.Sequential([keras.Input((12,)), keras.layers.Dense(3), keras.layers.Dense(12)]).save(tmp_path / "other.keras")
    outcome = aetool("verify", bundle, "--against", tmp_path / "other.keras")
    assert (outcome.code, "the model's" in outcome.err) == (3, True), outcome.err
