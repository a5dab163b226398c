"""Checkpoints trained once per test session, for a couple of epochs, on the built-in data."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before any test imports TensorFlow

from dataclasses import replace
from pathlib import Path

import pytest


def _trained(preset: str, data: str, stride: int, folder: Path) -> Path:
    from aetool.config import load_preset
    from aetool.training import train

    config = load_preset(preset)
    config = replace(
        config, data=replace(config.data, stride=stride), training=replace(config.training, epochs=2, batch_size=32)
    )
    train(config, data, folder / preset)
    return folder / preset


@pytest.fixture(scope="session")
def dense_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """784-64-32-64-784 on the digits, minmax normalization; do not write into it."""
    return _trained("dense", "builtin:digits", 0, tmp_path_factory.mktemp("dense"))


@pytest.fixture(scope="session")
def conv1d_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Windows 256×2 of the ECG to a latent of 16, standard normalization per channel; do not write into it."""
    return _trained("conv1d", "builtin:ecg", 0, tmp_path_factory.mktemp("conv1d"))
