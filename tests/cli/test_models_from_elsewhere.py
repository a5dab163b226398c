"""Models by strangers on the command line: halves, the user's own code, folders, and advice that can be followed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aetool_runtime import Autoencoder, open_bundle

from .conftest import Aetool

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def dense(*sizes: int, names: tuple[str, ...] = ()) -> Any:
    import keras

    keras.utils.set_random_seed(3)
    names = names or tuple(f"dense_{place}" for place in range(len(sizes)))
    layers = [keras.layers.Dense(size, name=name) for size, name in zip(sizes[1:], names, strict=False)]
    return keras.Sequential([keras.Input(sizes[:1]), *layers])


def test_encoder_and_decoder_in_a_file_each(aetool: Aetool, folder: Path) -> None:
    encoder, decoder = dense(6, 2), dense(2, 6)
    encoder.save("encoder.keras")
    decoder.save("decoder.h5")
    halves = ("--encoder", "encoder.keras", "--decoder", "decoder.h5")
    outcome = aetool("export", *halves, "--onnx")
    assert outcome.code == 0, outcome.err
    given = np.random.default_rng(0).random((3, 6), np.float32)
    with Autoencoder.open("encoder.aepkg") as model:
        np.testing.assert_allclose(model.reconstruct(given), decoder(encoder(given)), atol=1e-5)
    assert aetool("verify", "encoder.aepkg", *halves).code == 0
    dense(2, 6, names=("other",)).save("decoder.h5")  # the same weights, since the seed is the same
    other = dense(2, 6)
    other.set_weights([weight + 1 for weight in other.get_weights()])
    other.save("decoder.h5")
    assert aetool("verify", "encoder.aepkg", *halves).code == 5


@pytest.mark.parametrize(
    ("flag", "sizes", "role"), [("--encoder", (6, 2), "encoder"), ("--decoder", (2, 6), "decoder")]
)
def test_one_half(aetool: Aetool, folder: Path, flag: str, sizes: tuple[int, int], role: str) -> None:
    dense(*sizes).save("half.keras")
    assert aetool("export", flag, "half.keras", "--onnx", "--tflite").code == 0
    manifest = open_bundle("half.aepkg").manifest
    assert {(artifact.role, artifact.format) for artifact in manifest.artifacts} == {(role, "onnx"), (role, "tflite")}
    assert aetool("verify", "half.aepkg", flag, "half.keras").code == 0
    assert aetool("inspect", "half.aepkg").code == 0


def test_the_encoder_of_an_autoencoder(aetool: Aetool, folder: Path) -> None:
    dense(6, 2, 6).save("model.keras")
    assert aetool("export", "model.keras", "--encoder-only", "--latent", "dense_0", "--onnx").code == 0
    assert [artifact.role for artifact in open_bundle("model.aepkg").manifest.artifacts] == ["encoder"]


def test_a_saved_model(aetool: Aetool, folder: Path) -> None:
    dense(6, 2, 6).export("network", verbose=False)
    outcome = aetool("export", "network")
    assert outcome.code == 0, outcome.err
    assert "output of layer 'dense_0'" in outcome.err
    assert aetool("verify", "network.aepkg", "--against", "network").code == 0


def test_free_sizes_without_data(aetool: Aetool, folder: Path) -> None:
    import keras

    layers = [
        keras.Input((None, 2)),
        keras.layers.Conv1D(1, 3, strides=2, padding="same", name="middle"),
        keras.layers.Conv1DTranspose(2, 3, strides=2, padding="same"),
    ]
    keras.Sequential(layers).save("free.keras")
    outcome = aetool("export", "free.keras")
    assert outcome.code == 0, outcome.err
    assert "tried at 64, [64, 2]" in outcome.err
    assert "made-up" in outcome.err
    shapes = {a.format: a.inputs[0].shape for a in open_bundle("free.aepkg").manifest.artifacts if a.role == "encoder"}
    assert shapes == {"onnx": (None, None, 2), "tflite": (1, 64, 2)}
    assert aetool("verify", "free.aepkg", "--against", "free.keras").code == 0


def test_the_users_own_code(aetool: Aetool, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    name = f"mine_{os.getpid()}"
    (folder / f"{name}.py").write_text(
        "import keras\n\n\n"
        "class Double(keras.layers.Layer):\n    def call(self, tensor):\n        return tensor * 2\n\n\n"
        "def halve(tensor):\n    return tensor / 2\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    from importlib import import_module

    layers = [
        keras.Input((6,)),
        keras.layers.Dense(2, name="middle"),
        import_module(name).Double(name="own"),
        keras.layers.Lambda(lambda tensor: tensor / 2, name="code", output_shape=(2,)),
        keras.layers.Dense(6),
    ]
    model = keras.Sequential(layers)
    model.save("model.keras")
    refused = aetool("export", "model.keras", "--onnx")
    assert refused.code == 3
    assert "--custom module:Double" in refused.err
    refused = aetool("export", "model.keras", "--onnx", "--custom", f"{name}:Double")
    assert refused.code == 3
    assert "--replace-layer code=module:function" in refused.err
    code = ("--custom", f"{name}:Double", "--replace-layer", f"code={name}:halve")
    assert aetool("export", "model.keras", "--onnx", *code).code == 0
    given = np.random.default_rng(0).random((3, 6), np.float32)
    with Autoencoder.open("model.aepkg") as exported:
        np.testing.assert_allclose(exported.reconstruct(given), model(given), atol=1e-5)
    assert aetool("verify", "model.aepkg", "--against", "model.keras", *code).code == 0


@pytest.mark.parametrize(("arguments", "words"), [
    ((), ["no model"]),
    (("a.keras", "--encoder", "b.keras"), ["both MODEL and"]),
    (("--encoder", "b.keras", "--latent", "x"), ["--latent"]),
    (("--decoder", "b.keras", "--encoder-only"), ["--encoder-only"]),
    (("a.keras", "--replace-layer", "x"), ["LAYER=MODULE:FUNCTION"]),
    (("a.keras", "--name", "a\x1bb"), ["control characters"]),
    (("a.keras", "--name", "a\udcffb"), ["no Unicode text"]),
])  # fmt: skip
def test_what_does_not_go_together(aetool: Aetool, folder: Path, arguments: tuple[str, ...], words: list[str]) -> None:
    outcome = aetool("export", *arguments)
    assert outcome.code == 2, outcome.err
    assert [word for word in words if word not in outcome.err] == []
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("place", ["nowhere:Thing", "json:Thing", "json"])
def test_code_that_is_not_there(aetool: Aetool, folder: Path, place: str) -> None:
    dense(6, 2, 6).save("model.keras")
    outcome = aetool("export", "model.keras", "--custom", place)
    assert outcome.code in (2, 3)
    assert place in outcome.err
    assert "Traceback" not in outcome.err


SHARED = Path(__file__).resolve().parents[3] / "shared" / "models"


@pytest.mark.skipif(not SHARED.is_dir(), reason="the strangers' models are not here")
@pytest.mark.parametrize("name", [
    "danielbarbosa-developer__bearing-anomaly-detection-LSTM-AE__models-lstm_autoencoder.h5",
    "OpenNuvoton__ML_Gearbox_Fault_Diagnosis__autoencoder",
    "darkgigi__TFM-danarrarr__models-vae_encoder.keras",
    "maxmeadowcroft__gen_ai_drum_generator__vae_model.keras",
])  # fmt: skip
def test_models_by_strangers(aetool: Aetool, folder: Path, name: str) -> None:
    outcome = aetool("export", SHARED / name, "--onnx", "-o", "model.aepkg")
    assert outcome.code == 0, outcome.err
    assert "latent" in outcome.err
