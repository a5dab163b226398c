"""Small runs that the training tests share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from aetool.config import Config, Conv1dModel, DataConfig, DenseModel, TrainingConfig

DENSE = Config(
    DenseModel(latent=3, hidden=(8,)),
    DataConfig(normalization="minmax"),
    TrainingConfig(epochs=3, batch_size=16, learning_rate=0.01, seed=5),
)
CONV = Config(  # batch normalization: state that is not trained by gradients
    Conv1dModel(latent=3, filters=(4, 4), kernel=3, batch_norm=True),
    DataConfig(sample_shape=(16, 2), stride=4),
    TrainingConfig(epochs=3, batch_size=16, learning_rate=0.01, seed=5, schedule="cosine"),
)


def with_training(config: Config, **changes: Any) -> Config:
    return replace(config, training=replace(config.training, **changes))


def vectors(folder: Path, rows: int = 275) -> Path:
    """275 vectors: 220 for training, which leaves a shorter last batch."""
    mixing = np.random.default_rng(0).random((3, 10))
    np.save(folder / "vectors.npy", np.random.default_rng(1).random((rows, 3)) @ mixing)
    return folder / "vectors.npy"


def recording(folder: Path) -> Path:
    time = np.arange(4000)[:, None] / [7, 11]
    np.save(folder / "recording.npy", (1000 + 100 * np.sin(time)).astype(np.int16))
    return folder / "recording.npy"


def weights(checkpoint: Any) -> list[Any]:
    return [*checkpoint.encoder.get_weights(), *checkpoint.decoder.get_weights()]


def assert_same_run(one: Any, other: Any) -> None:
    """The same weights and the same losses, bit for bit."""
    assert one.metrics == other.metrics
    for a, b in zip(weights(one), weights(other), strict=True):
        np.testing.assert_array_equal(a, b)
