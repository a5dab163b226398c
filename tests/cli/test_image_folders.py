"""Folders of images of another size than the model takes: resized, as [data] image_size does in training, and told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .conftest import Aetool
from .linear import orthogonal, write_linear


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Three grey images of 8×12."""
    folder = tmp_path / "images"
    folder.mkdir()
    for index, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (3, 8, 12), np.uint8)):
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return folder


def resized(folder: Path, height: int, width: int) -> np.ndarray:
    found = [Image.open(path).resize((width, height), Image.Resampling.BILINEAR) for path in sorted(folder.iterdir())]
    return np.stack([np.asarray(image, np.float32)[..., None] for image in found])


def test_encode_takes_them_in_the_models_size(aetool: Aetool, images: Path, tmp_path: Path) -> None:
    matrix = orthogonal(24, 5)
    bundle = write_linear(tmp_path / "b.aepkg", matrix, (4, 6, 1))
    outcome = aetool("encode", bundle, images, "-o", tmp_path / "z.npy")
    assert outcome.code == 0, outcome.err
    assert "images of 8×12 (height × width) are resized to 4×6" in outcome.err
    np.testing.assert_allclose(
        np.load(tmp_path / "z.npy"), resized(images, 4, 6).reshape(3, 24) @ matrix, rtol=1e-4, atol=1e-3
    )


def test_nothing_is_said_where_they_fit(aetool: Aetool, images: Path, tmp_path: Path) -> None:
    bundle = write_linear(tmp_path / "b.aepkg", orthogonal(96, 5), (8, 12, 1))
    outcome = aetool("encode", bundle, images, "-o", tmp_path / "z.npy")
    assert outcome.code == 0, outcome.err
    assert "resized" not in outcome.err


def test_a_latent_is_no_image(aetool: Aetool, images: Path, tmp_path: Path) -> None:
    bundle = write_linear(tmp_path / "b.aepkg", orthogonal(24, 3), (4, 6, 1))
    outcome = aetool("decode", bundle, images, "-o", tmp_path / "x.npy")
    assert "resized" not in outcome.err


def test_a_trained_model_takes_its_own_images_again(aetool: Aetool, images: Path, tmp_path: Path) -> None:
    """Trained with image_size, exported, and held against Keras on the folder that it was trained on."""
    for index in range(3, 30):
        Image.fromarray(np.full((8, 12), 8 * index, np.uint8)).save(images / f"{index:02}.png")
    (tmp_path / "run.toml").write_text(
        '[model]\nfamily = "dense"\nlatent = 2\nhidden = []\n'
        '[data]\nimage_size = [4, 6]\nnormalization = "minmax"\n[training]\nepochs = 1\n'
    )
    model, bundle = tmp_path / "model", tmp_path / "b.aepkg"
    assert aetool("train", tmp_path / "run.toml", images, "-o", model).code == 0
    assert aetool("export", model, "-o", bundle, "--onnx").code == 0
    outcome = aetool("verify", bundle, "--against", model, "--data", images)
    assert outcome.code == 0, outcome.err
    assert aetool("encode", bundle, images, "-o", tmp_path / "z.npy").code == 0
    assert np.load(tmp_path / "z.npy").shape == (30, 2)
