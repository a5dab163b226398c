"""Checkpoints: what is in them, and that nothing wrong is read."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from aetool.config import load_config
from aetool.data import open_source
from aetool.training import is_checkpoint, load_checkpoint
from aetool_runtime.errors import DigestError, ModelError, TruncatedError, VersionError


@pytest.fixture
def copy(dense_checkpoint, tmp_path):
    return shutil.copytree(dense_checkpoint, tmp_path / "copy")


def test_a_dense_checkpoint(dense_checkpoint):
    checkpoint = load_checkpoint(dense_checkpoint)
    assert checkpoint.encoder.input_shape == (None, 784)
    assert checkpoint.decoder.input_shape == (None, 32)
    assert (len(checkpoint.normalization.offset), checkpoint.normalization.scale) == (1, (255.0,))
    assert (len(checkpoint.minimum), max(checkpoint.maximum)) == (784, 255.0)
    assert checkpoint.held_out.shape == (180, 784)
    assert checkpoint.held_out.dtype == np.float32
    assert checkpoint.config == load_config(dense_checkpoint / "config.toml")
    assert checkpoint.config.data.sample_shape == (784,)
    assert len(checkpoint.metrics["epochs"]) == 2


def test_a_window_checkpoint(conv1d_checkpoint):
    checkpoint = load_checkpoint(conv1d_checkpoint)
    assert checkpoint.encoder.output_shape == (None, 16)
    assert checkpoint.held_out.shape == (188, 256, 2)
    assert len(checkpoint.normalization.scale) == len(checkpoint.minimum) == len(checkpoint.maximum) == 2
    recording = open_source("builtin:ecg").array()
    np.testing.assert_array_equal(checkpoint.held_out[-1], recording[-256:])  # raw, and of the end: the test part
    training = recording[: 1500 * 256]
    assert checkpoint.calibration.shape == (256, 256, 2)
    np.testing.assert_array_equal(checkpoint.calibration[0], recording[:256])  # of the beginning: the training part
    assert checkpoint.minimum == tuple(training.min(axis=0))
    assert checkpoint.maximum == tuple(training.max(axis=0))


def test_the_index_counts_and_digests(dense_checkpoint):
    index = json.loads((dense_checkpoint / "checkpoint.json").read_text())
    assert (index["format"], index["version"]) == ("aetool-checkpoint", 1)
    assert index["parameters"] == {"encoder": 784 * 64 + 64 + 64 * 32 + 32, "decoder": 32 * 64 + 64 + 64 * 784 + 784}


@pytest.mark.parametrize(
    "name", ["encoder.keras", "decoder.keras", "config.toml", "metrics.json", "held_out.npy", "calibration.npy"]
)
def test_a_changed_or_missing_file_is_named(copy, name):
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(DigestError, match=f"{name}: the file is not the one that was written"):
        load_checkpoint(copy)
    (copy / name).unlink()
    with pytest.raises(TruncatedError, match=f"{name}: the file is missing"):
        load_checkpoint(copy)


def test_a_newer_version_is_refused(copy):
    index = json.loads((copy / "checkpoint.json").read_text())
    (copy / "checkpoint.json").write_text(json.dumps(index | {"version": 2}))
    assert is_checkpoint(copy)
    with pytest.raises(VersionError, match="version 2; expected at most 1"):
        load_checkpoint(copy)


@pytest.mark.parametrize(
    "index", ["", "[]", "{}", '{"format": "other"}', '{"format": "aetool-checkpoint", "version": 1, "files": {}}']
)
def test_what_is_no_checkpoint(tmp_path, index):
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "checkpoint.json").write_text(index)
    with pytest.raises(ModelError, match="is not a checkpoint"):
        load_checkpoint(folder)


def test_is_checkpoint(dense_checkpoint, tmp_path):
    assert is_checkpoint(dense_checkpoint)
    assert not is_checkpoint(tmp_path)
    assert not is_checkpoint(tmp_path / "none")
    assert not is_checkpoint(dense_checkpoint / "config.toml")


def test_code_in_a_model_is_not_run(copy, tmp_path):
    import hashlib

    import keras

    evil = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x)])
    evil.save(copy / "encoder.keras")
    index = json.loads((copy / "checkpoint.json").read_text())
    index["files"]["encoder.keras"] = hashlib.sha256((copy / "encoder.keras").read_bytes()).hexdigest()
    (copy / "checkpoint.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=r"encoder.keras: Keras cannot read the model"):
        load_checkpoint(copy)
