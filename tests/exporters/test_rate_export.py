"""Models that were trained for rate, and linear codecs, in both formats: exact and at 8 bits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aetool.config import CompressionConfig, Config, Conv2dModel, DataConfig, DenseModel, LinearModel, TrainingConfig
from aetool.model import model_of
from aetool.training import train
from aetool_exporters.pipeline import ExportOptions, export_reference
from aetool_exporters.request import Calibration, QuantizationOptions
from aetool_runtime import Autoencoder

WINDOWS, TILES = DataConfig(sample_shape=(32, 2)), DataConfig(normalization_scope="global")
MODELS = {
    "dense": (DenseModel(latent=8, hidden=(24,), linear_path=True, activation="leaky_relu"), WINDOWS),
    "linear windows": (LinearModel(latent=8), WINDOWS),
    "conv2d": (
        Conv2dModel(filters=(6, 8), patch=4, latent_map=12, linear_path=True, free_size=True, activation="leaky_relu"),
        TILES,
    ),
    "linear pictures": (LinearModel(block=8, latent=12, free_size=True), TILES),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A recording and pictures."""
    random, folder = np.random.default_rng(3), tmp_path_factory.mktemp("data")
    time = np.arange(3200)[:, None] / [9.0, 23.0]
    np.save(folder / "windows.npy", (np.sin(time) ** 3 * 300 + random.normal(size=(3200, 2)) * 9).astype(np.int16))
    coarse = random.normal(size=(80, 4, 4, 3)).repeat(4, axis=1).repeat(4, axis=2) * 30 + 128
    np.save(folder / "tiles.npy", (coarse + random.normal(size=coarse.shape)).clip(0, 255).astype(np.uint8))
    return folder


@pytest.mark.parametrize("name", MODELS)
def test_both_formats_compute_what_keras_computes(name, data, tmp_path):
    model, section = MODELS[name]
    config = Config(
        model,
        section,
        TrainingConfig(epochs=2, batch_size=8, learning_rate=0.003),
        compression=CompressionConfig(weight=0.02),
    )
    checkpoint = train(config, data / ("windows.npy" if section is WINDOWS else "tiles.npy"), tmp_path / "model")
    made = model_of(checkpoint)
    options = ExportOptions(
        precisions=("float32", "int8"), quantization=QuantizationOptions(Calibration(lambda: iter([made.calibration])))
    )
    bundle = export_reference(made.reference, tmp_path / "m.aepkg", "m", made.samples, options)  # or ParityError
    assert {(artifact.format, artifact.precision) for artifact in bundle.manifest.artifacts} == {
        (format_, precision) for format_ in ("onnx", "tflite") for precision in ("float32", "int8")
    }
    with Autoencoder.open(tmp_path / "m.aepkg") as runtime:
        latent = runtime.encode(checkpoint.held_out[:2])
    expected = made.reference.compute("encoder", checkpoint.held_out[:2])
    np.testing.assert_allclose(latent, expected, atol=1e-3)
    assert made.reference.rate == replace(checkpoint.rate)
