"""What a budget is, and how quality is measured."""

from __future__ import annotations

import numpy as np
import pytest

from aetool_exporters.budget import Budget
from aetool_exporters.budget.metrics import (
    area_under_curve,
    nearest_neighbours,
    psnr,
    recall,
    structural_similarity,
    token_accuracy,
)
from aetool_runtime.errors import UsageError

GOOD = {
    "psnr:0.5": ("psnr", 0.5, False, 0),
    "PSNR: 0.5 ": ("psnr", 0.5, False, 0),
    "mse:5%": ("mse", 0.05, True, 0),
    "ssim:0": ("ssim", 0.0, False, 0),
    "auc:1e-3": ("auc", 0.001, False, 0),
    "recall@10:2%": ("recall", 0.02, True, 10),
    "accuracy:0.01": ("accuracy", 0.01, False, 0),
}


@pytest.mark.parametrize(("text", "wanted"), GOOD.items(), ids=GOOD)
def test_a_budget_is_a_metric_and_an_amount(text: str, wanted: tuple[str, float, bool, int]) -> None:
    budget = Budget.parse(text)
    assert (budget.metric.name, budget.amount, budget.relative, budget.neighbours) == wanted
    assert Budget.parse(str(budget)) == budget


BAD = {
    "psnr": "says not how much",
    "": "says not how much",
    "psrn:0.5": "did you mean 'psnr'",
    "sharpness:1": "there is no metric 'sharpness'",
    "psnr:half": "'half' is no number",
    "psnr:": "'' is no number",
    "psnr:-1": "-1 is no loss",
    "psnr:nan": "nan is no loss",
    "mse:inf%": "inf% is no loss",
    "mse:5%%": "'5%%' is no number",
    "recall:0.1": "recall@10:0.02",
    "recall@0:0.1": "recall counts a number",
    "recall@-3:0.1": "recall counts a number",
    "psnr@10:0.1": "psnr counts no neighbours",
}


@pytest.mark.parametrize(("text", "message"), BAD.items(), ids=BAD)
def test_anything_else_is_refused_with_a_way_out(text: str, message: str) -> None:
    with pytest.raises(UsageError) as refusal:
        Budget.parse(text)
    assert message in str(refusal.value)
    assert "psnr:0.5" in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "model", "met", "loss", "kept"),
    [
        ("psnr:0.5", 30.0, 29.5, 0.5, True),
        ("psnr:0.5", 30.0, 29.4, 0.6, False),
        ("psnr:0.5", 30.0, 31.0, -1.0, True),
        ("psnr:1%", 30.0, 29.8, 0.2, True),
        ("mse:0.25", 1.0, 1.25, 0.25, True),
        ("mse:50%", 2.0, 2.5, 0.5, True),
        ("mse:50%", 2.0, 3.5, 1.5, False),
        ("recall@5:0", 1.0, 1.0, 0.0, True),
        ("auc:1", 0.5, float("nan"), float("inf"), False),
    ],
)
def test_loss_has_a_direction(text: str, model: float, met: float, loss: float, kept: bool) -> None:
    budget = Budget.parse(text)
    assert budget.loss(model, met) == pytest.approx(loss)
    assert (budget.loss(model, met) <= budget.limit(model) + 1e-12) == kept


def test_psnr_is_relative_to_the_peak() -> None:
    assert psnr(1.0, 10.0) == pytest.approx(20)
    assert psnr(0.0, 10.0) == float("inf")


@pytest.mark.parametrize(
    ("scores", "anomalous", "wanted"),
    [
        ([1, 2, 3, 4], [0, 0, 1, 1], 1.0),
        ([4, 3, 2, 1], [0, 0, 1, 1], 0.0),
        ([1, 1, 1, 1], [0, 1, 0, 1], 0.5),
        ([1, 2, 2, 3], [0, 0, 1, 1], 0.875),
        ([1, 2, 3], [0, 1, 0], 0.5),
    ],
)
def test_the_area_counts_equal_scores_as_half(scores: list[float], anomalous: list[int], wanted: float) -> None:
    assert area_under_curve(np.array(scores), np.array(anomalous, bool)) == wanted


def test_the_area_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(1)
    scores, anomalous = rng.integers(0, 20, 300) / 7, rng.random(300) < 0.2
    assert area_under_curve(scores, anomalous) == pytest.approx(roc_auc_score(anomalous, scores), abs=1e-12)


def test_neighbours_are_the_nearest_others() -> None:
    line = np.array([[0.0], [1.0], [3.0], [7.0]])
    assert nearest_neighbours(line, 2).tolist() == [[1, 2], [0, 2], [1, 0], [2, 1]]


def test_neighbours_are_those_of_scikit_learn_beyond_one_block() -> None:
    from sklearn.neighbors import NearestNeighbors

    points = np.random.default_rng(2).normal(size=(600, 5))
    wanted = NearestNeighbors(n_neighbors=7).fit(points).kneighbors(return_distance=False)
    assert np.array_equal(nearest_neighbours(points, 7), wanted)


def test_recall_is_the_share_found_again_in_any_order() -> None:
    assert recall(np.array([[1, 2], [0, 2]]), np.array([[2, 1], [0, 3]])) == 0.75


def test_structural_similarity_of_equal_images_is_one() -> None:
    images = np.random.default_rng(3).random((2, 16, 16, 1))
    assert structural_similarity(images, images, 1.0) == pytest.approx(1)
    assert structural_similarity(images, images[::-1], 1.0) < 0.3


def test_token_accuracy_takes_the_most_probable() -> None:
    logits = np.eye(4)[np.array([[0, 1, 2], [3, 3, 3]])]
    assert token_accuracy(np.array([[0, 1, 3], [3, 3, 3]]), logits) == pytest.approx(5 / 6)


@pytest.mark.parametrize(
    ("text", "value", "wanted"),
    [
        ("psnr:1", 29.68146048, "29.6815 dB"),
        ("psnr:1", -4.3e-7, "0 dB"),
        ("psnr:1", float("inf"), "inf dB"),
        ("mse:1", 3.21e-9, "3.21e-09"),
    ],
)
def test_figures_for_people(text: str, value: float, wanted: str) -> None:
    assert Budget.parse(text).text(value) == wanted
