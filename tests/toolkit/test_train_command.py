"""``aetool train``: arguments, what it prints, and what it writes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from aetool.cli.train import command
from aetool.config import config_text, load_config, preset_names
from aetool.training import is_checkpoint
from aetool_runtime.errors import UsageError

from .runs import DENSE, vectors


def run(*arguments):
    """stdout and stderr; errors come through as they are raised."""
    result = CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)
    return result.stdout, result.stderr


def failing(*arguments):
    with pytest.raises(UsageError) as caught:
        CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)
    return str(caught.value)


@pytest.fixture
def config(tmp_path):
    (tmp_path / "run.toml").write_text(config_text(DENSE))
    return tmp_path / "run.toml"


def test_a_run_ends_with_the_comparison_and_what_to_do_next(config, tmp_path):
    stdout, stderr = run(config, vectors(tmp_path), "-o", tmp_path / "model")
    assert is_checkpoint(tmp_path / "model")
    assert stdout.splitlines()[-1] == f"next: aetool export {tmp_path / 'model'}"
    network, pca = (line.split()[1] for line in stdout.splitlines() if line.startswith(("network", "PCA  ")))
    assert float(network) > float(pca)
    assert "does not earn its keep" in stdout
    assert "epoch 3/3: loss" in stderr


def test_json_is_one_document_and_logs_are_elsewhere(config, tmp_path):
    stdout, stderr = run(config, vectors(tmp_path), "-o", tmp_path / "model", "--json")
    document = json.loads(stdout)
    assert set(document) == {"checkpoint", "seconds", "parameters", "metrics"}
    assert document["metrics"]["evaluation"]["latent"] == 3
    assert "training on" in stderr


def test_options_override_the_configuration(config, tmp_path):
    options = [
        "--epochs",
        "2",
        "--batch-size",
        "40",
        "--latent",
        "2",
        "--learning-rate",
        "0.5",
        "--seed",
        "9",
        "--json",
    ]
    run(config, vectors(tmp_path), "-o", tmp_path / "model", *options)
    training = load_config(tmp_path / "model" / "config.toml").training
    assert (training.epochs, training.batch_size, training.learning_rate, training.seed) == (2, 40, 0.5, 9)
    assert load_config(tmp_path / "model" / "config.toml").model.latent == 2


def test_dry_run_writes_nothing(config, tmp_path):
    data = vectors(tmp_path)
    before = sorted(tmp_path.iterdir())
    stdout, _ = run(config, data, "-o", tmp_path / "model", "--dry-run")
    assert "samples: training 219, validation 28, test 28" in stdout
    assert "parameters: encoder 115, decoder 122" in stdout
    document = json.loads(run(config, data, "-o", tmp_path / "model", "--dry-run", "--json")[0])
    assert document["config"]["data"]["sample_shape"] == [10]
    assert document["data"]["shape"] == [275, 10]
    assert sorted(tmp_path.iterdir()) == before


def test_resuming_needs_no_configuration(config, tmp_path):
    data = vectors(tmp_path)
    run(config, data, "-o", tmp_path / "model")
    _, stderr = run("--resume", data, "-o", tmp_path / "model")
    assert "the run was finished already" in stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "0 arguments were given; expected [CONFIG] DATA"),
        (("a", "b", "c"), "3 arguments were given"),
        (("data.npy",), "no configuration was given; expected a CONFIG file, or --preset with one of aae"),
        (("run.toml", "data.npy", "--preset", "dense"), "a CONFIG and a --preset were given"),
        (("data.npy", "--preset", "dens"), "did you mean 'dense'?"),
        (("data.npy", "--preset", "dense", "--resume", "--overwrite"), "--resume and --overwrite exclude each other"),
        (("data.npy", "--preset", "dense", "--epochs", "0"), "epochs must be > 0"),
        (("data.npy", "--preset", "dense", "--latent", "-1"), "latent must be > 0"),
        (("data.npy", "--resume"), "there is no run to resume"),
    ],
)
def test_wrong_arguments(arguments, message, tmp_path):
    assert message in failing(*arguments, "-o", tmp_path / "model")


def test_an_existing_output_is_refused_before_anything_is_read(tmp_path):
    (tmp_path / "model").mkdir()
    message = failing("--preset", "dense", tmp_path / "none.npy", "-o", tmp_path / "model")
    assert "already exists" in message
    assert "--overwrite" in message


def test_help_names_every_preset():
    stdout, _ = run("--help")
    assert ", ".join(preset_names()) in " ".join(stdout.split())


def test_every_preset_says_what_it_is_for_and_fits_its_data():
    from aetool.config import load_preset
    from aetool.training import plan_training

    presets = Path(load_config.__code__.co_filename).parents[1] / "presets"
    for preset in preset_names():
        text = (presets / f"{preset}.toml").read_text()
        data = re.search(rf"^#   aetool train --preset {preset} (\S+) -o model\b", text, re.MULTILINE)
        assert data, preset
        plan = plan_training(load_preset(preset), data[1], print)
        decoded = plan.autoencoder.decoder.output_shape[1:]
        assert decoded[: len(plan.data.sample_shape)] in (plan.data.sample_shape, (None, None, 3))
