"""`aetool rate`: one table, one sentence, and everything that was not measured by name."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.runtime.compression.made import bare, fixed
from tests.runtime.compression.streams import bundle_with

from aetool.compressing.own_curves import fitted_linear, model_bytes

from .conftest import Aetool

TIME = np.arange(8000)
NOISE = np.random.default_rng(0).normal(0, 3, (8000, 2))
WAVES = np.rint(np.stack([300 * np.sin(TIME / 5), 200 * np.cos(TIME / 9)], axis=1) + NOISE).astype(np.int16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings, a bundle of a network and a linear codec, one of principal components, one of no codec."""
    path = tmp_path_factory.mktemp("rate")
    np.save(path / "train.npy", WAVES[:6000])
    np.save(path / "test.npy", WAVES[6000:])
    windows = WAVES.reshape(-1, 8, 2).astype(np.float32)
    both = bundle_with(path / "both.aepkg", fixed())
    bundle_with(path / "linear.aepkg", fitted_linear(both, fixed(), windows[:750], windows[750:]))
    bundle_with(path / "bare.aepkg", bare())
    return path


def test_a_linear_bundle_beside_what_is_here(aetool: Aetool, folder: Path, tmp_path: Path) -> None:
    outcome = aetool(
        "rate", folder / "linear.aepkg", folder / "test.npy", "--csv", tmp_path / "t.csv", "--plot", tmp_path / "p.png"
    )
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    assert lines[0] == "250 samples, 4,000 values, all headers counted"
    assert lines[-1].startswith("next: aetool compress")
    assert "orth it" in lines[-2]
    assert "BD-rate" in outcome.out
    with Image.open(tmp_path / "p.png") as picture:
        assert picture.format == "PNG"
    rows = list(csv.DictReader((tmp_path / "t.csv").read_text().splitlines()))
    assert {"this bundle", "zlib", "zstd -19"} <= {row["coder"] for row in rows}
    own = [row for row in rows if row["coder"] == "this bundle"]
    assert len(own) > 4
    assert [float(row["rmse"]) for row in own] == sorted((float(row["rmse"]) for row in own), reverse=True)


def test_one_document_with_every_byte(aetool: Aetool, folder: Path) -> None:
    call = ("rate", folder / "linear.aepkg", folder / "test.npy", "--json")
    plain, counted = aetool(*call).document, aetool(*call, "--count-model").document
    assert plain["values"] == 4000
    assert plain["bd_rates"]["zlib"] > 0, "principal components beat zlib on waves"
    first, same = plain["curves"][0]["points"][0], counted["curves"][0]["points"][0]
    assert first["bits_per_value"] == 8 * first["bytes"] / 4000
    assert same["bytes"] - first["bytes"] > 1000
    assert "soundfile" in plain["not_measured"].get("FLAC", "soundfile")


def test_a_streams_bytes_are_those_that_compress_writes(aetool: Aetool, folder: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.load(folder / "test.npy").reshape(-1, 8, 2))
    document = aetool("rate", folder / "linear.aepkg", tmp_path / "w.npy", "--json").document
    points = {one["setting"]: one for one in document["curves"][0]["points"]}
    for quality in (0, 3):
        options = ("-o", tmp_path / "s.aes", "--bundle", folder / "linear.aepkg", "--overwrite", "--json")
        made = aetool("compress", tmp_path / "w.npy", *options, "--quality", quality).document
        assert points[f"quality {quality}"]["bytes"] == made["bytes"]
        assert points[f"quality {quality}"]["rmse"] == pytest.approx(made["rmse"])


def test_a_network_stands_beside_principal_components(aetool: Aetool, folder: Path) -> None:
    document = aetool("rate", folder / "both.aepkg", folder / "test.npy", "--json").document
    assert [curve["coder"] for curve in document["curves"][:2]] == ["this bundle", "PCA"]


def test_vectors_are_judged_by_their_neighbours(aetool: Aetool, folder: Path) -> None:
    from aetool_runtime import open_bundle
    from aetool_runtime.compression.description import Compression

    random = np.random.default_rng(0)
    vectors = (random.normal(size=(1500, 16)) @ random.normal(size=(16, 16))).astype(np.float32)
    like = Compression((16,), 1.0, 1, 0, (), (), 0, ())
    made = fitted_linear(open_bundle(folder / "both.aepkg"), like, vectors[:1000], vectors[1000:])
    bundle_with(folder / "vectors.aepkg", made)
    assert model_bytes(made) > 0
    np.save(folder / "vectors.npy", vectors[1000:])
    outcome = aetool("rate", folder / "vectors.aepkg", folder / "vectors.npy", "--metric", "recall@10")
    assert outcome.code == 0, outcome.err
    assert "bytes a vector, recall@10 is" in outcome.out
    document = aetool(
        "rate", folder / "vectors.aepkg", folder / "vectors.npy", "--metric", "recall@10", "--json"
    ).document
    recalls = [one["recall"] for one in document["curves"][0]["points"]]
    assert recalls[-1] > 0.9 > recalls[0]
    assert {"int8", "int4"} <= {curve["coder"] for curve in document["curves"]}


CALLS = {
    "a bundle without codecs": (["bare.aepkg", "test.npy"], 2, "no codec"),
    "a missing file": (["linear.aepkg", "missing.npy"], 3, "no such file"),
    "windows without neighbours": (["linear.aepkg", "test.npy", "--metric", "recall@10"], 3, "ten neighbours"),
    "a metric that is not there": (["linear.aepkg", "test.npy", "--metric", "psnr"], 2, "recall@10"),
    "a picture that stands there": (["linear.aepkg", "test.npy", "--plot", "test.npy"], 2, "already exists"),
}


@pytest.mark.parametrize(("arguments", "code", "text"), CALLS.values(), ids=CALLS)
def test_mistakes_are_told(
    aetool: Aetool, folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, text: str
) -> None:
    monkeypatch.chdir(folder)
    outcome = aetool("rate", *arguments)
    assert (outcome.code, text in outcome.err) == (code, True), outcome.err
