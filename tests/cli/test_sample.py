"""Where new samples come from, that the seed decides them, and what can be drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aetool.sampling import layout_of
from aetool_runtime.specs import Array

from .conftest import Aetool
from .linear import orthogonal, write_linear

NORMAL = {"latent_prior": "standard_normal"}


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Flat images of 8×8 and a latent of 4, without a prior."""
    return write_linear(tmp_path_factory.mktemp("squares") / "squares.aepkg", orthogonal(64, 4), (64,))


@pytest.fixture(scope="module")
def normal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, made to be sampled from."""
    return write_linear(tmp_path_factory.mktemp("normal") / "normal.aepkg", orthogonal(64, 4), (64,), **NORMAL)


@pytest.fixture(scope="module")
def integers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A latent of four integers."""
    folder = tmp_path_factory.mktemp("integers")
    return write_linear(folder / "integers.aepkg", orthogonal(64, 4), (64,), integers=True)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    np.save(tmp_path / "data.npy", np.random.default_rng(5).normal(3, 2, (500, 64)).astype("f4"))
    return tmp_path / "data.npy"


def latents(samples: Path) -> Array:
    """The latents that were decoded: the matrix is orthogonal."""
    return np.load(samples).reshape(-1, 64) @ orthogonal(64, 4)


class TestWhereLatentsComeFrom:
    def test_the_prior_of_the_bundle(self, aetool: Aetool, normal: Path, tmp_path: Path) -> None:
        outcome = aetool("sample", normal, "-n", 4000, "-o", tmp_path / "out.npy")
        assert outcome.code == 0, outcome.err
        assert "standard normal prior" in outcome.out
        drawn = latents(tmp_path / "out.npy")
        assert drawn.shape == (4000, 4)
        np.testing.assert_allclose(drawn.mean(axis=0), 0, atol=0.1)
        np.testing.assert_allclose(np.cov(drawn.T), np.eye(4), atol=0.15)

    def test_a_gaussian_fitted_to_the_golden_vectors(self, aetool: Aetool, squares: Path, tmp_path: Path) -> None:
        outcome = aetool("sample", squares, "-n", 4000, "-o", tmp_path / "out.npy")
        assert outcome.code == 0, outcome.err
        assert "a Gaussian fitted to the latents of the 16 samples in the bundle" in outcome.out
        assert "better: --fit DATA" in outcome.err
        golden = np.random.default_rng(1).uniform(0, 1, (16, 64)).astype("f4") @ orthogonal(64, 4)
        drawn = latents(tmp_path / "out.npy")
        np.testing.assert_allclose(drawn.mean(axis=0), golden.mean(axis=0), atol=0.03)
        np.testing.assert_allclose(np.cov(drawn.T), np.cov(golden.T), atol=0.02)

    @pytest.mark.parametrize("bundle", ["squares", "normal"])
    def test_fit_decides_where_it_is_given(
        self, aetool: Aetool, data: Path, tmp_path: Path, bundle: str, request: pytest.FixtureRequest
    ) -> None:
        path = request.getfixturevalue(bundle)
        outcome = aetool("sample", path, "-n", 4000, "--fit", data, "-o", tmp_path / "out.npy", "--json")
        assert outcome.document["latents"] == f"a Gaussian fitted to the latents of 500 samples of {data}"
        real, drawn = np.load(data) @ orthogonal(64, 4), latents(tmp_path / "out.npy")
        np.testing.assert_allclose(drawn.mean(axis=0), real.mean(axis=0), atol=0.15)
        np.testing.assert_allclose(np.cov(drawn.T), np.cov(real.T), atol=0.5)

    def test_integers_occur_where_and_as_often_as_in_real_latents(
        self, aetool: Aetool, integers: Path, tmp_path: Path
    ) -> None:
        # three of four real samples have the latents 100, 0, 0, 0, the fourth 0, 0, 0, 300
        real = np.array([[1, 0, 0, 0]] * 3 + [[0, 0, 0, 3]], "f4") @ orthogonal(64, 4).T
        np.save(tmp_path / "real.npy", real)
        outcome = aetool("sample", integers, "-n", 2000, "--fit", tmp_path / "real.npy", "-o", tmp_path / "out.npy")
        assert outcome.code == 0, outcome.err
        assert "the frequency of each integer at its place" in outcome.out
        drawn = np.rint(latents(tmp_path / "out.npy")).astype(int)
        assert [sorted(set(column)) for column in drawn.T] == [[0, 1], [0], [0], [0, 3]]
        assert drawn[:, 0].mean() == pytest.approx(0.75, abs=0.05)
        assert (drawn[:, 3] == 3).mean() == pytest.approx(0.25, abs=0.05)


class TestSeed:
    @pytest.mark.parametrize("suffix", ["npy", "png"])
    def test_the_same_seed_gives_the_same_file(self, aetool: Aetool, normal: Path, tmp_path: Path, suffix: str) -> None:
        for name, seed in (("one", 7), ("two", 7), ("other", 8)):
            assert aetool("sample", normal, "--seed", seed, "-o", tmp_path / f"{name}.{suffix}").code == 0
        one, two, other = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in ("one", "two", "other"))
        assert one == two != other

    def test_fewer_samples_are_the_first_of_more(self, aetool: Aetool, normal: Path, tmp_path: Path) -> None:
        for count in (3, 9):
            assert aetool("sample", normal, "-n", count, "-o", tmp_path / f"{count}.npy").code == 0
        few, more = np.load(tmp_path / "3.npy"), np.load(tmp_path / "9.npy")
        np.testing.assert_allclose(few, more[:3], atol=1e-6)


class TestPictures:
    @pytest.mark.parametrize(
        ("shape", "kind", "drawn"),
        [
            ((28, 28), "image", (28, 28)),
            ((28, 28, 1), "image", (28, 28)),
            ((12, 8, 3), "image", (12, 8, 3)),
            ((784,), "image", (28, 28)),
            ((64,), "image", (8, 8)),
            ((256, 2), "window", (256, 2)),
            ((140, 1), "window", (140, 1)),
            ((24, 6), "window", (24, 6)),
        ],
    )
    def test_what_becomes_of_a_shape(self, shape: tuple[int, ...], kind: str, drawn: tuple[int, ...]) -> None:
        layout = layout_of(shape)
        assert layout is not None
        assert (layout.kind, layout.shape) == (kind, drawn)

    @pytest.mark.parametrize("shape", [(49,), (785,), (8, 8, 2), (4, 4, 4, 1), (None, None, 1), ()])
    def test_what_makes_no_picture(self, shape: tuple[int | None, ...]) -> None:
        assert layout_of(shape) is None

    @pytest.mark.parametrize("shape", [(64,), (8, 8), (8, 8, 1), (4, 4, 3), (24, 2)])
    @pytest.mark.parametrize("count", [1, 5])
    def test_are_written(self, aetool: Aetool, tmp_path: Path, shape: tuple[int, ...], count: int) -> None:
        bundle = write_linear(tmp_path / "b.aepkg", orthogonal(int(np.prod(shape)), 4), shape, **NORMAL)
        outcome = aetool("sample", bundle, "-n", count, "-o", tmp_path / "grid.png")
        assert outcome.code == 0, outcome.err
        assert f"[{count}, " in outcome.out
        assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")


MISTAKES = {
    "no output": (["{squares}"], 2, ["--output"]),
    "another suffix": (["{squares}", "-o", "{tmp}/out.jpg"], 2, ["out.jpg", ".png, .npy or .txt"]),
    "texts of what has no words": (["{squares}", "-o", "{tmp}/out.txt"], 2, ["makes no texts"]),
    "a file that stands there": (["{squares}", "-o", "{tmp}/old.npy"], 2, ["already exists", "--overwrite"]),
    "no samples": (["{squares}", "-n", "0", "-o", "{tmp}/out.npy"], 2, ["-n"]),
    "too many for a picture": (["{squares}", "-n", "401", "-o", "{tmp}/out.png"], 2, ["401", "400"]),
    "no picture": (["{vectors}", "-o", "{tmp}/out.png"], 2, ["make no picture", "-o samples.npy"]),
    "integers without real samples": (["{integers}", "-o", "{tmp}/out.npy"], 2, ["holds integers", "--fit DATA"]),
    "integers with a prior": (["{wrong}", "-o", "{tmp}/out.npy"], 2, ["holds integers", "--fit DATA"]),
    "a prior of a later version": (["{later}", "-o", "{tmp}/out.npy"], 2, ["'mixture'", "standard_normal", "--fit"]),
    "one sample": (["{single}", "-o", "{tmp}/out.npy"], 3, ["too few"]),
    "no such data": (["{squares}", "--fit", "{tmp}/no.npy", "-o", "{tmp}/out.npy"], 3, ["no such file"]),
    "data of another shape": (["{squares}", "--fit", "{tmp}/old.npy", "-o", "{tmp}/out.npy"], 3, ["[3]", "[64]"]),
    "no such bundle": (["{tmp}/no.aepkg", "-o", "{tmp}/out.npy"], 3, ["no such bundle"]),
    "an unknown backend": (["{squares}", "--backend", "onx", "-o", "{tmp}/out.npy"], 8, ["onx"]),
    "a precision that is not there": (["{squares}", "--precision", "int8", "-o", "{tmp}/out.npy"], 2, ["no int8"]),
}


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("odd")
    matrix = orthogonal(64, 4)
    return {
        "vectors": write_linear(folder / "vectors", orthogonal(10, 4), (10,)),
        "wrong": write_linear(folder / "wrong", matrix, (64,), integers=True, **NORMAL),
        "later": write_linear(folder / "later", matrix, (64,), latent_prior="mixture"),
        "single": write_linear(folder / "single", matrix, (64,), golden=1),
    }


@pytest.mark.parametrize(("arguments", "code", "words"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes(
    aetool: Aetool,
    squares: Path,
    integers: Path,
    odd: dict[str, Path],
    tmp_path: Path,
    arguments: list[str],
    code: int,
    words: list[str],
) -> None:
    np.save(tmp_path / "old.npy", np.zeros((2, 3)))
    places = {"squares": squares, "integers": integers, "tmp": tmp_path, **odd}
    outcome = aetool("sample", *(argument.format(**places) for argument in arguments))
    assert outcome.code == code, outcome.err
    assert [word for word in words if word not in outcome.err] == []
    assert [path.name for path in tmp_path.iterdir()] == ["old.npy"]


def test_the_last_line_says_what_next(aetool: Aetool, normal: Path, tmp_path: Path) -> None:
    outcome = aetool("sample", normal, "-o", tmp_path / "out.npy")
    assert outcome.out.splitlines()[-1].startswith(f"next: aetool evaluate {normal}")
