"""The family custom: what may be named, what it must return, and how a mistake is told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.toolkit.runs import recording

from aetool.config import Config, CustomModel, DataConfig, TrainingConfig, VariationalLatent, config_text, parse_config
from aetool.models import build_autoencoder
from aetool.training import train
from aetool_runtime.errors import InputError, ModelError, UsageError

MODELS = "tests.toolkit.custom_models"


def model(name: str, **arguments: object) -> CustomModel:
    return CustomModel(build=f"{MODELS}:{name}", arguments=arguments)


@pytest.mark.parametrize("name", ["scaled", "Attributes"])
def test_a_function_or_a_class(name: str) -> None:
    built = build_autoencoder(model(name), (6, 2), 0)
    assert built.whole(np.zeros((3, 6, 2))).shape == (3, 6, 2)


def test_arguments_reach_the_function() -> None:
    assert build_autoencoder(model("scaled", latent=9), (6, 2), 0).encoder.output_shape == (None, 9)


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("one_half", ModelError, "returned a Sequential; expected encoder and decoder"),
        ("names", ModelError, "returned a tuple of str, str"),
        ("raising", InputError, r"failed \(LookupError: no weights today\)"),
        ("other_input", ModelError, r"the encoder takes \[6, 2, 2\]; expected \[6, 2\]"),
        ("other_latent", ModelError, r"the decoder takes \[3\]; expected \[4\]"),
        ("other_output", ModelError, r"the decoder returns \[7\]; expected \[6, 2\]"),
        ("unbuilt", ModelError, "the encoder has no shapes yet"),
        ("two_outputs", ModelError, "the encoder has 1 inputs and 2 outputs"),
        ("scalde", InputError, "cannot be imported .*scalde"),
    ],
)
def test_what_it_does_wrong_is_named(name: str, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        build_autoencoder(model(name), (6, 2), 0)


def test_wrong_arguments() -> None:
    with pytest.raises(InputError, match=r"failed .*unexpected keyword argument 'latnt'"):
        build_autoencoder(model("scaled", latnt=3), (6, 2), 0)


@pytest.mark.parametrize(
    ("source", "message"), [(None, "No module named 'mine'"), ("raise RuntimeError('boom')", "RuntimeError: boom")]
)
def test_modules_that_cannot_be_imported(
    source: str | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    if source is not None:
        (tmp_path / "mine.py").write_text(source)
    with pytest.raises(InputError, match=message):
        build_autoencoder(CustomModel(build="mine:make"), (6, 2), 0)


def test_it_brings_its_own_latent() -> None:
    with pytest.raises(UsageError, match="do not go with the family custom"):
        build_autoencoder(model("scaled"), (6, 2), 0, latent=VariationalLatent())


@pytest.mark.parametrize("build", ["", "module", "module:", ":name", "a b:c", "module:name()"])
def test_what_is_no_name_of_code(build: str) -> None:
    with pytest.raises(UsageError, match=r'build must be like "package.module:function"'):
        parse_config(f'[model]\nfamily = "custom"\nbuild = "{build}"\n')


def test_its_configuration_reads_back_equal() -> None:
    text = '[model]\nfamily = "custom"\nbuild = "a.b:C"\n[model.arguments]\nwidths = [3, 4]\nname = "x"\n'
    config = parse_config(text)
    assert config.model == CustomModel(build="a.b:C", arguments={"widths": [3, 4], "name": "x"})
    assert parse_config(config_text(config)) == config


def test_a_checkpoint_loads_in_a_new_process(tmp_path: Path) -> None:
    """The module is imported for its registered layers; a bundle would not need it."""
    config = Config(model("scaled"), DataConfig(sample_shape=(16, 2)), TrainingConfig(epochs=1))
    train(config, recording(tmp_path), tmp_path / "model")
    script = (
        "import sys; from pathlib import Path; from aetool.training import load_checkpoint;"
        f"print(load_checkpoint(Path({str(tmp_path / 'model')!r})).parameters)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert "encoder" in done.stdout
