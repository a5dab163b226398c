"""Training goals: each trains, names the parts of its loss, resumes without a trace, and exports nothing random."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from aetool.config import (
    AdversarialLatent,
    Config,
    Conv1dModel,
    Conv2dModel,
    CorruptionConfig,
    DataConfig,
    DenseModel,
    PenaltyConfig,
    TaskConfig,
    TrainingConfig,
    VariationalLatent,
    VectorQuantizedLatent,
    config_text,
    parse_config,
)
from aetool.training import StepsDone, plan_training, train
from aetool_runtime.errors import InterruptedRun, UsageError

from .runs import CONV, DENSE, assert_same_run, recording, vectors, with_training

SMALL = with_training(DENSE, epochs=2)
SIGMOID = replace(SMALL, model=DenseModel(latent=3, hidden=(8,), latent_activation="sigmoid"))
QUANTIZED = replace(SMALL, model=DenseModel(latent=6, hidden=(8,)), latent=VectorQuantizedLatent(codes=8, dimension=2))
GOALS = {
    "plain": (SMALL, vectors, {"reconstruction"}),
    "variational": (
        replace(SMALL, latent=VariationalLatent(beta=0.1, warmup_epochs=1)), vectors, {"reconstruction", "kl"},
    ),
    "vector_quantized": (QUANTIZED, vectors, {"reconstruction", "commitment"}),
    "adversarial": (
        replace(SMALL, latent=AdversarialLatent(hidden=(8,))), vectors,
        {"reconstruction", "adversarial", "discriminator"},
    ),
    "gaussian": (replace(SMALL, corruption=CorruptionConfig("gaussian", 0.2)), vectors, {"reconstruction"}),
    "salt_and_pepper": (
        replace(with_training(CONV, epochs=2), corruption=CorruptionConfig("salt_and_pepper", 0.2)), recording,
        {"reconstruction"},
    ),
    "l1": (replace(SMALL, penalty=PenaltyConfig(l1=0.01)), vectors, {"reconstruction", "penalty_l1"}),
    "kl": (replace(SIGMOID, penalty=PenaltyConfig(kl=0.01)), vectors, {"reconstruction", "penalty_kl"}),
    "contractive": (
        replace(SMALL, penalty=PenaltyConfig(contractive=0.01)), vectors, {"reconstruction", "penalty_contractive"},
    ),
    "all at once": (
        replace(
            with_training(CONV, epochs=2), latent=VariationalLatent(), corruption=CorruptionConfig("masking", 0.2),
            penalty=PenaltyConfig(l1=0.01, contractive=0.01),
        ),
        recording, {"reconstruction", "kl", "penalty_l1", "penalty_contractive"},
    ),
}  # fmt: skip
EXPORTED = {
    "Activation", "Argmax", "BatchNormalization", "Conv1D", "Conv1DTranspose", "Dense", "Embedding", "Flatten",
    "GetItem", "InputLayer", "Reshape",
}  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The checkpoint of a goal by its name; trained once, not to be changed."""

    @cache
    def trained(name):
        folder = tmp_path_factory.mktemp("whole")
        config, make, _ = GOALS[name]
        return train(config, make(folder), folder / "model")

    return trained


@pytest.mark.parametrize("name", GOALS)
def test_a_goal_trains_and_names_the_parts_of_its_loss(name, whole):
    config, _, names = GOALS[name]
    checkpoint = whole(name)
    for point in checkpoint.metrics["epochs"]:
        for loss, parts in (("loss", "parts"), ("validation_loss", "validation_parts")):
            assert set(point[parts]) == names
            counted = [value for part, value in point[parts].items() if part not in ("adversarial", "discriminator")]
            assert point[loss] == pytest.approx(sum(counted))
    assert checkpoint.config == parse_config(config_text(checkpoint.config))
    assert checkpoint.config.latent == config.latent


@pytest.mark.parametrize("name", GOALS)
def test_what_is_exported_is_made_of_plain_layers_and_nothing_random(name, whole):
    checkpoint = whole(name)
    layers = {type(layer).__name__ for half in (checkpoint.encoder, checkpoint.decoder) for layer in half.layers}
    assert layers <= EXPORTED
    samples = checkpoint.held_out[:3]
    for one, other in zip(_outputs(checkpoint.encoder, samples), _outputs(checkpoint.encoder, samples), strict=True):
        np.testing.assert_array_equal(one, other)


def _outputs(encoder, samples):
    found = encoder(samples, training=True)
    return [np.asarray(part) for part in (found if isinstance(found, list) else [found])]


@pytest.mark.parametrize("name", ["variational", "vector_quantized", "adversarial", "gaussian", "contractive"])
def test_a_stopped_run_goes_on_without_a_trace(name, whole, tmp_path):
    """Noise, codebook, discriminator and its optimizer: all as if nothing had happened."""
    config, make, _ = GOALS[name]
    data, output = make(tmp_path), tmp_path / "stopped"

    def stop(event):
        if isinstance(event, StepsDone) and event.step >= 20:  # in the second epoch
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(InterruptedRun):
        train(config, data, output, report=stop)
    resumed = train(config, data, output, resume=True)
    assert_same_run(resumed, whole(name))


def test_a_variational_encoder_returns_mean_and_log_variance(tmp_path):
    plan = plan_training(GOALS["variational"][0], vectors(tmp_path), print)
    mean, logvar = plan.autoencoder.encoder(np.zeros((5, 10), np.float32))
    assert mean.shape == logvar.shape == (5, 3)
    assert plan.autoencoder.decoder(mean).shape == (5, 10)
    np.testing.assert_allclose(plan.autoencoder.whole(np.zeros((5, 10))), plan.autoencoder.decoder(mean), rtol=1e-6)


def test_a_quantized_encoder_returns_the_nearest_entries(whole):
    checkpoint = whole("vector_quantized")  # as it was read back
    samples = checkpoint.normalization.apply(checkpoint.held_out)
    indices = np.asarray(checkpoint.encoder(samples))
    assert (indices.dtype, indices.shape[1:]) == (np.int32, (3,))
    vectors_of = _model_until(checkpoint.encoder, "encoder_vectors")(samples)
    table = checkpoint.decoder.get_layer("decoder_codebook").get_weights()[0]
    distances = np.square(np.asarray(vectors_of)[:, :, None] - table).sum(axis=-1)
    np.testing.assert_array_equal(indices, distances.argmin(axis=-1))
    assert checkpoint.decoder.inputs[0].dtype == "int32"


def _model_until(model, layer):
    import keras

    return keras.Model(model.input, model.get_layer(layer).output)


def images(folder):
    np.save(folder / "images.npy", np.random.default_rng(0).random((60, 8, 12, 3)).cumsum(axis=1).cumsum(axis=2))
    return folder / "images.npy"


def test_super_resolution_takes_small_images_and_returns_whole_ones(tmp_path):
    data = images(tmp_path)
    config = Config(
        Conv2dModel(latent_map=8, filters=(4,)), training=TrainingConfig(epochs=2), task=TaskConfig("super_resolution")
    )
    checkpoint = train(config, data, tmp_path / "model")
    assert checkpoint.encoder.input_shape[1:] == checkpoint.held_out.shape[1:] == (4, 6, 3)
    assert checkpoint.decoder.output_shape[1:] == (8, 12, 3)
    evaluation = checkpoint.metrics["evaluation"]
    assert set(evaluation["super_resolution"]) == {"samples", "network", "bicubic"}
    assert "pca" not in evaluation
    assert "super_resolution" in evaluation["skipped"]["pca"]
    mean = plan_training(config, data, print).data.split.test.take(np.arange(1))
    np.testing.assert_allclose(checkpoint.held_out[0, 0, 0], mean[0, :2, :2].mean(axis=(0, 1)), rtol=1e-5)


def test_a_residual_decoder_adds_the_image_that_the_latent_carries():
    from aetool.models import build_autoencoder

    model = Conv2dModel(latent_map=4, filters=(5,), free_size=True)
    built = build_autoencoder(model, (8, 12, 3), 0, input_shape=(4, 6, 3), residual=True)
    image = np.random.default_rng(0).random((2, 4, 6, 3)).astype(np.float32)
    latent = np.array(built.encoder(image))
    assert latent.shape == (2, 4, 6, 7)
    np.testing.assert_array_equal(latent[..., 4:], image)
    gray = np.concatenate([latent[..., :4], np.full((2, 4, 6, 3), 0.5, np.float32)], axis=-1)
    black = np.concatenate([latent[..., :4], np.zeros((2, 4, 6, 3), np.float32)], axis=-1)
    np.testing.assert_allclose(built.decoder(gray) - built.decoder(black), np.full((2, 8, 12, 3), 0.5), atol=1e-6)
    assert built.whole(np.zeros((1, 10, 6, 3), np.float32)).shape == (1, 20, 12, 3)


LARGER = replace(SMALL, model=Conv2dModel(filters=(4,)), task=TaskConfig("super_resolution", residual=True))
REFUSED = {
    "residual with a flat latent": (LARGER, "a latent of shape [32] cannot carry an image of shape [4, 6, 3]"),
    "residual with a smaller map": (
        replace(LARGER, model=Conv2dModel(latent_map=4, filters=(4, 4))),
        "a latent of shape [2, 3, 4] cannot carry an image of shape [4, 6, 3]",
    ),
    "residual with a variational latent": (
        replace(LARGER, latent=VariationalLatent()),
        "carries an image in the latent, and [latent] variational changes it",
    ),
    "grown too far": (
        replace(LARGER, task=TaskConfig("super_resolution", factor=4)),
        "1 convolutions cannot make an image 4 times larger; expected [model] filters with 2 values or more",
    ),
    "kl without sigmoid": (
        replace(SMALL, penalty=PenaltyConfig(kl=1)),
        "[penalty] kl is for a latent between 0 and 1, and this one is linear",
    ),
    "kl without an activation": (
        replace(CONV, penalty=PenaltyConfig(kl=1)), "[penalty] kl is for a latent between 0 and 1",
    ),
    "variational sigmoid": (replace(SIGMOID, latent=VariationalLatent()), "and this one is sigmoid"),
    "penalized integers": (
        replace(QUANTIZED, penalty=PenaltyConfig(l1=1)), "a vector-quantized latent is integers",
    ),
    "odd vectors": (
        replace(QUANTIZED, latent=VectorQuantizedLatent(dimension=4)),
        "a latent of 6 values cannot be cut into vectors of 4; expected [latent] dimension that divides 6",
    ),
    "vectors larger": (
        replace(SMALL, task=TaskConfig("super_resolution")),
        "samples of shape [10] cannot be made smaller by 2; expected [height, width, channels]",
    ),
    "tokens": (
        with_training(SMALL, loss="sparse_categorical_crossentropy"), '[data] normalization is "minmax"',
    ),
    "tokens of vectors": (
        replace(with_training(SMALL, loss="sparse_categorical_crossentropy"), data=DataConfig(normalization="none")),
        "loss sparse_categorical_crossentropy does not go with a model that takes real values; expected mse, mae",
    ),
    "noisy tokens": (
        replace(
            with_training(SMALL, loss="sparse_categorical_crossentropy"), corruption=CorruptionConfig("masking", 0.1)
        ),
        "[corruption] masking is for real values",
    ),
    "contracted tokens": (
        replace(with_training(SMALL, loss="sparse_categorical_crossentropy"), penalty=PenaltyConfig(contractive=1)),
        "[penalty] contractive is for real values",
    ),
    "larger tokens": (
        replace(with_training(SMALL, loss="sparse_categorical_crossentropy"), task=TaskConfig("super_resolution")),
        "[task] super_resolution is for images",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_go_together_is_named(name, tmp_path):
    config, message = REFUSED[name]
    make = {Conv1dModel: recording, Conv2dModel: images}.get(type(config.model), vectors)
    with pytest.raises(UsageError) as caught:
        plan_training(config, make(tmp_path), print)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[latent]\nkind = "variatonal"\n', "latent.kind is 'variatonal'; expected plain, variational"),
        ('[latent]\nkind = "variatonal"\n', "did you mean 'variational'?"),
        ("[latent]\nbeta = 1.0\n", "latent.beta is not known; expected one of kind"),
        ('[latent]\nkind = "variational"\nbeta = -1\n', "[latent] beta must be >= 0"),
        ('[latent]\nkind = "vector_quantized"\ncodes = 1\n', "[latent] codes must be >= 2"),
        ('[latent]\nkind = "adversarial"\nhidden = [0]\n', "[latent] hidden holds widths > 0"),
        ('[corruption]\nkind = "gauss"\n', "corruption.kind is 'gauss'; expected none, gaussian"),
        ('[corruption]\nkind = "gaussian"\n', "[corruption] gaussian corruption wants an amount > 0"),
        ('[corruption]\nkind = "masking"\namount = 2\n', "[corruption] amount must be a share between 0 and 1"),
        ("[penalty]\nkl_target = 1\n", "[penalty] kl_target must be between 0 and 1"),
        ("[penalty]\nl1 = -1\n", "[penalty] l1 must be >= 0"),
        ('[task]\nkind = "super_resolution"\nfactor = 3\n', "[task] factor must be a power of 2"),
        ("[task]\nresidual = true\n", "[task] residual is for super_resolution"),
    ],
)
def test_what_is_refused_in_a_section_is_named(text, message):
    with pytest.raises(UsageError) as caught:
        parse_config('[model]\nfamily = "dense"\n' + text)
    assert message in str(caught.value)
