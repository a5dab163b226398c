"""Layers that are called otherwise, so that both formats have them, compute what Keras computes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from aetool_exporters import ExportOptions, Reference
from aetool_exporters.foreign.keras_file import load_keras
from aetool_exporters.foreign.opening import open_model
from aetool_exporters.pipeline import export_reference
from aetool_runtime.specs import Normalization

from .old_files import computed, scrambled

pytestmark = pytest.mark.filterwarnings("ignore")

LAYERS: list[tuple[str, tuple[int, ...], Callable[[], Any]]] = [
    ("maximum of three dimensions", (6, 7, 5, 2), lambda: layers.MaxPooling3D((2, 3, 2), padding="same")),
    ("with steps of its own", (6, 7, 5, 2), lambda: layers.MaxPooling3D(3, strides=2, padding="valid")),
    ("average of three dimensions", (6, 7, 5, 2), lambda: layers.AveragePooling3D((2, 3, 2), padding="same")),
    ("groups of channels", (8, 8, 4), lambda: layers.Conv2D(6, 3, strides=2, groups=2, padding="same")),
    ("groups in one dimension", (8, 4), lambda: layers.Conv1D(4, 3, groups=4, activation="relu")),
    ("groups that look back", (8, 4), lambda: layers.Conv1D(4, 3, groups=2, padding="causal")),
    ("gaps", (4, 4, 2), lambda: layers.Conv2DTranspose(3, 2, strides=3, padding="same", activation="tanh")),
    ("gaps one way", (4, 4, 2), lambda: layers.Conv2DTranspose(3, (2, 1), strides=(2, 3), padding="same")),
]


@pytest.mark.parametrize(("shape", "layer"), [case[1:] for case in LAYERS], ids=[case[0] for case in LAYERS])
def test_computes_what_keras_computes_and_converts(
    tmp_path: Path, shape: tuple[int, ...], layer: Callable[[], Any]
) -> None:
    model = scrambled(keras.Sequential([keras.Input(shape), layer()]))
    model.save(tmp_path / "model.keras")
    met = load_keras(tmp_path / "model.keras")
    np.testing.assert_allclose(computed(met), computed(model), atol=1e-5)
    reference = Reference(met, None, Normalization())
    bundle = export_reference(reference, tmp_path / "model.aepkg", "model", None, ExportOptions())
    assert {artifact.format for artifact in bundle.manifest.artifacts} == {"onnx", "tflite"}


def test_free_sizes_are_measured_to_find_the_narrowest(tmp_path: Path) -> None:
    """The latent has more channels than the layer before the last, and is still the narrower one."""
    model = keras.Sequential(
        [
            keras.Input((None, None, 1)),
            layers.Conv2D(8, 3, padding="same"),
            layers.MaxPooling2D(4, name="middle"),
            layers.UpSampling2D(4),
            layers.Conv2D(2, 3, padding="same", name="channels"),
            layers.Conv2D(1, 3, padding="same"),
        ]
    )
    model.save(tmp_path / "model.keras")
    halves = open_model(tmp_path / "model.keras")
    assert halves.encoder.output_shape == (None, None, None, 8)
    assert any("'middle'" in notice for notice in halves.notices)
