"""Models exported with compression: what the bundle then brings, and that samples come back through it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aetool.config import CompressionConfig, Config, Conv2dModel, DataConfig, TrainingConfig
from aetool.model import load_model, model_of
from aetool.training import train
from aetool_exporters import Samples
from aetool_exporters.compression import CompressionOptions
from aetool_exporters.pipeline import ExportOptions, export_reference
from aetool_exporters.reference import Reference
from aetool_exporters.request import Calibration, QuantizationOptions
from aetool_runtime.bundle import Bundle
from aetool_runtime.compression.codecs import CodecRunner
from aetool_runtime.compression.compressor import Compressor
from aetool_runtime.compression.decompressor import Decompressor
from aetool_runtime.compression.reading import read_compression
from aetool_runtime.errors import UsageError
from aetool_runtime.specs import Array, Normalization

Export = Callable[..., tuple[Bundle, list[str]]]


@pytest.fixture
def export(tmp_path: Path) -> Export:
    """reference, samples, compression, other options → the bundle, and what was told."""

    def exported(
        reference: Reference, samples: Samples, compression: CompressionOptions, name: str = "m", **options: Any
    ) -> tuple[Bundle, list[str]]:
        told: list[str] = []
        wanted = ExportOptions(formats=("onnx",), compression=compression, **options)
        bundle = export_reference(reference, tmp_path / f"{name}.aepkg", "m", samples, wanted, on_notice=told.append)
        return bundle, told

    return exported


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A small autoencoder of pictures, trained for rate, with a dead channel."""
    random, folder = np.random.default_rng(3), tmp_path_factory.mktemp("tiles")
    coarse = random.normal(size=(120, 4, 4, 3)).repeat(4, axis=1).repeat(4, axis=2) * 30 + 128
    np.save(folder / "tiles.npy", (coarse + random.normal(size=coarse.shape)).clip(0, 255).astype(np.uint8))
    model = Conv2dModel(
        filters=(6, 8), patch=4, latent_map=12, linear_path=True, free_size=True, activation="leaky_relu"
    )
    training = TrainingConfig(epochs=2, batch_size=8, learning_rate=0.003)
    compression = CompressionConfig(weight=0.02)
    config = Config(model, DataConfig(normalization_scope="global"), training, compression=compression)
    return model_of(train(config, folder / "tiles.npy", folder / "model"))


def pictures(bundle: Bundle, samples: Array, **goal: Any) -> tuple[int, Array]:
    """Bytes, and what comes back."""
    with Compressor(bundle, **goal) as compressor:
        stream = compressor.compress(samples)
    return len(stream), Decompressor(bundle).decompress(stream)


def test_windows_through_both_codecs(conv1d_checkpoint: Path, export: Export) -> None:
    model = load_model(conv1d_checkpoint)
    assert model.samples is not None
    options = CompressionOptions(model.calibration, qualities=3)
    bundle, told = export(model.reference, model.samples, options)
    assert bundle.manifest.compression in bundle.manifest.files
    compression = read_compression(bundle)
    assert sorted(codec.name for codec in compression.codecs) == ["linear", "network"]
    for codec in compression.codecs:
        assert len(codec.qualities) == 3
        assert [q.bits for q in codec.qualities] == sorted(q.bits or 0 for q in codec.qualities)
    assert any("than the linear codec on held-out samples" in sentence for sentence in told)
    assert any("256 samples only" in sentence for sentence in told)
    windows = model.samples.values.astype(np.int16)
    size, restored = pictures(bundle, windows, quality=2)
    assert size < windows.nbytes / 20
    assert np.sqrt(np.mean((restored.astype(float) - windows) ** 2)) < windows.std() / 2
    assert np.abs(pictures(bundle, windows, max_error=2)[1].astype(int) - windows).max() <= 2
    np.testing.assert_array_equal(pictures(bundle, windows, lossless=True)[1], windows)


def test_a_network_in_integers_loses_next_to_nothing(conv1d_checkpoint: Path, export: Export) -> None:
    model = load_model(conv1d_checkpoint)
    assert model.samples is not None
    bundle, _ = export(model.reference, model.samples, CompressionOptions(model.calibration, ("network",), 2))
    compression = read_compression(bundle)
    (codec,) = compression.codecs
    runner = CodecRunner(codec, compression)
    latents = model.reference.compute("encoder", model.samples.values)
    finest = replace(codec.qualities[0], step=np.ones_like(codec.qualities[0].step), rounding=0.5)
    restored = runner.output(runner.symbols(latents, finest), finest) * compression.output_unit
    errors = [
        float(np.sqrt(np.mean((values - model.samples.values) ** 2)))
        for values in (restored, model.reference.compute("decoder", latents))
    ]
    assert errors[0] < 1.01 * errors[1]


def test_pictures_of_another_size(tiles: Any, export: Export) -> None:
    bundle, _ = export(tiles.reference, tiles.samples, CompressionOptions(qualities=2))
    compression = read_compression(bundle)
    network = next(codec for codec in compression.codecs if codec.name == "network")
    assert network.latent_shape == (None, None, 12)
    assert network.downsampling == (8, 8, 1)
    assert compression.sample_shape == (None, None, 3)
    larger = np.tile(tiles.samples.values[:2], (1, 2, 3, 1)).clip(0, 255).astype(np.uint8)
    size, restored = pictures(bundle, larger, quality=1)
    assert restored.shape == larger.shape
    assert size < larger.nbytes / 10
    assert np.abs(pictures(bundle, larger, max_error=1)[1].astype(int) - larger).max() <= 1


def test_steps_begin_where_training_for_rate_left_them(tiles: Any, export: Export) -> None:
    bundle, _ = export(tiles.reference, tiles.samples, CompressionOptions(qualities=64))
    network = next(codec for codec in read_compression(bundle).codecs if codec.name == "network")
    steps = np.array([quality.step * network.unit for quality in network.qualities])
    assert np.abs(steps / np.array(tiles.reference.rate.step) - 1).min() < 0.02
    center = network.center * network.unit
    np.testing.assert_allclose(center, tiles.reference.rate.center, atol=float(network.unit.max()))


def test_the_same_model_makes_the_same_bytes(tiles: Any, export: Export) -> None:
    options = CompressionOptions(qualities=2)
    one, two = (export(tiles.reference, tiles.samples, options, name)[0] for name in ("one", "two"))
    for path in one.manifest.files:
        assert one.read(path) == two.read(path), path


def test_a_dead_channel_costs_nothing(tiles: Any, export: Export) -> None:
    reference = tiles.reference
    import keras

    dead = np.ones(12, np.float32)
    dead[4] = 0.0
    masked = keras.layers.Rescaling(list(dead))(reference.encoder.outputs[0])
    encoder = keras.Model(reference.encoder.inputs, masked)
    bundle, _ = export(replace(reference, encoder=encoder), tiles.samples, CompressionOptions(qualities=2))
    compression = read_compression(bundle)
    network = next(codec for codec in compression.codecs if codec.name == "network")
    for quality in network.qualities:
        model = compression.models[quality.model]
        for table in {int(number) for number in model.map[:, 4]}:
            entry = compression.tables[table].frequencies[-compression.tables[table].low]
            assert entry >= 2**14 - 24  # 0.002 bits


def test_what_the_network_cannot_is_left_to_the_linear_codec(export: Export) -> None:
    import keras

    given, latent = keras.Input((16, 2)), keras.Input((4,))
    encoder = keras.Model(given, keras.layers.Dense(4)(keras.layers.Flatten()(given)))
    states = keras.layers.LSTM(6, return_sequences=True, name="memory")(keras.layers.RepeatVector(16)(latent))
    decoder = keras.Model(latent, keras.layers.Dense(2)(states))
    values = np.cumsum(np.random.default_rng(0).normal(size=(100, 16, 2)), axis=1).astype(np.float32)
    reference = Reference(encoder, decoder, Normalization())
    bundle, told = export(reference, Samples.of(values[80:]), CompressionOptions(values[:80], qualities=2))
    assert [codec.name for codec in read_compression(bundle).codecs] == ["linear"]
    assert any("memory (LSTM)" in sentence for sentence in told)
    with pytest.raises(UsageError, match="no codec"):
        export(reference, Samples.of(values[80:]), CompressionOptions(values[:80], ("network",)), "n")


def test_data_come_from_the_calibration_or_are_asked_for(conv1d_checkpoint: Path, export: Export) -> None:
    model = load_model(conv1d_checkpoint)
    assert model.samples is not None
    assert model.calibration is not None
    calibration = Calibration(lambda: iter([model.calibration]))
    linear = CompressionOptions(codecs=("linear",), qualities=2)
    bundle, _ = export(
        model.reference, model.samples, linear, "c", quantization=QuantizationOptions(calibration=calibration)
    )
    given, _ = export(model.reference, model.samples, replace(linear, samples=model.calibration), "s")
    assert bundle.read("compression/codecs.bin") == given.read("compression/codecs.bin")
    with pytest.raises(UsageError, match="needs data"):
        export(model.reference, model.samples, linear, "n")
