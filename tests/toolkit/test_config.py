"""Configuration: strict, and what is written reads equal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aetool.config import (
    Config,
    Conv1dModel,
    Conv2dModel,
    DataConfig,
    DenseModel,
    TrainingConfig,
    config_differences,
    config_text,
    load_config,
    load_preset,
    parse_config,
    preset_names,
)
from aetool_runtime.errors import InputError, UsageError

DENSE = '[model]\nfamily = "dense"\n'


@pytest.mark.parametrize(
    "config",
    [
        Config(DenseModel()),
        Config(DenseModel(hidden=(8, 4), latent=2), DataConfig(sample_shape=(-1,), split=(0.5, 0.25, 0.25))),
        Config(Conv1dModel(batch_norm=True), DataConfig(sample_shape=(256, 2), stride=32, normalization="none")),
        Config(Conv2dModel(filters=(4,)), DataConfig(image_size=(28, 30)), TrainingConfig(min_delta=1e-3)),
    ],
)
def test_what_is_written_reads_equal(config):
    assert parse_config(config_text(config)) == config


def test_presets():
    assert {"conv1d", "conv2d", "dense"} <= set(preset_names())
    for name in ("conv1d", "conv2d", "dense"):
        assert load_preset(name).model.family == name
    assert all(load_preset(name) for name in preset_names())
    dense = load_preset("dense").model
    assert isinstance(dense, DenseModel)
    assert (dense.hidden, dense.latent, dense.output_activation) == ((64,), 32, "sigmoid")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[modle]\n",
            "modle is not known; expected one of data, model, latent, task, corruption, penalty, compression, balance",
        ),
        ("[model]\n", "model.family is missing; expected dense, linear, conv1d, conv2d, recurrent, text, custom"),
        (
            '[model]\nfamily = "conv2"\n',
            "model.family is 'conv2'; expected dense, linear, conv1d, conv2d, recurrent, text, custom\n  try: did you",
        ),
        ('model = "dense"\n', "model is 'dense'; expected a section [model]"),
        (DENSE + "filters = [3]\n", "model.filters is not known; expected one of family, latent, hidden"),
        (DENSE + "latnt = 3\n", "did you mean 'latent'?"),
        (DENSE + 'latent = "32"\n', "model.latent is '32'; expected `int`, got `str`"),
        (DENSE + "latent = 3.5\n", "model.latent is 3.5; expected `int`, got `float`"),
        (DENSE + "latent = true\n", "model.latent is True; expected `int`, got `bool`"),
        (DENSE + "latent = 0\n", "[model] latent must be > 0"),
        (DENSE + "latent = 100000000000\n", "model.latent is 100000000000; expected at most 2147483647"),
        (DENSE + "hidden = [8, 2147483648]\n", "model.hidden is [8, 2147483648]; expected at most 2147483647"),
        (DENSE + "[balance]\nclusters = 257\n", "[balance] clusters must be between 2 and 256"),
        (DENSE + 'hidden = [64, "x"]\n', "model.hidden[1] is 'x'; expected `int`, got `str`"),
        (DENSE + 'activation = "rleu"\n', "model.activation is 'rleu'; expected linear, relu"),
        (DENSE + "[data]\nsplit = [0.8, 0.2]\n", "data.split is [0.8, 0.2]; expected `array` of length 3, got 2"),
        (DENSE + "[data]\nsplit = [0.8, 0.1, 0.2]\n", "[data] the shares of split must add up to 1"),
        (DENSE + "[data]\nsplit = [0.9, 0.1, 0.0]\n", "[data] each share of split must be > 0"),
        (DENSE + "[data]\nimage_size = [28]\n", "[data] image_size holds height and width"),
        (DENSE + "[data]\nsample_shape = [0]\n", "[data] sample_shape holds sizes > 0, or -1"),
        (DENSE + "[training]\nepochs = 0\n", "[training] epochs must be > 0"),
        (DENSE + "[training]\nlearning_rate = nan\n", "[training] learning_rate must be > 0"),
        (DENSE + '[training]\nloss = "msee"\n', "training.loss is 'msee'; expected mse, mae, binary_crossentropy"),
        (DENSE + "[training]\nseed = -1\n", "[training] seed must be between 0 and"),
    ],
)
def test_what_is_refused_is_named(text, message):
    with pytest.raises(UsageError) as caught:
        parse_config(text, "run.toml")
    assert message in str(caught.value)
    assert str(caught.value).startswith("run.toml: ")


def test_whole_numbers_may_stand_for_real_ones():
    assert parse_config(DENSE + "[training]\nlearning_rate = 1\n").training.learning_rate == 1


@pytest.mark.parametrize(("content", "message"), [(b"[model", "is not TOML"), (b"\xff", "is not UTF-8 text")])
def test_files_that_are_not_toml(content, message, tmp_path):
    (tmp_path / "run.toml").write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_config(tmp_path / "run.toml")
    with pytest.raises(InputError, match="cannot be read"):
        load_config(tmp_path / "none.toml")


def test_an_unknown_preset_suggests_one():
    with pytest.raises(UsageError, match=r"there is no preset 'conv1'; expected .*conv1d, .*\n.*'conv1d'"):
        load_preset("conv1")


def test_differences_are_paths():
    config = Config(DenseModel())
    other = replace(config, training=replace(config.training, epochs=3), model=DenseModel(latent=3))
    assert config_differences(config, config) == []
    assert config_differences(config, other) == ["model.latent", "training.epochs"]
    assert "model.filters" in config_differences(config, Config(Conv2dModel()))
