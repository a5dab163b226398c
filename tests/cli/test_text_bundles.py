"""Text through the commands that measure and make samples: tokens are counted and compared, samples are lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Aetool

CONFIG = """
[data]
normalization = "none"
text_length = 16
[model]
family = "text"
latent = 4
embedding = 4
filters = [8]
[training]
loss = "sparse_categorical_crossentropy"
epochs = 1
"""


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with hardly trained words, words.txt and words.aepkg."""
    from aetool.cli import run

    folder = tmp_path_factory.mktemp("text")
    (folder / "config.toml").write_text(CONFIG)
    (folder / "words.txt").write_text("".join(f"line {n} of {n * n} words\n" for n in range(60)))
    model, bundle = str(folder / "model"), str(folder / "words.aepkg")
    assert run(["train", str(folder / "config.toml"), str(folder / "words.txt"), "-o", model]) == 0
    assert run(["export", model, "--onnx", "-o", bundle]) == 0
    return folder


def test_evaluate_counts_tokens(aetool: Aetool, text: Path, tmp_path: Path) -> None:
    arguments = ("--clusters", 3, "-o", tmp_path / "scatter.png", "--json")
    outcome = aetool("evaluate", text / "words.aepkg", text / "words.txt", *arguments)
    assert outcome.code == 0, outcome.err
    document = outcome.document
    assert document["samples"] == 60
    assert 0 <= document["reconstruction"]["accuracy"] <= 1
    assert document["reconstruction"]["mse"] is None
    assert [row["space"] for row in document["spaces"]] == ["latents", "PCA", "token counts"]
    assert "of the tokens are right" in aetool("evaluate", text / "words.aepkg", text / "words.txt").out


def test_samples_are_lines(aetool: Aetool, text: Path, tmp_path: Path) -> None:
    for name in ("one.txt", "two.txt"):
        outcome = aetool("sample", text / "words.aepkg", "--fit", text / "words.txt", "-n", 5, "-o", tmp_path / name)
        assert outcome.code == 0, outcome.err
    assert (tmp_path / "one.txt").read_bytes() == (tmp_path / "two.txt").read_bytes()
    assert (tmp_path / "one.txt").read_bytes().count(b"\n") == 5


def test_samples_make_no_picture(aetool: Aetool, text: Path, tmp_path: Path) -> None:
    outcome = aetool("sample", text / "words.aepkg", "-o", tmp_path / "grid.png")
    assert outcome.code == 2
    assert "samples.txt" in outcome.err


def test_inspect_knows_every_layer(aetool: Aetool, text: Path) -> None:
    totals = aetool("inspect", text / "words.aepkg", "--json").document["totals"]
    assert totals["encoder"]["unknown"] == totals["decoder"]["unknown"] == []
