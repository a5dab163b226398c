"""The measurements of each task: the definitions, by hand, and baselines that are what they are called."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from aetool.cli.evaluation_tables import evaluation_text
from aetool.config import (
    Conv2dModel,
    CorruptionConfig,
    DataConfig,
    DenseModel,
    TaskConfig,
    TextModel,
    VariationalLatent,
    VectorQuantizedLatent,
)
from aetool.evaluation import evaluate
from aetool.evaluation.denoising import _shaped
from aetool.evaluation.generation import frechet_distance
from aetool.evaluation.quantization import _allocate
from aetool.evaluation.subject import Subject
from aetool.evaluation.super_resolution import structural_similarity
from aetool.training import plan_training

from .runs import CONV, DENSE, recording, vectors, with_training

RANDOM = np.random.default_rng(0)


def evaluated(config, data):
    plan = plan_training(config, data, print)
    return plan, evaluate(plan.config, plan.autoencoder, plan.data)


def test_denoising_is_measured_against_the_clean_samples(tmp_path):
    config = replace(CONV, corruption=CorruptionConfig("gaussian", 0.5))
    plan, result = evaluated(config, recording(tmp_path))
    found = result.denoising
    noise = 0.5 * np.asarray(plan.data.normalization.scale)
    assert found.corrupted == pytest.approx(10 * np.log10(result.peak**2 / np.square(noise).mean()), abs=0.2)
    assert min(found.median, found.wiener) > found.corrupted  # slow sines: smoothing helps
    assert result == evaluate(plan.config, plan.autoencoder, plan.data)


def test_salt_and_pepper_is_what_the_median_is_for(tmp_path):
    _, result = evaluated(replace(CONV, corruption=CorruptionConfig("salt_and_pepper", 0.1)), recording(tmp_path))
    assert result.denoising.median > result.denoising.wiener
    assert result.denoising.median > result.denoising.corrupted + 5


def test_a_filter_sees_flat_images_as_images(tmp_path):
    np.save(tmp_path / "images.npy", RANDOM.random((30, 6, 5)))
    plan = plan_training(replace(DENSE, data=DataConfig(sample_shape=(-1,))), tmp_path / "images.npy", print)
    shaped, window = _shaped(Subject(plan.config, plan.autoencoder, plan.data), np.zeros((4, 30), np.float32), 3)
    assert (shaped.shape, window) == ((4, 6, 5, 1), (1, 3, 3, 1))


def test_structural_similarity():
    one = RANDOM.random((2, 16, 20, 3)) * 255
    assert structural_similarity(one, one, 255) == pytest.approx(1)
    assert structural_similarity(one, one + 40, 255) < 1
    flat, other = np.full((1, 12, 12, 1), 100.0), np.full((1, 12, 12, 1), 150.0)
    c1 = (0.01 * 255) ** 2  # nothing varies: only the means are compared
    expected = (2 * 100 * 150 + c1) / (100**2 + 150**2 + c1)
    assert structural_similarity(flat, other, 255) == pytest.approx(expected)


def test_bicubic_restores_a_ramp(tmp_path):
    ramp = np.linspace(0, 1, 12)[None, :, None, None] * RANDOM.random((40, 1, 1, 2)) * np.ones((1, 12, 8, 1))
    np.save(tmp_path / "ramps.npy", ramp)
    config = replace(DENSE, model=Conv2dModel(latent=4, filters=(4,)), task=TaskConfig("super_resolution"))
    _, result = evaluated(config, tmp_path / "ramps.npy")
    assert result.super_resolution.bicubic.psnr > 35
    assert result.super_resolution.bicubic.ssim > 0.95
    assert result.super_resolution.network.psnr == pytest.approx(result.network.psnr)
    assert (result.pca, result.activity) == (None, None)


def test_frechet_distance_is_that_of_the_closed_form():
    one = RANDOM.normal(size=(4000, 3)) * [1, 2, 3]
    assert frechet_distance(one, one + np.array([1, 2, 2])) == pytest.approx(9)
    assert frechet_distance(one, 2 * (one - one.mean(axis=0)) + one.mean(axis=0)) == pytest.approx(14, rel=0.05)
    assert frechet_distance(one[:, :1], one[:, :1]) == pytest.approx(0, abs=1e-6)


def test_generation_ranks_real_data_before_noise(tmp_path):
    _, result = evaluated(replace(DENSE, latent=VariationalLatent()), vectors(tmp_path))
    found = result.generation
    assert found.real.frechet < min(found.noise.frechet, found.network.frechet)
    assert found.real.nearest < min(found.noise.nearest, found.network.nearest)


def test_bits_go_where_they_lower_the_error_most():
    assert _allocate(np.array([16.0, 4.0, 1.0]), 3).tolist() == [2, 1, 0]
    assert _allocate(np.array([16.0, 4.0, 1.0]), 0).tolist() == [0, 0, 0]
    assert _allocate(np.array([1.0, 1.0]), 5).sum() == 5


def test_quantization_is_compared_at_equal_bits(tmp_path):
    """The vectors are a mix of three, and 18 bits are six for each."""
    config = replace(
        DENSE, model=DenseModel(latent=6, hidden=(8,)), latent=VectorQuantizedLatent(codes=64, dimension=2)
    )
    _, result = evaluated(config, vectors(tmp_path))
    found = result.quantization
    assert (found.bits, found.pca_bits, found.pca_components) == (18, 18, 3)
    assert 1 <= found.codes_used <= 64
    assert 0 < found.pca.mse < result.network.mse
    coarse = replace(config, latent=VectorQuantizedLatent(codes=4, dimension=2))
    assert evaluated(coarse, vectors(tmp_path))[1].quantization.pca.mse > found.pca.mse


def test_activity_does_not_depend_on_the_unit_of_the_latent(tmp_path):
    plan, result = evaluated(DENSE, vectors(tmp_path))
    last = plan.autoencoder.encoder.layers[-1]
    last.set_weights([1000 * weight for weight in last.get_weights()])
    again = evaluate(plan.config, plan.autoencoder, plan.data).activity
    assert again.network.inactive == pytest.approx(result.activity.network.inactive)
    assert again.network.moved == pytest.approx(result.activity.network.moved, rel=1e-3)
    last.set_weights([weight * np.array([1, 0, 0], np.float32) for weight in last.get_weights()])
    assert evaluate(plan.config, plan.autoencoder, plan.data).activity.network.inactive >= 2 / 3


def test_text_is_measured_in_bits_per_character(tmp_path):
    lines = ["aab", "abb", "aaa", "bab", "aba", "bbb", "aaé", "abab", "ba", "bbbb"] * 3
    (tmp_path / "lines.txt").write_text("\n".join(lines))
    config = with_training(DENSE, loss="sparse_categorical_crossentropy")
    config = replace(
        config,
        model=TextModel(latent=4, embedding=4, filters=(4,)),
        data=DataConfig(normalization="none", text_length=4),
    )
    plan, result = evaluated(config, tmp_path / "lines.txt")
    pad, taken = plan.data.tokenizer.pad, plan.data.training.take(np.arange(len(plan.data.training)))
    counts = Counter(taken[taken != pad].tolist())
    test = plan.data.split.test.take(np.arange(len(plan.data.split.test)))
    total = sum(counts.values()) + 256
    bits = -sum(np.log2((counts[token] + 1) / total) for token in test[test != pad].tolist())
    characters = sum(map(len, plan.data.tokenizer.decode(test)))
    assert result.text.unigram == pytest.approx(bits / characters)
    assert result.text.network == pytest.approx(np.log2(257) * (test != pad).sum() / characters, rel=0.05)  # untrained
    assert result.text.exact == 0
    assert set(result.document()) == {"samples", "latent", "text", "skipped"}


def test_documents_are_json_without_what_does_not_apply(tmp_path):
    _, result = evaluated(replace(DENSE, latent=VariationalLatent()), vectors(tmp_path))
    document = json.loads(json.dumps(result.document(), allow_nan=False))
    assert set(document) == {
        "samples", "peak", "latent", "network", "pca", "pca_samples", "activity", "generation",
    }  # fmt: skip
    text = evaluation_text(document)
    assert "PCA with as many values does as well: the network does not earn its keep" in text
    assert "real, held out" in text
    assert "values near 0" not in text
    assert "values near 0" in evaluation_text(document, penalized=True)
