"""What is optimized: the formulas that the configuration's documentation states."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aetool.config import AdversarialLatent, CorruptionConfig, DenseModel, PenaltyConfig, VariationalLatent
from aetool.models.codebook import Codebook
from aetool.models.corruption import Corruption, shrink
from aetool.models.penalties import Penalties
from aetool.models.step import Step
from aetool.training import plan_training
from aetool.training.latents import Encoded
from aetool.training.objective import Objective

from .runs import DENSE, vectors

BATCH = np.random.default_rng(2).random((16, 10)).astype(np.float32)


def objective(tmp_path, **changes):
    plan = plan_training(replace(DENSE, **changes), vectors(tmp_path), print)
    return plan, Objective(plan)


def parts(built, method="evaluate"):
    return dict(zip(built.names, np.asarray(getattr(built, method)(BATCH)).tolist(), strict=True))


def test_kl_is_that_of_the_closed_form_per_value(tmp_path):
    plan, built = objective(tmp_path, latent=VariationalLatent(beta=0.3))
    mean, logvar = (np.asarray(part, np.float64) for part in plan.autoencoder.encoder(BATCH))
    divergence = (mean**2 + np.exp(logvar) - 1 - logvar).sum(axis=1).mean() / 2
    assert parts(built)["kl"] == pytest.approx(0.3 * divergence / 10, rel=1e-5)


def test_beta_warms_up_in_training_only(tmp_path):
    plan, built = objective(tmp_path, latent=VariationalLatent(beta=1.0, warmup_epochs=2))
    full = parts(built)["kl"]
    assert parts(built, "train")["kl"] == 0
    built.optimizer.iterations.assign(2 * plan.batches)
    assert parts(built, "train")["kl"] == pytest.approx(full, rel=0.5)
    assert full > 0


def test_validation_has_the_same_noise_every_time_and_training_another_at_every_step(tmp_path):
    _, built = objective(tmp_path, corruption=CorruptionConfig("gaussian", 0.5))
    built.optimizer.learning_rate = 0.0
    assert parts(built) == parts(built)
    assert parts(built, "train") != parts(built, "train")


def test_activity_penalties():
    latent = np.array([[0.2, -0.4, 0.0], [0.4, 0.0, 0.2]], np.float32)
    found = Penalties(PenaltyConfig(l1=2.0)).of_latent(latent)
    assert float(found["penalty_l1"]) == pytest.approx(2.0 * 1.2 / 2)
    active = np.array([[0.1, 0.5], [0.3, 0.5]], np.float32)
    found = Penalties(PenaltyConfig(kl=3.0, kl_target=0.2)).of_latent(active)
    expected = 0.2 * np.log(0.2 / 0.5) + 0.8 * np.log(0.8 / 0.5)
    assert float(found["penalty_kl"]) == pytest.approx(3.0 * expected, rel=1e-4)


def test_the_contractive_estimate_is_exact_for_one_value_and_right_on_average_for_more():
    import tensorflow as tf

    penalties = Penalties(PenaltyConfig(contractive=1.0))
    for columns in (1, 4):
        matrix = np.random.default_rng(columns).normal(size=(10, columns)).astype(np.float32)

        def encode(given, matrix=matrix):
            latent = tf.tanh(given @ matrix)
            return Encoded(latent, latent)

        slopes = 1 - np.tanh(BATCH @ matrix) ** 2
        exact = float((np.square(slopes[:, None] * matrix).sum(axis=(1, 2))).mean())
        drawn = [
            float(penalties.contracted(encode, tf.constant(BATCH), Step(0, number, True))[1]["penalty_contractive"])
            for number in range(1 if columns == 1 else 200)
        ]
        assert np.mean(drawn) == pytest.approx(exact, rel=1e-4 if columns == 1 else 0.03)


def corrupted(kind, amount, number=0):
    values = np.full((200, 50), 0.25, np.float32)
    config = CorruptionConfig(kind, amount)
    return np.asarray(Corruption(config, np.float32([-1]), np.float32([2])).apply(values, Step(7, number, True)))


def test_corruptions_are_what_they_are_called():
    gaussian = corrupted("gaussian", 0.5) - 0.25
    assert gaussian.mean() == pytest.approx(0, abs=0.02)
    assert gaussian.std() == pytest.approx(0.5, rel=0.02)
    masked = corrupted("masking", 0.3)
    assert set(np.unique(masked)) == {0, 0.25}
    assert (masked == 0).mean() == pytest.approx(0.3, abs=0.02)
    peppered = corrupted("salt_and_pepper", 0.2)
    assert set(np.unique(peppered)) == {-1, 0.25, 2}
    assert (peppered == -1).mean() == pytest.approx(0.1, abs=0.01)
    assert (peppered == 2).mean() == pytest.approx(0.1, abs=0.01)


def test_draws_depend_on_seed_step_and_purpose_only():
    np.testing.assert_array_equal(corrupted("gaussian", 0.5), corrupted("gaussian", 0.5))
    assert not np.array_equal(corrupted("gaussian", 0.5), corrupted("gaussian", 0.5, 1))
    step = Step(0, 3, True)
    assert not np.array_equal(step.normal("latent", BATCH), step.normal("prior", BATCH))
    assert not np.array_equal(step.normal("latent", BATCH), Step(1, 3, True).normal("latent", BATCH))


def test_shrinking_takes_the_mean_of_squares():
    image = np.arange(32, dtype=np.float32).reshape(1, 4, 4, 2)
    small = shrink(image, 2)
    assert small.shape == (1, 2, 2, 2)
    assert small[0, 0, 1, 0] == pytest.approx(image[0, :2, 2:, 0].mean())


def test_the_adversary_learns_in_training_only(tmp_path):
    _, built = objective(tmp_path, latent=AdversarialLatent(hidden=(16,), learning_rate=0.01))
    built.optimizer.learning_rate = 0.0
    before = [np.array(variable) for variable in built.model_variables]
    parts(built)
    assert all(np.array_equal(a, b) for a, b in zip(before, built.model_variables, strict=True))
    first = parts(built, "train")["discriminator"]
    last = [parts(built, "train")["discriminator"] for _ in range(60)]
    assert np.mean(last[-20:]) < first - 0.1
    assert built.total({"reconstruction": 1.0, "adversarial": 5.0, "discriminator": 5.0}) == 1.0


def codebook(entries):
    import keras

    table = keras.layers.Embedding(len(entries), entries.shape[1])
    table.build()
    table.set_weights([entries])
    scores = keras.layers.Dense(len(entries))
    scores.build((None, entries.shape[1]))
    return Codebook(None, None, scores, table)  # type: ignore[arg-type] # the two models are for others to call


def test_a_codebook_follows_what_chooses_it_and_no_entry_stays_dead():
    around = np.random.default_rng(0).normal(size=(400, 1, 2)).astype(np.float32) * 0.05
    around[:200] += 3
    book = codebook(np.zeros((4, 2), np.float32))
    for _ in range(300):
        book.quantize(around, learn=True)
    nearest = np.asarray(book.quantize(around, learn=False))
    assert np.square(nearest - around).mean() < 0.05**2
    entries = np.asarray(book.variables[0])
    assert len({tuple(row) for row in np.unique(nearest.reshape(-1, 2), axis=0)}) == 4
    book.publish()
    kernel, bias = book.scores.get_weights()
    np.testing.assert_array_equal(kernel, entries.T)
    np.testing.assert_allclose(bias, -np.square(entries).sum(axis=1) / 2)


def test_looking_does_not_move_a_codebook():
    book = codebook(np.eye(2, dtype=np.float32))
    before = [np.array(variable) for variable in book.variables]
    np.testing.assert_array_equal(book.quantize(np.array([[[0.9, 0.2]]], np.float32), learn=False), [[[1, 0]]])
    for a, b in zip(before, book.variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_latent_sizes_of_a_variational_encoder_do_not_change_its_decoder(tmp_path):
    plain, _ = objective(tmp_path, model=DenseModel(latent=3, hidden=(8,)))
    variational, _ = objective(tmp_path, latent=VariationalLatent())
    assert plain.autoencoder.decoder.count_params() == variational.autoencoder.decoder.count_params()
