"""What `aetool init` writes is a configuration: it reads equal to what it was made from, and leaves no key out."""

from __future__ import annotations

import dataclasses
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from aetool.config import Config, load_config, load_preset, preset_names
from aetool.config.run import SECTIONS
from aetool.template import config_template, default_config

from .conftest import Aetool

KINDS: dict[str, tuple[type[Any], ...]] = {
    section: get_args(hint) or (hint,) for section, hint in get_type_hints(Config).items()
}


def test_without_a_preset_it_holds_the_defaults(aetool: Aetool, tmp_path: Path) -> None:
    outcome = aetool("init", tmp_path / "config.toml")
    assert outcome.code == 0, outcome.err
    assert load_config(tmp_path / "config.toml") == default_config() == Config(KINDS["model"][0]())
    assert outcome.out.splitlines()[-1] == f"next: aetool train {tmp_path / 'config.toml'} DATA -o model"


@pytest.mark.parametrize("preset", preset_names())
def test_with_a_preset_it_holds_that(aetool: Aetool, tmp_path: Path, preset: str) -> None:
    outcome = aetool("init", tmp_path / "config.toml", "--preset", preset, "--json")
    assert outcome.code == 0, outcome.err
    assert load_config(tmp_path / "config.toml") == load_preset(preset)
    assert outcome.document["preset"] == preset
    assert outcome.document["config"].keys() == set(SECTIONS)


def test_it_is_called_config_toml_where_no_name_is_given(
    aetool: Aetool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert aetool("init").code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]


def blocks(text: str) -> list[dict[str, Any]]:
    """Each section of the text, those behind ``#:`` too, as TOML reads it."""
    plain = [line.removeprefix("#:").lstrip() if line.startswith("#:") else line for line in text.splitlines()]
    starts = [*(at for at, line in enumerate(plain) if line.startswith("[")), len(plain)]
    return [tomllib.loads("\n".join(plain[start:end])) for start, end in pairwise(starts)]


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_of_every_kind_of_a_section_is_there_with_its_default(section: str) -> None:
    written = [block[section] for block in blocks(config_template(default_config())) if section in block]
    assert len(written) == len(KINDS[section])
    for kind in KINDS[section]:
        names = [item.name for item in dataclasses.fields(kind)]
        assert names in [list(block) for block in written], kind.__name__


def test_every_key_is_explained_but_the_one_that_names_the_kind() -> None:
    lines = config_template(default_config()).replace("#: ", "").splitlines()
    for section in SECTIONS:
        for kind in KINDS[section]:
            for item in dataclasses.fields(kind):
                if len(get_args(get_type_hints(kind)[item.name])) != 1:
                    assert any(line.startswith(f"# {item.name}: ") for line in lines), f"{section}.{item.name}"


def test_choices_and_defaults_stand_beside_the_values() -> None:
    lines = config_template(load_preset("dense")).splitlines()
    assert 'schedule = "cosine"  # default "constant"; or constant' in lines
    assert "seed = 0  # default" in lines
    assert "sample_shape = [-1]  # default []" in lines


def test_nothing_but_comments_and_keys() -> None:
    text = config_template(default_config())
    assert "``" not in text
    assert max(map(len, text.splitlines())) <= 120
    assert [line for line in text.splitlines() if line != line.rstrip()] == []


MISTAKES = {
    "a file that stands there": (["{tmp}/old.toml"], 2, ["already exists", "--overwrite"]),
    "an unknown preset": (["{tmp}/new.toml", "--preset", "conv1"], 2, ["'conv1'", "did you mean 'conv1d'"]),
    "a folder that cannot be": (["{tmp}/old.toml/new.toml"], 3, ["cannot make the folder"]),
    "two paths": (["{tmp}/a.toml", "{tmp}/b.toml"], 2, ["--help"]),
}


@pytest.mark.parametrize(("arguments", "code", "words"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes(aetool: Aetool, tmp_path: Path, arguments: list[str], code: int, words: list[str]) -> None:
    (tmp_path / "old.toml").write_text("mine")
    outcome = aetool("init", *(argument.format(tmp=tmp_path) for argument in arguments))
    assert outcome.code == code, outcome.err
    assert [word for word in words if word not in outcome.err] == []
    assert [path.name for path in tmp_path.iterdir()] == ["old.toml"]
    assert (tmp_path / "old.toml").read_text() == "mine"


def test_overwrite(aetool: Aetool, tmp_path: Path) -> None:
    (tmp_path / "old.toml").write_text("mine")
    assert aetool("init", tmp_path / "old.toml", "--overwrite").code == 0
    assert load_config(tmp_path / "old.toml") == default_config()
