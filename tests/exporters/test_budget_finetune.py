"""Quantization-aware fine-tuning: a copy that bears rounding better, the original as it was, the same every time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tests.exporters.keras_models import MODELS, compose, sample

from aetool_exporters.budget.fake_quantization import Range, kernels_of, rounded
from aetool_exporters.budget.finetune import finetune
from aetool_exporters.reference import Reference
from aetool_exporters.request import Calibration
from aetool_runtime.errors import ConversionError

STEPS = 60


def calibration(reference: Reference, count: int = 192) -> Calibration:
    values = sample(reference, count)
    return Calibration(lambda: (values[start : start + 64] for start in range(0, count, 64)))


def weights(reference: Reference) -> list[np.ndarray]:
    return [array for model in reference.models for array in model.get_weights()]


def tuned(build: Callable[[], Reference], **options: Any) -> tuple[Reference, Reference]:
    reference = build()
    return reference, finetune(reference, calibration(reference), STEPS, **{"seed": 0, **options})


@pytest.fixture(scope="module")
def pair() -> tuple[Reference, Reference]:
    """A convolutional model and its copy, with layers of many kinds."""
    return tuned(MODELS["conv_2d"])


def test_the_model_itself_is_left_as_it_was(pair: tuple[Reference, Reference]) -> None:
    original, copy = pair
    assert all(np.array_equal(a, b) for a, b in zip(weights(original), weights(MODELS["conv_2d"]()), strict=True))
    assert not any("call" in vars(layer) for model in (*original.models, *copy.models) for layer in model.layers)


def test_the_copy_is_another_model_of_the_same_layers(pair: tuple[Reference, Reference]) -> None:
    original, copy = pair
    assert not all(np.array_equal(a, b) for a, b in zip(weights(original), weights(copy), strict=True))
    assert original.encoder is not None
    assert copy.encoder is not None
    assert [layer.name for layer in original.encoder.layers[1:]] == [layer.name for layer in copy.encoder.layers[1:]]


def test_its_latents_and_reconstructions_stay_those_of_the_original(pair: tuple[Reference, Reference]) -> None:
    original, copy = pair
    given = sample(original, 64, seed=9)
    for role in ("encoder", "autoencoder"):
        wanted, met = original.compute(role, given), copy.compute(role, given)
        assert np.square(met - wanted).mean() < 1e-3 * wanted.var()


def with_rounded_weights(reference: Reference, wanted: np.ndarray, given: np.ndarray) -> float:
    """The squared error against ``wanted`` with 8-bit weights; activations exact."""
    layers = [layer for model in reference.models for layer in model._flatten_layers()]
    for kernel in kernels_of(layers, ()):
        kernel.variable.assign(rounded(kernel.variable, kernel.axes))
    return float(np.square(reference.compute("decoder", given) - wanted).mean())


def test_rounding_harms_the_copy_less() -> None:
    """Inputs that depend on each other, and a weight that makes the others' steps coarse."""
    mixing = np.random.default_rng(2).normal(size=(2, 16)).astype(np.float32)

    def build() -> Reference:
        model = keras.Sequential([keras.Input((16,)), keras.layers.Dense(8, name="coarse")])
        kernel = np.random.default_rng(1).normal(0, 0.05, (16, 8))
        kernel[0] = 4.0
        model.layers[0].set_weights([kernel, np.zeros(8)])
        return Reference(None, model, compose((2,), [keras.layers.Dense(1)], None).normalization)

    latents = (np.random.default_rng(3).normal(size=(512, 2)) @ mixing).astype(np.float32)
    original = build()
    wanted = original.compute("decoder", latents[:256])
    copy = finetune(build(), Calibration(lambda: iter([latents[256:]])), 300, seed=0)
    before = with_rounded_weights(original, wanted, latents[:256])
    assert with_rounded_weights(copy, wanted, latents[:256]) < 0.5 * before


def test_the_same_seed_gives_the_same_weights_and_another_others() -> None:
    _, one = tuned(MODELS["dense_batch_norm"])
    _, again = tuned(MODELS["dense_batch_norm"])
    _, other = tuned(MODELS["dense_batch_norm"], seed=1)
    assert all(np.array_equal(a, b) for a, b in zip(weights(one), weights(again), strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))


@pytest.mark.parametrize("name", ["lstm", "variational", "encoder_only", "tokens"])
def test_models_of_every_kind_are_tuned(name: str) -> None:
    reference = MODELS[name]()
    copy = finetune(reference, calibration(reference), 3, seed=0)
    assert copy.roles == reference.roles
    assert all(np.isfinite(array).all() for array in weights(copy))


def test_layers_that_stay_in_float_are_not_rounded() -> None:
    reference = MODELS["dense_batch_norm"]()
    layers = [layer for model in reference.models for layer in model.layers]
    everything = {layer.name for layer in layers}
    assert kernels_of(layers, everything) == []
    assert len(kernels_of(layers, ())) == 4


def test_one_scale_for_a_whole_kernel_where_that_is_wanted() -> None:
    layer = keras.layers.Dense(3)
    layer(np.zeros((1, 4), np.float32))
    (kernel,) = kernels_of([layer], (), per_channel=False)
    assert kernel.axes == (0, 1)


def test_a_model_that_cannot_be_copied_is_refused() -> None:
    class Sealed(keras.layers.Layer):
        def __init__(self, secret: object) -> None:
            super().__init__()

        def call(self, tensor: Any) -> Any:
            return tensor

    with pytest.raises(ConversionError, match="cannot be copied"):
        tuned(lambda: compose((4,), [keras.layers.Dense(2), Sealed(object())], [keras.layers.Dense(4)]))


@pytest.mark.parametrize(
    ("layer", "shape", "free"),
    [
        (lambda: keras.layers.Dense(3), (4,), (1,)),
        (lambda: keras.layers.Conv2D(3, 2), (4, 4, 2), (3,)),
        (lambda: keras.layers.Conv2DTranspose(3, 2), (4, 4, 2), (2,)),
        (lambda: keras.layers.DepthwiseConv2D(2), (4, 4, 2), (2, 3)),
    ],
    ids=["dense", "conv", "transposed", "depthwise"],
)
def test_each_output_channel_has_a_scale_of_its_own(
    layer: Callable[[], Any], shape: tuple[int, ...], free: tuple[int, ...]
) -> None:
    built = layer()
    built(np.zeros((1, *shape), np.float32))
    (kernel,) = kernels_of([built], ())
    assert set(range(len(kernel.variable.shape))) - set(kernel.axes) == set(free)


def test_weights_are_rounded_to_127_steps_on_either_side() -> None:
    values = np.array([[-1.0, 0.01], [0.5, -0.0199], [0.0, 0.02]], np.float32)
    met = rounded(values, (0,)).numpy()
    scale = np.array([1, 0.02]) / 127
    assert np.allclose(met, np.rint(values / scale) * scale, rtol=1e-6)


def test_a_range_rounds_inside_and_clips_outside() -> None:
    limits = Range()
    limits.add(tf.constant([0.0, 2.55]))
    assert np.allclose(limits.rounded(tf.constant([0.004, 0.006, 3.0, -1.0])), [0.0, 0.01, 2.55, 0.0], atol=1e-6)
