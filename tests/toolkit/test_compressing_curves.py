"""Rates and distortions: what curves, gaps between them, and recall mean."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator
from tests.runtime.compression.made import fixed

from aetool.compressing.comparison import Comparison
from aetool.compressing.curves import Curve, Point, bd_rate, pchip, point
from aetool.compressing.held_out import in_own_type
from aetool.compressing.own_curves import alone
from aetool.compressing.recall import NeighborJudge, quantizer_curves, recall_at
from aetool.compressing.rivals import RIVALS, rival_curves
from aetool_runtime.compression.entropy.coding import Coder
from aetool_runtime.errors import InputError

ERRORS = (8.0, 4.0, 2.0, 1.0, 0.5)


def curve(name: str, factor: float, errors: tuple[float, ...] = ERRORS) -> Curve:
    """Bytes that double as the error halves."""
    return Curve(name, tuple(Point("", round(factor * 100_000 / error), error, error) for error in errors))


@pytest.mark.parametrize("seed", range(5))
def test_cubics_are_those_of_scipy(seed: int) -> None:
    random = np.random.default_rng(seed)
    x, y = np.cumsum(random.uniform(0.1, 2, 7)), random.normal(size=7)
    places = np.linspace(x[0], x[-1], 200)
    np.testing.assert_allclose(pchip(x, y, places), PchipInterpolator(x, y)(places), atol=1e-12)


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.0, 3.0])
def test_the_rate_between_proportional_curves_is_their_factor(factor: float) -> None:
    assert bd_rate(curve("one", factor), curve("other", 1.0)) == pytest.approx(factor - 1, abs=1e-4)


def test_only_errors_that_both_have_count() -> None:
    assert bd_rate(curve("one", 0.5, (8, 4, 2)), curve("other", 1.0, (4, 2, 1, 0.5))) == pytest.approx(-0.5, abs=1e-4)
    assert bd_rate(curve("one", 1, (8, 4)), curve("other", 1, (2, 1))) is None
    assert bd_rate(curve("one", 1, (8,)), curve("other", 1)) is None


def test_points_that_another_beats_do_not_count() -> None:
    worse = Curve("one", (*curve("one", 0.5).points, Point("", 999_999, 3.0, 3.0), Point("lossless", 10**7, 0, 0)))
    assert bd_rate(worse, curve("other", 1.0)) == pytest.approx(-0.5, abs=1e-4)


VERDICTS = {
    "a network that saves half of PCA": (1.0, {"PCA": 2.0, "zlib": 3.0}, "Worth it: .* takes 50% fewer"),
    "a network that saves too little": (1.0, {"PCA": 1.05, "zlib": 3.0}, "Not worth a network: .* 5% .*--codec linear"),
    "worse than zlib": (1.0, {"PCA": 2.0, "zlib": 0.8}, "Not worth it here: zlib takes 20% fewer bytes"),
    "the nearest is named": (1.0, {"PCA": 2.0, "zlib": 3.0, "SZ3": 1.5}, "others SZ3 comes nearest, with 50% more"),
    "alone": (1.0, {}, "Nothing can be said"),
}


@pytest.mark.parametrize(("own", "others", "text"), VERDICTS.values(), ids=VERDICTS)
def test_the_verdict_is_one_sentence(own: float, others: dict[str, float], text: str) -> None:
    curves = (curve("this bundle", own), *(curve(name, factor) for name, factor in others.items()))
    sentence = Comparison(10, 1000, curves).verdict(by_recall=False)
    assert re.search(text, sentence), sentence
    assert sentence.count(".") - len(re.findall(r"\d\.\d", sentence)) == 1


def test_a_codec_alone_codes_as_it_does_in_company() -> None:
    made = fixed()
    for codec in made.codecs:
        one = alone(made, codec)
        symbols = np.random.default_rng(0).integers(-4, 5, (50, len(codec.unit))).astype(np.int32)
        before = Coder(made.tables, made.models).encode(symbols, codec.qualities[0].model)
        assert Coder(one.tables, one.models).encode(symbols, one.codecs[0].qualities[0].model) == before
    assert len(alone(made, made.codecs[0]).tables) < len(made.tables), "the network's are gone"


def test_samples_take_the_narrowest_type_that_holds_them() -> None:
    cases = {(0, 255): "uint8", (-1, 9): "int16", (0, 70_000): "int32", (0, 0.5): "float32"}
    for values, dtype in cases.items():
        assert in_own_type(np.array(values, np.float32)).dtype == dtype


# --- the others ---

WAVES = np.rint(50 * np.sin(np.arange(4096) / 9)).astype(np.int16).reshape(-1, 16, 2)
PICTURES = (np.add.outer(np.arange(3 * 32), np.arange(32)) % 200).astype(np.uint8).reshape(3, 32, 32, 1)


def test_lossless_coders_of_steps_are_as_far_off_as_they_were_told() -> None:
    curves, missing = rival_curves(WAVES, [4.0, 2.0], lambda count: None)
    found = {one.name: one for one in curves}
    assert {"zlib", "zstd -19"} <= set(found)
    for one in (found["zlib"], found["zstd -19"]):
        assert [p.rmse for p in one.points] == sorted((p.rmse for p in one.points), reverse=True)
        assert one.points[-1].rmse == 0
        for wanted, met in zip((4.0, 2.0), one.points, strict=False):
            assert met.rmse == pytest.approx(wanted, rel=0.3)
    assert {one.name for one in curves} | set(missing) == {rival.name for rival in RIVALS}
    assert missing["JPEG"] == "not for such samples"


def test_pictures_are_coded_as_files() -> None:
    curves, _ = rival_curves(PICTURES, [4.0], lambda count: None)
    found = {one.name: one for one in curves}
    for name in ("JPEG", "WebP"):
        assert len(found[name].points) == 7
        assert found[name].points[-1].rmse < 6
        assert found[name].points[0].bytes > 3 * 20, "headers count"


def test_what_comes_back_is_measured() -> None:
    made = point("x", 9, np.array([[0, 0], [0, 0]], np.int16), np.array([[3, 0], [0, -5]], np.int16))
    assert (made.rmse, made.largest_error) == (math.sqrt(34 / 4), 5)


# --- neighbours ---

VECTORS = np.random.default_rng(0).normal(size=(400, 16)).astype(np.float32)


def test_recall_is_the_share_of_true_neighbours() -> None:
    judge = NeighborJudge(VECTORS)
    assert judge("same", 1, VECTORS, VECTORS).recall == 1
    noise = np.random.default_rng(1).normal(size=VECTORS.shape).astype(np.float32)
    assert judge("other", 1, VECTORS, noise).recall < 0.15
    small, large = (judge("", 1, VECTORS, VECTORS + s * noise).recall or 0 for s in (0.1, 0.5))
    assert 0.15 < large < small < 1


def test_quantizers_of_more_bits_find_more() -> None:
    judge = NeighborJudge(VECTORS)
    curves, missing = quantizer_curves(VECTORS, VECTORS, judge, count_model=False)
    eight, four = (one.points[0] for one in curves[:2])
    assert (eight.bytes, four.bytes) == (400 * 16 + 8 * 16, 400 * 8 + 8 * 16)
    assert 1 >= eight.recall > four.recall > 0.5  # type: ignore[operator]
    assert ("PQ" in missing) != (len(curves) == 3)


@pytest.mark.parametrize("samples", [VECTORS[:10], VECTORS.reshape(400, 4, 4)], ids=["too few", "no vectors"])
def test_what_has_no_neighbours_is_refused(samples: np.ndarray) -> None:
    with pytest.raises(InputError, match="ten neighbours"):
        NeighborJudge(samples)


def test_recall_between_points() -> None:
    points = [Point("", 100, 1, 1, 0.4), Point("", 400, 1, 1, 0.8)]
    assert recall_at(points, 200) == pytest.approx(0.6)
    assert recall_at(points, 99) is None
