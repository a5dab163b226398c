"""Every family under one contract: it is built, trained on real data, exported to both formats, and passes there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aetool.config import (
    Config,
    Conv1dModel,
    Conv2dModel,
    CustomModel,
    DataConfig,
    DenseModel,
    ModelConfig,
    RecurrentModel,
    TextModel,
    TrainingConfig,
)
from aetool.data import open_source, open_texts
from aetool.models import build_autoencoder
from aetool.training import train
from aetool_exporters import ExportOptions, Samples, export
from aetool_runtime import Autoencoder

WINDOWS = DataConfig(sample_shape=(16, 2))
PICTURES = DataConfig(normalization="minmax")
TEXTS = DataConfig(normalization="none", text_length=16, vocabulary=300)
TOKENS = 300


def windows(folder: Path) -> Path:
    np.save(folder / "ecg.npy", open_source("builtin:ecg").array()[: 16 * 96])
    return folder / "ecg.npy"


def digits(folder: Path) -> Path:
    np.save(folder / "digits.npy", open_source("builtin:digits32").array()[:96])
    return folder / "digits.npy"


def sentences(folder: Path) -> Path:
    texts = open_texts("builtin:text")
    assert texts is not None
    (folder / "sentences.txt").write_text("\n".join(texts.lines[:96]))
    return folder / "sentences.txt"


@dataclass(frozen=True)
class Family:
    """A row of the contract.

    Args:
        latent_shape: for one sample.
    """

    model: ModelConfig
    sample_shape: tuple[int, ...]
    latent_shape: tuple[int, ...]
    data: DataConfig
    source: Callable[[Path], Path]

    @property
    def returned_shape(self) -> tuple[int, ...]:
        return (*self.sample_shape, TOKENS) if isinstance(self.model, TextModel) else self.sample_shape

    @property
    def loss(self) -> Any:
        return "sparse_categorical_crossentropy" if isinstance(self.model, TextModel) else "mse"


def window(model: ModelConfig) -> Family:
    return Family(model, (16, 2), (5,), WINDOWS, windows)


def picture(model: ModelConfig, latent_shape: tuple[int, ...] = (5,)) -> Family:
    return Family(model, (32, 32, 1), latent_shape, PICTURES, digits)


def text(**options: Any) -> Family:
    model = TextModel(latent=5, vocabulary=TOKENS, embedding=6, filters=(8, 8), units=8, **options)
    return Family(model, (16,), (5,), TEXTS, sentences)


CONV2D = Conv2dModel(latent=5, filters=(4, 6))
FAMILIES: dict[str, Family] = {
    "dense": window(DenseModel(latent=5, hidden=(8,))),
    "conv1d": window(Conv1dModel(latent=5, filters=(4, 6))),
    "conv1d residual": window(Conv1dModel(latent=5, filters=(4, 6), residual=1, batch_norm=True)),
    "conv2d": picture(CONV2D),
    "conv2d residual": picture(replace(CONV2D, residual=1, batch_norm=True)),
    "conv2d resize": picture(replace(CONV2D, upsampling="resize")),
    "conv2d map": picture(replace(CONV2D, latent_map=3), (8, 8, 3)),
    "conv2d map free": picture(replace(CONV2D, latent_map=3, free_size=True), (8, 8, 3)),
    "conv2d map free resize": picture(
        replace(CONV2D, latent_map=3, free_size=True, upsampling="resize", residual=1), (8, 8, 3)
    ),
    "lstm": window(RecurrentModel(latent=5, cell="lstm", units=(6, 4))),
    "gru": window(RecurrentModel(latent=5, cell="gru", units=(6,))),
    "lstm bidirectional": window(RecurrentModel(latent=5, cell="lstm", units=(6,), bidirectional=True)),
    "gru bidirectional": window(RecurrentModel(latent=5, cell="gru", units=(6,), bidirectional=True)),
    "text conv1d": text(body="conv1d"),
    "text gru": text(body="gru"),
    "custom": window(CustomModel(build="tests.toolkit.custom_models:scaled", arguments={"latent": 5})),
}
every_family = pytest.mark.parametrize("name", FAMILIES)


@cache
def built(name: str, seed: int = 0) -> Any:
    return build_autoencoder(FAMILIES[name].model, FAMILIES[name].sample_shape, seed)


def given(family: Family, count: int) -> np.ndarray[Any, Any]:
    generator = np.random.default_rng(1)
    if isinstance(family.model, TextModel):
        return generator.integers(0, TOKENS, (count, *family.sample_shape)).astype(np.int32)
    return generator.normal(size=(count, *family.sample_shape)).astype(np.float32)


@every_family
def test_a_sample_goes_to_its_latent_and_back(name: str) -> None:
    family, autoencoder = FAMILIES[name], built(name)
    samples = given(family, 3)
    latent = autoencoder.encoder(samples)
    assert latent.shape == (3, *family.latent_shape)
    assert autoencoder.decoder(latent).shape == (3, *family.returned_shape)
    np.testing.assert_array_equal(autoencoder.whole(samples), autoencoder.decoder(latent))


@every_family
def test_names_are_readable(name: str) -> None:
    if name == "custom":
        pytest.skip("its layers are the user's")
    for half, model in (("encoder", built(name).encoder), ("decoder", built(name).decoder)):
        first, *layers = [layer.name for layer in model.layers]
        assert first == ("input" if half == "encoder" else "latent")
        assert all(layer.startswith(f"{half}_") and layer[-1].isdigit() for layer in layers)


@every_family
def test_the_seed_decides_the_weights(name: str) -> None:
    one, other = built(name), built(name, 1)
    same = build_autoencoder(FAMILIES[name].model, FAMILIES[name].sample_shape, 0)
    assert all(map(np.array_equal, one.whole.get_weights(), same.whole.get_weights()))
    assert not all(map(np.array_equal, one.whole.get_weights(), other.whole.get_weights()))


@every_family
def test_trained_exported_and_verified(name: str, tmp_path: Path) -> None:
    family = FAMILIES[name]
    training = TrainingConfig(epochs=2, batch_size=16, learning_rate=0.01, loss=family.loss)
    checkpoint = train(Config(family.model, family.data, training), family.source(tmp_path), tmp_path / "model")
    first, second = (epoch["loss"] for epoch in checkpoint.metrics["epochs"])
    assert second < first
    samples = checkpoint.held_out
    bundle = export(  # raises where an artifact does not compute what Keras computes
        checkpoint.encoder,
        checkpoint.decoder,
        tmp_path / "model.aepkg",
        normalization=checkpoint.normalization,
        samples=Samples(samples, checkpoint.minimum, checkpoint.maximum),
    )
    assert {artifact.format for artifact in bundle.manifest.artifacts} == {"onnx", "tflite"}
    with Autoencoder.open(bundle.path) as device:
        assert device.encode(samples).shape == (len(samples), *family.latent_shape)
        assert device.reconstruct(samples).shape == (len(samples), *family.returned_shape)


def test_a_free_size_takes_other_sizes(tmp_path: Path) -> None:
    """Trained on one size, exported, and run on others."""
    autoencoder = built("conv2d map free resize")
    samples = Samples.of(given(FAMILIES["conv2d map free"], 4))
    options = ExportOptions(formats=("onnx",))
    bundle = export(autoencoder.encoder, autoencoder.decoder, tmp_path / "b", samples=samples, options=options)
    pictures = np.random.default_rng(0).normal(size=(2, 20, 44, 1)).astype(np.float32)
    with Autoencoder.open(bundle.path) as device:
        assert device.encode(pictures).shape == (2, 5, 11, 3)
        np.testing.assert_allclose(device.reconstruct(pictures), autoencoder.whole(pictures), atol=1e-5)
