"""Keras references that the export tests share: built once, small, with weights that matter everywhere."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.exporters import matrix_plugin

from aetool_exporters import Reference, Samples
from aetool_runtime.backends import _plugins
from aetool_runtime.specs import Normalization

WINDOW, CHANNELS, LATENT = 32, 2, 6
NORMALIZATION = Normalization((1000.0, 980.0), (40.0, 55.0))


def build_reference() -> Reference:
    """A convolutional autoencoder with BatchNorm whose statistics and biases are not their trivial defaults."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(7)
    given = keras.Input((WINDOW, CHANNELS), name="input")
    x = layers.Conv1D(8, 5, strides=2, padding="same", name="conv")(given)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.ReLU()(x)
    latent = layers.Dense(LATENT, name="latent")(layers.Flatten()(x))
    encoder = keras.Model(given, latent, name="encoder")
    code = keras.Input((LATENT,), name="latent_input")
    x = layers.Reshape((WINDOW // 2, 8))(layers.Dense(WINDOW * 4, activation="relu", name="widen")(code))
    decoder = keras.Model(code, layers.Conv1DTranspose(CHANNELS, 5, strides=2, padding="same")(x), name="decoder")
    rng = np.random.default_rng(3)
    for model in (encoder, decoder):
        for variable in model.variables:
            if variable.name in {"bias", "beta", "moving_mean"}:
                variable.assign(rng.normal(0, 0.3, variable.shape))
            if variable.name in {"gamma", "moving_variance"}:
                variable.assign(rng.uniform(0.5, 2.0, variable.shape))
    return Reference(encoder, decoder, NORMALIZATION)


@pytest.fixture(scope="session")
def reference() -> Reference:
    return build_reference()


@pytest.fixture
def make_reference() -> Callable[[], Reference]:
    """For tests that damage what they are given."""
    return build_reference


@pytest.fixture(scope="session")
def samples() -> Samples:
    rng = np.random.default_rng(5)
    values = NORMALIZATION.invert(rng.normal(size=(64, WINDOW, CHANNELS)))
    return Samples.of(values)


@pytest.fixture
def registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Installs distributions: a folder with nothing but entry points is one."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "matrix_plugin", matrix_plugin)
    matrix_plugin.register(tmp_path, "matrix_plugin")
    yield tmp_path
    _plugins.cache_clear()


@pytest.fixture(scope="module")
def linear() -> Reference:
    import keras

    keras.utils.set_random_seed(2)
    encoder = keras.Sequential([keras.Input((6,)), keras.layers.Dense(2)])
    decoder = keras.Sequential([keras.Input((2,)), keras.layers.Dense(6)])
    return Reference(encoder, decoder, Normalization())
