"""From a name to data that is checked, split and measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aetool.config import DataConfig
from aetool.data import prepare_data
from aetool_runtime.errors import InputError, UsageError

WINDOWS = DataConfig(sample_shape=(8, -1), stride=2)


def prepare(tmp_path, values, config):
    path = tmp_path / "data.npy"
    np.save(path, values)
    told: list[str] = []
    return prepare_data(path, config, told.append), told


def test_normalization_knows_the_training_part_only(tmp_path):
    recording = np.concatenate([np.random.default_rng(0).random((808, 2)), np.full((192, 2), 1e6)])
    data, _ = prepare(tmp_path, recording, WINDOWS)
    assert data.sample_shape == (8, 2)
    assert data.statistics.maximum.max() < 1
    assert max(data.normalization.scale) < 1


def test_the_stride_is_for_training_windows_only(tmp_path):
    data, told = prepare(tmp_path, np.random.default_rng(0).random((1003, 2)), WINDOWS)
    assert (len(data.split.training), len(data.split.validation), len(data.split.test)) == (101, 12, 12)
    assert len(data.training) == 401
    assert told == ["the last 3 rows fill no window of 8 and are left out"]


@pytest.mark.parametrize(("row", "sample"), [(3, 0), (850, 106), (990, 123)])
def test_bad_values_are_found_in_every_part(tmp_path, row, sample):
    recording = np.random.default_rng(0).random((1000, 2))
    recording[row, 1] = np.nan
    with pytest.raises(InputError, match=f"data.npy: sample {sample} holds nan at"):
        prepare(tmp_path, recording, WINDOWS)


def test_the_digest_is_of_the_samples_and_not_of_the_file(tmp_path):
    values = np.random.default_rng(0).integers(0, 200, (50, 6))
    one, _ = prepare(tmp_path, values, DataConfig())
    same, _ = prepare(tmp_path, values.astype(np.float64), DataConfig())
    values[49, 5] += 1
    other, _ = prepare(tmp_path, values, DataConfig())
    assert one.digest == same.digest != other.digest


def test_a_stride_needs_a_recording(tmp_path):
    with pytest.raises(UsageError, match="stride is for windows of a recording"):
        prepare(tmp_path, np.random.default_rng(0).random((50, 6)), DataConfig(stride=2))


def test_images_are_resized_when_asked(tmp_path):
    from PIL import Image

    for index in range(4):
        Image.new("L", (10 + index, 9), 40 * index).save(tmp_path / f"{index}.png")
    data = prepare_data(tmp_path, replace(DataConfig(), image_size=(6, 4)), lambda text: None)
    assert data.sample_shape == (6, 4, 1)
