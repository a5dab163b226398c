"""The evaluation: raw units, and PCA fitted on the training part only."""

from __future__ import annotations

import numpy as np
import pytest

from aetool.evaluation import evaluate
from aetool.training import load_checkpoint, plan_training

from .runs import CONV, DENSE, recording, vectors


@pytest.mark.parametrize(("config", "make"), [(DENSE, vectors), (CONV, recording)], ids=["dense", "conv1d"])
def test_figures_are_those_of_the_definitions(config, make, tmp_path):
    plan = plan_training(config, make(tmp_path), print)
    result = evaluate(plan.config, plan.autoencoder, plan.data)
    test = plan.data.split.test.take(np.arange(len(plan.data.split.test)))
    normalized = plan.data.normalization.apply(test)
    restored = plan.data.normalization.invert(np.asarray(plan.autoencoder.whole(normalized, training=False)))
    error = np.square(restored.astype(np.float64) - test)
    training = plan.data.training.take(np.arange(len(plan.data.training)))
    assert result.samples == len(test)
    assert result.peak == pytest.approx(training.max() - training.min())
    assert result.network.mse == pytest.approx(error.mean(), rel=1e-5)
    assert result.network.psnr == pytest.approx(10 * np.log10(result.peak**2 / error.mean()), rel=1e-5)
    np.testing.assert_allclose(result.network.mse_per_channel, error.mean(axis=tuple(range(error.ndim - 1))), rtol=1e-4)


def test_pca_is_exact_on_data_of_its_rank(tmp_path):
    """The vectors are a mix of three: three components restore them, which shows that both see the same data."""
    plan = plan_training(DENSE, vectors(tmp_path), print)
    result = evaluate(plan.config, plan.autoencoder, plan.data)
    assert result.latent == 3
    assert result.pca.mse < 1e-10 < result.network.mse
    assert result.pca_samples == len(plan.data.training)


def test_a_trained_checkpoint_carries_it(conv1d_checkpoint):
    evaluation = load_checkpoint(conv1d_checkpoint).metrics["evaluation"]
    assert set(evaluation) == {"samples", "peak", "latent", "network", "pca", "pca_samples", "activity"}
    assert evaluation["network"]["mse"] < evaluation["pca"]["mse"]
