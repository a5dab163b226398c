"""Model builders: shapes, readable names, seeds, and what a family refuses."""

from __future__ import annotations

import numpy as np
import pytest

from aetool.config import Conv1dModel, Conv2dModel, DenseModel
from aetool.models import build_autoencoder
from aetool_runtime.errors import UsageError


@pytest.mark.parametrize(
    ("model", "sample_shape"),
    [
        (DenseModel(latent=5, hidden=(12, 8)), (30,)),
        (DenseModel(latent=5, hidden=()), (6, 4, 2)),
        (Conv1dModel(latent=3, filters=(4, 8)), (32, 2)),
        (Conv1dModel(latent=3, filters=(4, 8), kernel=2, batch_norm=True), (32, 2)),
        (Conv2dModel(latent=3, filters=(4, 8)), (12, 8, 3)),
        (Conv2dModel(latent=3, filters=(4,), batch_norm=True, activation="silu"), (12, 8, 1)),
    ],
)
def test_a_sample_goes_to_a_flat_latent_and_back(model, sample_shape):
    built = build_autoencoder(model, sample_shape, seed=0)
    assert (built.encoder.name, built.decoder.name) == ("encoder", "decoder")
    latent = built.encoder(np.zeros((7, *sample_shape), np.float32))
    assert latent.shape == (7, model.latent)
    assert built.decoder(latent).shape == (7, *sample_shape)
    assert built.whole(np.zeros((2, *sample_shape), np.float32)).shape == (2, *sample_shape)
    assert built.parameters["encoder"] + built.parameters["decoder"] == built.whole.count_params()


def test_layers_are_named_after_what_they_are():
    dense = build_autoencoder(DenseModel(), (28, 28, 1), 0)
    assert [layer.name for layer in dense.encoder.layers] == [
        "input", "encoder_flatten_0", "encoder_dense_0", "encoder_dense_1",
    ]  # fmt: skip
    conv = build_autoencoder(Conv1dModel(filters=(4, 8), batch_norm=True, output_activation="tanh"), (32, 2), 0)
    assert [layer.name for layer in conv.decoder.layers] == [
        "latent", "decoder_dense_0", "decoder_reshape_0", "decoder_conv_transpose_0", "decoder_batch_norm_0",
        "decoder_relu_0", "decoder_conv_transpose_1", "decoder_tanh_0",
    ]  # fmt: skip


def test_the_tutorial_model():
    dense = build_autoencoder(DenseModel(output_activation="sigmoid"), (784,), 0)
    widths = [layer.units for half in (dense.encoder, dense.decoder) for layer in half.layers[1:]]
    assert widths == [64, 32, 64, 784]


def test_weights_that_no_memory_holds_are_refused():
    with pytest.raises(UsageError) as caught:
        build_autoencoder(DenseModel(latent=2**31 - 1, hidden=(2**22,)), (1,), 0)
    assert "a tensor of shape [4194304, 2147483647] does not fit in memory\n  try: make [model]" in str(caught.value)


def test_the_seed_decides_the_weights_and_touches_no_global_one():
    np.random.seed(3)
    before = np.random.get_state()[1]
    one, same, other = (build_autoencoder(Conv1dModel(), (32, 2), seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    for a, b in zip(one.whole.get_weights(), same.whole.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(one.encoder.get_weights()[0], other.encoder.get_weights()[0])
    assert not np.array_equal(one.encoder.get_weights()[2].ravel()[:8], one.encoder.get_weights()[0].ravel()[:8])


@pytest.mark.parametrize(
    ("model", "sample_shape", "message"),
    [
        (Conv1dModel(), (28, 28, 1), r"samples of shape \[28, 28, 1\] do not fit the family conv1d; expected \[time"),
        (Conv2dModel(), (256, 2), r"do not fit the family conv2d; expected \[height, width, channels\]"),
        (Conv2dModel(filters=(4, 4, 4)), (28, 28, 1), "cannot be halved 3 times; expected .* in multiples of 8"),
        (Conv1dModel(filters=(4,)), (255, 2), "cannot be halved 1 times; expected time in multiples of 2"),
    ],
)
def test_what_does_not_fit(model, sample_shape, message):
    with pytest.raises(UsageError, match=message):
        build_autoencoder(model, sample_shape, 0)
