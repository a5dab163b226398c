"""Training for rate: the formulas that the configuration's documentation states, and where the linear path starts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aetool.config import (
    CompressionConfig,
    Config,
    Conv2dModel,
    DataConfig,
    DenseModel,
    LinearModel,
    TrainingConfig,
)
from aetool.models.laplace import LaplacePrior
from aetool.training import load_checkpoint, plan_training, train
from aetool.training.objective import Objective
from aetool.training.principal import principal_components, start_linear_path, step_for
from aetool_runtime.errors import InterruptedRun, UsageError

from .runs import with_training

WINDOWS = Config(
    DenseModel(latent=6, hidden=(16,), linear_path=True),
    DataConfig(sample_shape=(16, 2), stride=4),
    TrainingConfig(epochs=6, batch_size=16, learning_rate=0.003, seed=5),
    compression=CompressionConfig(weight=0.05),
)
TILES = Config(
    Conv2dModel(filters=(6, 8), patch=4, latent_map=12, linear_path=True, free_size=True),
    DataConfig(normalization_scope="global"),
    TrainingConfig(epochs=2, batch_size=8, learning_rate=0.003, seed=5),
    compression=CompressionConfig(weight=0.05),
)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Two channels in which a few shapes come again and again: int16 [1600, 2]."""
    random = np.random.default_rng(3)
    time = np.arange(1600)[:, None] / [9.0, 23.0]
    values = np.sin(time) ** 3 * 300 + np.cos(time * 2.3) * 80 + random.normal(size=(1600, 2)) * 9
    path = tmp_path_factory.mktemp("recording") / "recording.npy"
    np.save(path, values.round().astype(np.int16))
    return path


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    """Smooth pictures: uint8 [60, 16, 16, 3]."""
    random = np.random.default_rng(4)
    coarse = random.normal(size=(60, 4, 4, 3)) @ random.normal(size=(3, 3)) * 25 + 128
    fine = coarse.repeat(4, axis=1).repeat(4, axis=2) + random.normal(size=(60, 16, 16, 1)) * 4
    path = tmp_path_factory.mktemp("tiles") / "tiles.npy"
    np.save(path, fine.clip(0, 255).astype(np.uint8))
    return path


def planned(config, data):
    plan = plan_training(config, data, print)
    start_linear_path(plan)
    return plan


def normalized(plan, count=8):
    return plan.data.normalization.apply(plan.data.split.test.take(np.arange(count) % len(plan.data.split.test)))


def laplace_bits(values, center, scale):
    from scipy.stats import laplace

    there = laplace(center, scale)
    with np.errstate(divide="ignore"):
        return -np.log2(there.cdf(values + 0.5) - there.cdf(values - 0.5))


@pytest.mark.parametrize("scale", [0.05, 0.3, 1.0, 20.0])
def test_bits_are_those_of_the_distribution(scale):
    values = np.arange(-4, 5)[:, None] + np.float32([0, 0.5, 0.2])
    prior = LaplacePrior(np.float32([0, 0.3, -1]), np.full(3, scale, np.float32))
    expected = laplace_bits(values.astype(np.float64), np.array([0, 0.3, -1]), np.float32(scale))
    seen = np.isfinite(expected) & (expected < 30)  # beyond, SciPy's difference of two numbers near 1 is only rounding
    assert seen.sum() > 8
    np.testing.assert_allclose(
        np.asarray(prior.bits(values.astype(np.float32)))[seen], expected[seen], rtol=2e-4, atol=1e-6
    )


def test_bits_and_their_gradients_are_finite_however_unlikely_a_value_is():
    import tensorflow as tf

    prior = LaplacePrior(np.zeros(2), np.float32([0.03, 1000]))
    values = tf.constant([[0.0, 0.0], [0.5, 0.5], [-1e4, 1e5]])
    with tf.GradientTape() as tape:
        tape.watch(values)
        bits = tf.reduce_sum(prior.bits(values))
    slopes = tape.gradient(bits, [values, *[variable.value for variable in prior.variables]])
    assert all(np.isfinite(np.asarray(each)).all() for each in (bits, *slopes))


def test_the_rate_of_validation_is_the_code_length_of_rounded_latents(recording):
    plan = planned(WINDOWS, recording)
    built, batch = Objective(plan), normalized(planned(WINDOWS, recording))
    parts = dict(zip(built.names, np.asarray(built.evaluate(batch)).tolist(), strict=True))
    rounded = np.round(np.asarray(plan.autoencoder.encoder(batch)).astype(np.float64))
    center, scale = (
        np.asarray(value, np.float64) for value in (built.rate_model.prior.center, built.rate_model.prior.scale)
    )
    expected = laplace_bits(rounded, center, scale).sum() / batch.size
    assert built.rate_model.bits(parts) == pytest.approx(expected, rel=1e-3)
    assert parts["rate"] == pytest.approx(0.05 * expected, rel=1e-3)
    restored = np.asarray(plan.autoencoder.decoder(rounded.astype(np.float32)))
    assert parts["reconstruction"] == pytest.approx(np.square(restored - batch).mean(), rel=1e-4)


@pytest.mark.parametrize(
    ("quantization", "is_rounded"), [("noise", False), ("straight_through", True), ("mixed", True)]
)
def test_what_the_decoder_gets_in_training(recording, quantization, is_rounded):
    from aetool.models.step import Step

    config = replace(WINDOWS, compression=CompressionConfig(0.05, quantization))
    plan = planned(config, recording)
    batch = normalized(plan)
    latent = np.asarray(plan.autoencoder.encoder(batch))
    passed = np.asarray(Objective(plan).rate_model.encode(batch, Step(0, 3, True), 32).passed)
    assert np.abs(passed - latent).max() <= 0.5 + 1e-5
    assert np.array_equal(passed, np.round(passed)) == is_rounded


def test_the_weight_warms_up_in_training_only(recording):
    config = replace(WINDOWS, compression=CompressionConfig(0.05, warmup_epochs=2))
    plan = planned(config, recording)
    built, batch = Objective(plan), normalized(plan)
    rate = built.names.index("rate")
    assert np.asarray(built.train(batch))[rate] == 0
    assert np.asarray(built.evaluate(batch))[rate] > 0


def test_windows_start_as_principal_components(recording):
    from sklearn.decomposition import PCA

    plan = planned(WINDOWS, recording)
    train_part, held = (
        plan.data.normalization.apply(part.take(np.arange(len(part))))
        for part in (plan.data.training, plan.data.split.test)
    )
    pca = PCA(6, svd_solver="full").fit(train_part.reshape(len(train_part), -1).astype(np.float64))
    flat = held.reshape(len(held), -1).astype(np.float64)
    latent = np.asarray(plan.autoencoder.encoder(held))
    np.testing.assert_allclose(np.abs(latent) * step_for(0.05), np.abs(pca.transform(flat)), atol=2e-3)
    restored = np.asarray(plan.autoencoder.decoder(latent)).reshape(flat.shape)
    np.testing.assert_allclose(restored, pca.inverse_transform(pca.transform(flat)), atol=1e-4)


@pytest.mark.parametrize("model", [TILES.model, LinearModel(block=8, latent=12, free_size=True)])
def test_pictures_start_as_principal_components_of_blocks(tiles, model):
    plan = planned(replace(TILES, model=model), tiles)
    samples = plan.data.normalization.apply(plan.data.training.take(np.arange(len(plan.data.training))))
    blocks = samples.reshape(-1, 2, 8, 2, 8, 3).swapaxes(2, 3).reshape(-1, 192).astype(np.float64)
    offset = np.tile(blocks.reshape(-1, 3).mean(axis=0), 64)
    axes = np.linalg.svd(blocks - offset, full_matrices=False)[2][:12]
    expected = (blocks - offset) @ axes.T @ axes + offset
    restored = np.asarray(plan.autoencoder.whole(samples)).reshape(-1, 2, 8, 2, 8, 3).swapaxes(2, 3)
    np.testing.assert_allclose(restored.reshape(-1, 192), expected, atol=1e-3)


def test_a_residual_that_starts_at_zero_leaves_the_linear_path_untouched(recording):
    plan = planned(WINDOWS, recording)
    linear = planned(replace(WINDOWS, model=LinearModel(latent=6)), recording)
    batch = normalized(plan)
    np.testing.assert_array_equal(plan.autoencoder.encoder(batch), linear.autoencoder.encoder(batch))
    np.testing.assert_array_equal(plan.autoencoder.whole(batch), linear.autoencoder.whole(batch))
    assert plan.autoencoder.parameters["encoder"] > linear.autoencoder.parameters["encoder"]


def test_fewer_samples_than_values_leave_axes_of_zeros():
    axes = principal_components(np.random.default_rng(0).normal(size=(3, 8)), 5)
    np.testing.assert_allclose(axes @ axes.T, np.diag([1.0, 1, 1, 0, 0]), atol=1e-12)


@pytest.fixture(scope="module")
def trained(recording, tmp_path_factory):
    return train(WINDOWS, recording, tmp_path_factory.mktemp("rate") / "model")


def test_training_lowers_distortion_and_rate_together(trained, recording):
    built = Objective(planned(WINDOWS, recording))
    validation = normalized(planned(WINDOWS, recording), 20)
    assert (
        trained.metrics["epochs"][-1]["validation_loss"] < float(np.sum(np.asarray(built.evaluate(validation)))) * 1.2
    )
    losses = [point["validation_loss"] for point in trained.metrics["epochs"]]
    assert min(losses) < losses[0]
    assert trained.metrics["epochs"][0]["bits"] > 0


def test_a_heavier_weight_takes_fewer_bits(trained, recording, tmp_path):
    thrifty = train(replace(WINDOWS, compression=CompressionConfig(weight=0.5)), recording, tmp_path / "model")
    one, other = (each.metrics["evaluation"]["compression"] for each in (trained, thrifty))
    assert other["bits"] < one["bits"]
    assert other["mse"] > one["mse"]


def test_a_checkpoint_brings_what_a_codec_is_made_from(trained):
    rate = trained.rate
    assert rate.weight == 0.05
    assert not rate.linear
    assert rate.step == (1.0,) * 6
    assert len(rate.center) == len(rate.scale) == len(rate.location) == len(rate.live) == 6
    assert all(value == round(value) for value in rate.center)
    assert rate.samples.dtype == np.float32
    assert rate.samples.shape[1:] == (16, 2)
    assert any(rate.live)


def test_a_report_says_bits_and_error_after_rounding_and_holds_nothing_against_as_many_values(trained):
    evaluation = trained.metrics["evaluation"]
    compression, rate = evaluation["compression"], trained.rate
    held = trained.held_out
    latent = np.asarray(trained.encoder(trained.normalization.apply(held)))
    rounded = np.round(latent).astype(np.float64)
    expected = laplace_bits(rounded, np.array(rate.location), np.array(rate.scale)).sum() / held.size
    assert compression["bits"] == pytest.approx(expected, rel=1e-3)
    restored = trained.normalization.invert(np.asarray(trained.decoder(rounded.astype(np.float32))))
    assert compression["mse"] == pytest.approx(np.square(restored - held).mean(), rel=1e-3)
    assert compression["live"] == sum(rate.live)
    assert "pca" not in evaluation
    assert "by their bits" in evaluation["skipped"]["pca"]


def test_a_channel_that_is_always_rounded_to_the_same_is_not_live(recording, tmp_path):
    model = train(replace(WINDOWS, compression=CompressionConfig(weight=50.0)), recording, tmp_path / "model")
    assert not all(model.rate.live)
    latent = np.asarray(model.encoder(model.normalization.apply(model.held_out)))
    dead = ~np.array(model.rate.live)
    assert (np.round(latent[:, dead]) == np.array(model.rate.center)[dead]).mean() > 0.99


def test_a_run_that_was_stopped_ends_with_the_same_weights(trained, recording, tmp_path):
    def stop_after_two(event):
        if getattr(event, "point", None) is not None and event.point.epoch == 2:
            raise InterruptedRun("enough")

    with pytest.raises(InterruptedRun):
        train(WINDOWS, recording, tmp_path / "model", report=stop_after_two)
    again = train(WINDOWS, recording, tmp_path / "model", resume=True)
    for one, other in zip(trained.encoder.get_weights(), again.encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert again.rate == trained.rate


def test_the_linear_family_is_computed_and_not_trained(recording, tmp_path):
    config = with_training(replace(WINDOWS, model=LinearModel(latent=6)), epochs=50)
    fitted = train(config, recording, tmp_path / "model")
    assert fitted.config.training.epochs == len(fitted.metrics["epochs"]) == 1
    assert fitted.rate.linear
    expected = planned(config, recording).autoencoder.encoder.get_weights()
    for one, other in zip(fitted.encoder.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert load_checkpoint(tmp_path / "model").rate == fitted.rate


def test_pictures_of_other_sizes_than_the_tiles(tiles, tmp_path):
    model = train(TILES, tiles, tmp_path / "model")
    picture = np.random.default_rng(0).normal(size=(1, 40, 24, 3)).astype(np.float32)
    latent = model.encoder(picture)
    assert latent.shape == (1, 5, 3, 12)
    assert model.decoder(latent).shape == picture.shape


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"latent": "variational"}, "rounds a plain latent, and .* variational"),
        ({"latent": "vector_quantized"}, "rounds a plain latent, and .* vector_quantized"),
        ({"latent": "adversarial"}, "rounds a plain latent, and .* adversarial"),
        ({"model": DenseModel(latent_activation="tanh")}, "this one is tanh"),
        ({"task": "super_resolution"}, "is for reconstruction"),
        ({"loss": "sparse_categorical_crossentropy"}, "real values, and .* says tokens"),
    ],
)
def test_what_does_not_go_with_compression_is_refused(changes, message, recording):
    from aetool.config import TaskConfig
    from aetool.config.latent import LATENTS
    from aetool.training.combinations import check_config

    config = replace(WINDOWS, model=changes.get("model", DenseModel()), data=DataConfig(normalization="none"))
    if "latent" in changes:
        config = replace(config, latent=LATENTS[changes["latent"]]())
    if "task" in changes:
        config = replace(config, task=TaskConfig(kind="super_resolution"))
    if "loss" in changes:
        config = with_training(config, loss=changes["loss"])
    with pytest.raises(UsageError, match=message):
        check_config(config)


def test_a_linear_path_wants_a_plain_latent(recording):
    from aetool.config import VariationalLatent

    with pytest.raises(UsageError, match="principal components are a plain latent"):
        planned(replace(WINDOWS, compression=CompressionConfig(), latent=VariationalLatent()), recording)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DenseModel(linear_path=True, output_activation="sigmoid"), "linear_path wants"),
        (lambda: Conv2dModel(linear_path=True), "linear_path wants a latent_map"),
        (lambda: Conv2dModel(patch=4, upsampling="resize"), "patch wants upsampling transposed"),
        (lambda: LinearModel(free_size=True), "free_size wants a block"),
        (lambda: CompressionConfig(weight=-1), "weight must be >= 0"),
    ],
)
def test_sections_that_make_no_sense(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("model", "shape", "message"),
    [
        (LinearModel(block=8), (12, 16, 3), "cannot be cut into blocks of 8"),
        (LinearModel(block=8), (32, 2), "cannot be cut into blocks of 8"),
        (LinearModel(latent=40), (16, 2), "no 40 principal components of 32"),
        (TILES.model, (12, 16, 3), "cut into patches of 4 pixels and halved 1 times; expected .* multiples of 8"),
    ],
)
def test_samples_that_do_not_fit(model, shape, message):
    from aetool.models import build_autoencoder

    with pytest.raises(UsageError, match=message):
        build_autoencoder(model, shape, 0)
