"""What `aetool evaluate` measures, held against figures that follow from how the data were made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aetool.quality import compare_spaces
from aetool.quality.clusters import input_points, latent_points, principal_components
from aetool.spread import EvenSpread
from aetool_runtime.errors import UsageError

from .conftest import Aetool
from .linear import orthogonal, write_linear


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bundle of 10 → 3 values, three far groups of 40 samples each, and their labels."""
    folder = tmp_path_factory.mktemp("groups")
    matrix = orthogonal(10, 3)
    write_linear(folder / "b.aepkg", matrix, (10,), input_minimum=(0.0,), input_maximum=(20.0,))
    rng = np.random.default_rng(2)
    labels = np.repeat([0, 1, 2], 40)
    centres = 30 * np.eye(3) @ matrix.T
    np.save(folder / "data.npy", (centres[labels] + rng.normal(0, 0.5, (120, 10))).astype("f4"))
    np.save(folder / "labels.npy", labels)
    rows = [",".join(map(str, row)) for row in np.load(folder / "data.npy")]
    names = ",".join(f"v{place}" for place in range(10))
    table = [f"{names},kind", *(f"{row},{'abc'[label]}" for row, label in zip(rows, labels, strict=True))]
    (folder / "table.csv").write_text("\n".join(table))
    return folder


@pytest.fixture(scope="module")
def digits(dense_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from aetool.cli import run

    path = tmp_path_factory.mktemp("digits") / "digits.aepkg"
    assert run(["export", str(dense_checkpoint), "--onnx", "-o", str(path)]) == 0
    return path


def evaluate(aetool: Aetool, groups: Path, *arguments: object) -> Any:
    outcome = aetool("evaluate", groups / "b.aepkg", groups / "data.npy", *arguments, "--json")
    assert outcome.code == 0, outcome.err
    return outcome.document


class TestFigures:
    def test_the_error_is_what_the_latent_cannot_hold(self, aetool: Aetool, groups: Path) -> None:
        data, matrix = np.load(groups / "data.npy").astype("f8"), orthogonal(10, 3)
        mse = float(np.square(data - data @ matrix @ matrix.T).mean())
        found = evaluate(aetool, groups)["reconstruction"]
        assert found["mse"] == pytest.approx(mse, rel=1e-4)
        assert found["peak"] == 20, "the range seen in training, as the bundle tells it"
        assert found["psnr"] == pytest.approx(10 * np.log10(20**2 / mse), rel=1e-4)

    def test_far_groups_are_found_in_every_space(self, aetool: Aetool, groups: Path) -> None:
        found = evaluate(aetool, groups, "--labels", groups / "labels.npy")
        assert found["clusters"] == 3, "as many as labels"
        assert [(row["space"], row["dimensions"]) for row in found["spaces"]] == [
            ("latents", 3), ("PCA", 3), ("raw input", 10)
        ]  # fmt: skip
        assert [row["adjusted_rand"] for row in found["spaces"]] == [1.0, 1.0, 1.0]
        assert all(row["silhouette"] > 0.9 for row in found["spaces"])

    def test_labels_may_be_a_column_of_the_data(self, aetool: Aetool, groups: Path) -> None:
        arguments = ("evaluate", groups / "b.aepkg", groups / "table.csv", "--labels", "kind", "--json")
        outcome = aetool(*arguments)
        assert outcome.code == 0, outcome.err
        assert [row["adjusted_rand"] for row in outcome.document["spaces"]] == [1.0, 1.0, 1.0]

    def test_without_labels_there_is_no_agreement(self, aetool: Aetool, groups: Path) -> None:
        found = evaluate(aetool, groups, "--clusters", 3)
        assert [row["adjusted_rand"] for row in found["spaces"]] == [None] * 3

    def test_labels_by_chance_agree_by_chance(self, aetool: Aetool, groups: Path, tmp_path: Path) -> None:
        np.save(tmp_path / "chance.npy", np.random.default_rng(0).integers(0, 3, 120))
        found = evaluate(aetool, groups, "--labels", tmp_path / "chance.npy")
        assert all(abs(row["adjusted_rand"]) < 0.05 for row in found["spaces"])

    def test_the_same_seed_gives_the_same_figures(self, aetool: Aetool, groups: Path) -> None:
        assert evaluate(aetool, groups, "--seed", 4) == evaluate(aetool, groups, "--seed", 4)

    def test_a_reconstruction_of_another_shape_is_not_compared(
        self, aetool: Aetool, groups: Path, tmp_path: Path
    ) -> None:
        bundle = write_linear(tmp_path / "b.aepkg", orthogonal(10, 3), (10,), returned=(5, 2))
        outcome = aetool("evaluate", bundle, groups / "data.npy", "--clusters", 3)
        assert outcome.code == 0, outcome.err
        assert "not of the input's shape" in outcome.out

    def test_the_range_of_the_data_stands_in_where_none_is_told(
        self, aetool: Aetool, groups: Path, tmp_path: Path
    ) -> None:
        bundle = write_linear(tmp_path / "b.aepkg", orthogonal(10, 3), (10,))
        data = np.load(groups / "data.npy")
        document = aetool("evaluate", bundle, groups / "data.npy", "--clusters", 3, "--json").document
        assert document["reconstruction"]["peak"] == pytest.approx(float(data.max() - data.min()))


class TestDigits:
    def test_bring_their_labels(self, aetool: Aetool, digits: Path, tmp_path: Path) -> None:
        outcome = aetool("evaluate", digits, "builtin:digits", "-o", tmp_path / "scatter.png", "--json")
        assert outcome.code == 0, outcome.err
        document = outcome.document
        assert (document["samples"], document["clusters"], document["clustered_samples"]) == (1797, 10, 1797)
        latents, pca, raw = document["spaces"]
        assert (latents["dimensions"], pca["dimensions"], raw["dimensions"]) == (32, 32, 784)
        assert all(row["adjusted_rand"] > 0.3 for row in document["spaces"])
        assert 0.6 < raw["adjusted_rand"] < 0.75, "k-means on the pixels is a figure of the data alone"
        assert (tmp_path / "scatter.png").read_bytes().startswith(b"\x89PNG")

    def test_a_person_reads_a_table_and_what_next(self, aetool: Aetool, digits: Path) -> None:
        lines = aetool("evaluate", digits, "builtin:digits").out.splitlines()
        assert lines[0].startswith("1,797 samples of builtin:digits on onnxruntime/cpu")
        assert [line for line in lines if line.startswith("reconstruction: MSE ")]
        rows = [line for line in lines if line.startswith(("latents ", "PCA ", "raw input "))]
        assert [row.rsplit(None, 3)[1] for row in rows[:3]] == ["32", "32", "784"]
        assert lines[-1].startswith(f"next: aetool sample {digits}")


class TestPicture:
    def test_is_coloured_by_cluster_without_labels(self, aetool: Aetool, groups: Path, tmp_path: Path) -> None:
        for name in ("one", "two"):
            evaluate(aetool, groups, "--clusters", 3, "-o", tmp_path / f"{name}.png")
        one, two = ((tmp_path / f"{name}.png").read_bytes() for name in ("one", "two"))
        assert one == two
        assert one.startswith(b"\x89PNG")

    @pytest.mark.parametrize("latent", [1, 2])
    def test_of_few_dimensions(self, aetool: Aetool, groups: Path, tmp_path: Path, latent: int) -> None:
        bundle = write_linear(tmp_path / "b.aepkg", orthogonal(10, latent), (10,))
        arguments = ("--labels", groups / "labels.npy", "-o", tmp_path / "s.png")
        outcome = aetool("evaluate", bundle, groups / "data.npy", *arguments)
        assert outcome.code == 0, outcome.err


class TestSpaces:
    def test_integers_are_categories(self) -> None:
        name, points = latent_points(np.array([[0, 2], [1, 2]], np.int32))
        assert name == "latents as categories"
        np.testing.assert_array_equal(points, [[1, 0, 0, 0, 0, 1], [0, 1, 0, 0, 0, 1]])

    def test_latents_of_any_shape_are_vectors(self) -> None:
        assert latent_points(np.zeros((3, 4, 5), np.float32))[1].shape == (3, 20)

    def test_tokens_are_counted(self) -> None:
        name, points = input_points(np.array([[0, 2, 2], [1, 1, 1]], np.int32))
        assert name == "token counts"
        np.testing.assert_array_equal(points, [[1, 0, 2], [0, 3, 0]])

    def test_no_more_components_than_there_are(self) -> None:
        assert principal_components(np.random.default_rng(0).random((4, 9)), 32).shape == (4, 4)

    def test_latents_that_all_collapsed_have_no_silhouette(self) -> None:
        inputs = np.random.default_rng(0).random((20, 3))
        latents, _, _ = compare_spaces(inputs, np.zeros((20, 2)), np.arange(20) % 2, 2, 0)
        assert (latents.silhouette, latents.adjusted_rand) == (None, 0.0)

    @pytest.mark.parametrize("clusters", [-1, 0, 1, 20, 21])
    def test_clusters_that_samples_do_not_allow(self, clusters: int) -> None:
        with pytest.raises(UsageError, match="20 samples"):
            compare_spaces(np.zeros((20, 3)), np.zeros((20, 2)), None, clusters, 0)


class TestEvenSpread:
    @pytest.mark.parametrize("sizes", [[5], [100], [1] * 100, [7] * 13, [99, 1, 150]])
    def test_keeps_what_is_evenly_spread_over_any_stream(self, sizes: list[int]) -> None:
        spread, whole = EvenSpread(10), np.arange(sum(sizes))
        for piece in np.split(whole, np.cumsum(sizes)[:-1]):
            spread.add(piece, piece * 2.0)
        first, second = spread.arrays()
        np.testing.assert_array_equal(first, spread.indices)
        np.testing.assert_array_equal(second, first * 2)
        assert spread.seen == len(whole)
        assert len(first) <= 10
        assert len(set(np.diff(first).tolist())) <= 1
        assert len(first) >= min(len(whole), 5)


MISTAKES = {
    "a picture of another kind": (["{b}", "{data}", "-o", "{tmp}/s.jpg"], 2, ["s.jpg", ".png"]),
    "a file that stands there": (["{b}", "{data}", "-o", "{tmp}/old.png"], 2, ["already exists", "--overwrite"]),
    "labels that are not there": (
        ["{b}", "{data}", "--labels", "{tmp}/no.npy"],
        3,
        ["cannot be read as labels", "no.npy"],
    ),
    "labels of two columns": (["{b}", "{data}", "--labels", "{data}"], 3, ["[120, 10]", "for each sample"]),
    "too few labels": (["{b}", "{data}", "--labels", "{tmp}/few.npy"], 3, ["7 labels", "120 samples"]),
    "a column of what has none": (["{b}", "{data}", "--labels", "kind"], 3, ["no columns", "'kind'"]),
    "one cluster": (["{b}", "{data}", "--clusters", "1"], 2, ["1 clusters"]),
    "more clusters than samples": (["{b}", "{data}", "--clusters", "120"], 2, ["120 samples", "120 clusters"]),
    "data of another shape": (["{b}", "{tmp}/wide.npy"], 3, ["[2, 2]", "[10]"]),
    "data that fill no sample": (["{b}", "{tmp}/few.npy"], 3, ["7 rows"]),
    "no such data": (["{b}", "{tmp}/no.npy"], 3, ["no such file"]),
    "no such bundle": (["{tmp}/no.aepkg", "{data}"], 3, ["no such bundle"]),
    "an unknown device": (["{b}", "{data}", "--device", "tpu"], 8, ["'tpu'"]),
}


@pytest.mark.parametrize(("arguments", "code", "words"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes(
    aetool: Aetool, groups: Path, tmp_path: Path, arguments: list[str], code: int, words: list[str]
) -> None:
    np.save(tmp_path / "few.npy", np.arange(7))
    np.save(tmp_path / "wide.npy", np.ones((3, 2, 2)))
    (tmp_path / "old.png").write_bytes(b"\xff\xfe\x80")
    places = {"b": groups / "b.aepkg", "data": groups / "data.npy", "tmp": tmp_path}
    outcome = aetool("evaluate", *(argument.format(**places) for argument in arguments))
    assert outcome.code == code, outcome.err
    assert [word for word in words if word not in outcome.err] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["few.npy", "old.png", "wide.npy"]
