"""Imbalanced data: what a sample counts for, in which order samples come, and what rare groups gain by it."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import numpy as np
import pytest

from aetool.balance import Balance
from aetool.balance.balance import group_weights
from aetool.balance.groups import Groups, find_groups
from aetool.config import BalanceConfig, Config, DataConfig, DenseModel, TrainingConfig
from aetool.data import prepare_data
from aetool.training import StepsDone, plan_training, train
from aetool_runtime.errors import InterruptedRun, UsageError

from .runs import CONV, DENSE, assert_same_run, recording, vectors, with_training

NINETEEN_TO_ONE = np.array([950, 50])


@pytest.mark.parametrize(
    ("counts", "exponent", "limit", "ratio"),
    [
        ([950, 50], 0.0, 20.0, 1.0),
        ([950, 50], 0.5, 20.0, 19**0.5),
        ([950, 50], 1.0, 20.0, 19.0),
        ([950, 50], 1.0, 4.0, 4.0),
        ([990, 10], 2.0, 1.0, 1.0),
        ([600, 300, 100], 1.0, 20.0, 6.0),
        ([600, 0, 100], 1.0, 20.0, 6.0),
    ],
)
def test_weights_go_by_the_share_and_are_1_on_average(counts, exponent, limit, ratio):
    weights = group_weights(np.array(counts), exponent, limit)
    assert weights.max() / weights.min() == pytest.approx(ratio)
    assert weights @ np.array(counts) == pytest.approx(sum(counts))
    assert np.argmax(weights) == np.argmin(counts) or ratio == 1


def balance(counts, exponent=1.0, limit=20.0):
    """The samples of each group one after the other."""
    groups = np.repeat(np.arange(len(counts)), counts)
    names = tuple(map(str, range(len(counts))))
    return Balance(Groups(names, groups, groups, groups), group_weights(np.array(counts), exponent, limit))


@pytest.mark.parametrize(("counts", "exponent"), [([95, 5], 1.0), ([95, 5], 0.5), ([50, 30, 7, 1], 1.0), ([9, 1], 0.0)])
def test_an_epoch_is_as_long_as_before_and_gives_each_group_its_weight(counts, exponent):
    balanced = balance(counts, exponent)
    order = balanced.order(seed=3, epoch=0)
    assert len(order) == sum(counts)
    places = np.bincount(balanced.groups.training[order], minlength=len(counts))
    np.testing.assert_allclose(places, balanced.weights * counts, atol=1)
    often = np.bincount(order, minlength=sum(counts))
    for group in range(len(counts)):
        of_group = often[balanced.groups.training == group]
        assert of_group.max() - of_group.min() <= 1, "inside a group all come up alike"


def test_the_order_depends_on_seed_and_epoch_only():
    balanced = balance([95, 5])
    np.testing.assert_array_equal(balanced.order(1, 4), balanced.order(1, 4))
    assert (balanced.order(1, 4) != balanced.order(1, 5)).any()
    assert (balanced.order(1, 4) != balanced.order(2, 4)).any()


def test_no_exponent_is_the_plain_permutation():
    np.testing.assert_array_equal(np.sort(balance([95, 5], 0.0).order(1, 4)), np.arange(100))


def test_validation_samples_count_as_in_training():
    found = balance([95, 5]).validation()
    assert [len(indices) for indices, _ in found] == [95, 5]
    assert [weight * len(indices) for indices, weight in found] == pytest.approx([50, 50])


def labelled(tmp_path, labels):
    np.save(tmp_path / "labels.npy", labels)
    return replace(DENSE, data=replace(DENSE.data, label=str(tmp_path / "labels.npy")))


def test_groups_are_named_by_their_labels(tmp_path):
    data = vectors(tmp_path)
    config = labelled(tmp_path, np.arange(275) % 3 * 1.5)
    prepared = prepare_data(data, config.data, print)
    groups = find_groups(BalanceConfig(by="column"), prepared)
    assert groups.names == ("0", "1.5", "3")
    np.testing.assert_array_equal(groups.training * 1.5, prepared.labels)
    assert (len(groups.training), len(groups.validation), len(groups.test)) == (219, 28, 28)


def test_clusters_are_the_same_every_time_and_part_what_lies_apart(tmp_path):
    centres = np.random.default_rng(0).normal(0, 10, (4, 12))
    kinds = np.random.default_rng(1).integers(0, 4, 400)
    np.save(tmp_path / "blobs.npy", centres[kinds] + np.random.default_rng(2).normal(0, 0.5, (400, 12)))
    prepared = prepare_data(tmp_path / "blobs.npy", DataConfig(), print)
    wanted = BalanceConfig(by="cluster", clusters=4, components=3)
    one, other = (find_groups(wanted, prepared) for _ in range(2))
    np.testing.assert_array_equal(one.training, other.training)
    true = kinds[prepared.training.starts]
    assert len(set(zip(one.training.tolist(), true.tolist(), strict=True))) == 4, "a cluster for each kind"
    assert one.names == ("cluster 0", "cluster 1", "cluster 2", "cluster 3")


def test_windows_of_a_recording_are_grouped_by_cluster_also_where_they_overlap(tmp_path):
    plan = plan_training(replace(CONV, balance=BalanceConfig(by="cluster", clusters=3)), recording(tmp_path), print)
    assert plan.balance is not None
    assert len(plan.balance.groups.training) == len(plan.data.training) > len(plan.data.split.training)


@pytest.mark.parametrize(
    ("by", "labels", "message"),
    [
        ("column", None, "the data have no labels to balance by; expected [data] label"),
        ("column", np.arange(275), "the labels have 275 different values; expected at most 256 groups"),
    ],
)
def test_what_cannot_be_balanced(by, labels, message, tmp_path):
    config = DENSE if labels is None else labelled(tmp_path, labels)
    with pytest.raises(UsageError) as caught:
        plan_training(replace(config, balance=BalanceConfig(by=by)), vectors(tmp_path), print)
    assert message in str(caught.value)


def test_more_clusters_than_samples(tmp_path):
    config = replace(DENSE, balance=BalanceConfig(by="cluster", clusters=256))
    with pytest.raises(UsageError, match="219 training samples cannot be put into 256 clusters"):
        plan_training(config, vectors(tmp_path), print)


def test_a_balanced_run_goes_on_as_if_it_had_not_been_stopped(tmp_path):
    data = vectors(tmp_path)
    config = replace(with_training(DENSE, epochs=2), balance=BalanceConfig(by="cluster", clusters=3))

    def interrupt(event):
        if isinstance(event, StepsDone) and event.step >= 5:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(InterruptedRun):
        train(config, data, tmp_path / "stopped", report=interrupt)
    resumed = train(config, data, tmp_path / "stopped", resume=True)
    assert_same_run(resumed, train(config, data, tmp_path / "whole"))
    assert sum(group["count"] for group in resumed.metrics["groups"]) == 219


def test_95_to_5_digits_the_rare_group_gains_more_than_the_common_one_pays(tmp_path):
    """722 digits 0 to 3 and 38 of the digit 8. Measured: the eights' error falls by 29 %, the others' grows by 4 %."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    chosen = np.concatenate([np.flatnonzero(digits.target < 4)[:722], np.flatnonzero(digits.target == 8)[:38]])
    np.save(tmp_path / "digits.npy", digits.data[chosen].astype(np.float32))
    np.save(tmp_path / "kinds.npy", np.where(digits.target[chosen] == 8, "eight", "other"))
    config = Config(
        DenseModel(latent=8, hidden=(64,)),
        DataConfig(normalization="minmax", label=str(tmp_path / "kinds.npy"), split=(0.5, 0.15, 0.35)),
        TrainingConfig(epochs=30, learning_rate=0.01),
        balance=BalanceConfig(by="column", compare_unbalanced=True),
    )
    common, rare = train(config, tmp_path / "digits.npy", tmp_path / "model").metrics["groups"]
    assert (common["group"], rare["group"]) == ("other", "eight")
    assert rare["share"] == pytest.approx(0.05, abs=0.01)
    assert rare["weight"] / common["weight"] == pytest.approx((common["count"] / rare["count"]) ** 0.5)
    assert rare["test_mse"] < 0.85 * rare["unbalanced_test_mse"]
    assert common["test_mse"] < 1.15 * common["unbalanced_test_mse"]
