"""What the presets' graphs are made of: nothing but what computes, in both formats.

A preset's graph that grows is no error of this table's: look whether the new nodes compute something.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from keras import layers
from tests.exporters.keras_models import compose, sample

from aetool.config import load_preset
from aetool.models import build_autoencoder, with_vocabulary
from aetool_exporters.onnx import OnnxExporter
from aetool_exporters.reference import Reference
from aetool_exporters.request import Exported, ExportRequest
from aetool_runtime.specs import Normalization

DIGITS = Normalization((0.0,), (255.0,))
TWO_LEADS = Normalization((1000.0, 980.0), (40.0, 55.0))
RGB = Normalization((3.0,), (250.0,))

# preset → shape of a sample, normalization, more of `build_autoencoder`, the encoder's nodes, the decoder's
PRESETS: dict[str, tuple[tuple[int, ...], Normalization, dict[str, Any], str, str]] = {
    "dense": ((784,), DIGITS, {}, "MatMul Add Relu MatMul Add", "MatMul Add Relu MatMul Add Sigmoid Mul"),
    "vae": (
        (784,), DIGITS, {},
        "MatMul Add Relu MatMul Add Relu MatMul Add Slice Identity Slice",
        "MatMul Add Relu MatMul Add Relu MatMul Add Sigmoid Mul",
    ),
    "vqvae": (
        (28, 28, 1), DIGITS, {},
        "Reshape MatMul Add Relu MatMul Add Reshape MatMul Add ArgMax Cast",
        "Gather Reshape MatMul Add Relu MatMul Add Sigmoid Reshape Mul",
    ),
    "conv1d": (
        (256, 2), TWO_LEADS, {},
        "Sub Mul Unsqueeze Transpose Conv Relu Conv Relu Conv Relu Reshape MatMul Add",
        "MatMul Add Relu Reshape ConvTranspose Relu ConvTranspose Relu ConvTranspose Squeeze Transpose",
    ),
    "conv2d": (
        (28, 28, 1), DIGITS, {},
        "Reshape Conv Relu Conv Relu Reshape MatMul Add",
        "MatMul Add Relu Reshape ConvTranspose Relu ConvTranspose Sigmoid Mul Reshape",
    ),
    "conv2d-residual": (
        (32, 32, 3), RGB, {},
        "Sub Transpose Conv Relu Conv Relu Conv Add Relu Conv Relu Conv Relu Conv Add Relu Conv Transpose",
        "Transpose Conv Relu Conv Relu Conv Add Relu Resize Conv Relu Conv Relu Conv Add Relu Resize Conv Transpose",
    ),
    "gru-ecg": (
        (128, 2), TWO_LEADS, {},
        "Sub Mul Transpose GRU Transpose Reshape MatMul Add",
        "Unsqueeze Tile Transpose GRU Transpose Reshape MatMul Add",
    ),
    "lstm-ecg": (
        (128, 2), TWO_LEADS, {},
        "Sub Mul Transpose LSTM Transpose Reshape MatMul Add",
        "Unsqueeze Tile Transpose LSTM Transpose Reshape MatMul Add",
    ),
    "text": (
        (32,), Normalization(), {},
        "Gather Unsqueeze Transpose Conv Reshape MatMul Add",
        "MatMul Add Reshape ConvTranspose Squeeze Transpose MatMul Add Softmax",
    ),
    "superres": (
        (32, 32, 3), RGB, {"input_shape": (16, 16, 3), "residual": True},
        "Sub Mul Transpose Conv Relu Conv Concat Transpose",
        "Slice Transpose Conv Relu ConvTranspose Slice Transpose Resize Add Mul Add Transpose",
    ),
}  # fmt: skip
every_preset = pytest.mark.parametrize("preset", PRESETS)


@cache
def reference(preset: str) -> Reference:
    shape, normalization, options, *_ = PRESETS[preset]
    config = load_preset(preset)
    model = with_vocabulary(config.model, 300 if preset == "text" else 0)
    built = build_autoencoder(model, shape, 0, latent=config.latent, **options)
    generator = np.random.default_rng(1)
    for variable in (*built.encoder.variables, *built.decoder.variables):
        if len(variable.shape) == 1:
            variable.assign(generator.uniform(0.2, 0.9, variable.shape))
    return Reference(built.encoder, built.decoder, normalization)


@cache
def exported(preset: str) -> Exported:
    return OnnxExporter().export(reference(preset), ExportRequest(preset))


def nodes(exported: Exported, role: str) -> str:
    return " ".join(node.op_type for node in graph(exported, role).node)


def graph(exported: Exported, role: str) -> onnx.GraphProto:
    return onnx.load_from_string(exported.files[f"onnx/{role}.float32.onnx"]).graph


@every_preset
def test_a_preset_is_made_of_these_nodes(preset: str) -> None:
    *_, encoder, decoder = PRESETS[preset]
    assert nodes(exported(preset), "encoder") == encoder
    assert nodes(exported(preset), "decoder") == decoder


@every_preset
def test_and_computes_what_keras_computes(preset: str) -> None:
    truth = reference(preset)
    normal = np.random.default_rng(0).normal(size=(3, *PRESETS[preset][2].get("input_shape", PRESETS[preset][0])))
    given = sample(truth, 3) if preset == "text" else truth.normalization.invert(normal)
    session = onnxruntime.InferenceSession(exported(preset).files["onnx/autoencoder.float32.onnx"])
    expected = truth.compute("autoencoder", given)
    (met,) = session.run(None, {"input": given})
    assert np.abs(met - expected).max() <= 1e-5 * max(expected.std(), 1e-3) + 4 * 2.0**-23 * np.abs(expected).max()


def conv(filters: int, **options: Any) -> Any:
    return layers.Conv1D(filters, 3, padding="same", **options)


class Residual(layers.Layer):
    """A tensor that goes two ways, with the axes of a one-dimensional convolution in both."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = [conv(4, activation="relu"), conv(4)]

    def call(self, tensor: Any) -> Any:
        return keras.ops.relu(tensor + self.inner[1](self.inner[0](tensor)))


def shifted(offset: float) -> list[Any]:
    layer = layers.Normalization(mean=-offset, variance=1.0)
    return [layers.Conv2D(2, 1), layer]


# encoder → its nodes
PIECES: dict[str, tuple[tuple[int | None, ...], list[Any], str]] = {
    "normalization after a dense layer": (
        (6,), [layers.Dense(4), layers.BatchNormalization(), layers.ReLU()], "MatMul Add Relu"
    ),
    "normalization after a dense layer without bias": (
        (6,), [layers.Dense(4, use_bias=False), layers.BatchNormalization()], "MatMul Add"
    ),
    "normalization after a convolution of one dimension": (
        (8, 2), [conv(3), layers.BatchNormalization(), layers.ReLU(), conv(2)],
        "Unsqueeze Transpose Conv Relu Conv Squeeze Transpose",
    ),
    "normalization after a depthwise convolution": (
        (8, 8, 2), [layers.DepthwiseConv2D(3), layers.BatchNormalization()], "Transpose Conv Transpose"
    ),
    "normalization after a transposed convolution": (
        (8, 8, 2), [layers.Conv2DTranspose(3, 3, strides=2), layers.BatchNormalization()],
        "Transpose ConvTranspose Transpose",
    ),
    "normalization before a dense layer stays": (
        (6,), [layers.BatchNormalization(), layers.Dense(4)], "Mul Add MatMul Add"
    ),
    "residual": (
        (8, 4), [conv(4, activation="relu"), Residual(), Residual()],
        "Unsqueeze Transpose Conv Relu Conv Relu Conv Add Relu Conv Relu Conv Add Relu Squeeze Transpose",
    ),
    "a large offset is not in the convolution's sum": ((4, 4, 3), shifted(1e4), "Transpose Conv Sub Transpose"),
    "a small offset is": ((4, 4, 3), shifted(0.5), "Transpose Conv Transpose"),
    "repeated pixels": ((4, 4, 2), [layers.UpSampling2D((2, 3))], "Transpose Resize Transpose"),
    "repeated pixels of any size": ((None, None, 2), [layers.UpSampling2D()], "Transpose Resize Transpose"),
    "repeated steps": (
        (6, 2), [conv(3), layers.UpSampling1D(2), conv(2)],
        "Unsqueeze Transpose Conv Resize Conv Squeeze Transpose",
    ),
    "a product over time": ((5, 6), [layers.Dense(4, "relu")], "MatMul Add Relu"),
    "flattened": (
        (4, 4, 3), [layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(2)], "Transpose Conv Reshape MatMul Add"
    ),
}  # fmt: skip


@pytest.mark.parametrize("piece", PIECES)
def test_a_piece_becomes_these_nodes_that_compute_the_same(piece: str) -> None:
    shape, encoder, expected = PIECES[piece]
    truth = compose(shape, encoder, None)  # type: ignore[arg-type]
    result = OnnxExporter().export(truth, ExportRequest("m"))
    assert nodes(result, "encoder") == expected
    given = np.random.default_rng(0).normal(size=(3, *(size or 4 for size in shape))).astype(np.float32)
    (met,) = onnxruntime.InferenceSession(result.files["onnx/encoder.float32.onnx"]).run(None, {"input": given})
    np.testing.assert_allclose(met, truth.compute("encoder", given), rtol=2e-6, atol=3e-6)


def test_tied_weights_are_stored_once() -> None:
    shared = layers.Dense(6, use_bias=False)
    truth = compose((6,), [shared, layers.BatchNormalization(), shared, layers.BatchNormalization()], None)
    result = OnnxExporter().export(truth, ExportRequest("m"))
    matrices = [tensor for tensor in graph(result, "encoder").initializer if len(tensor.dims) == 2]
    assert len(matrices) == 1
    given = sample(truth, 3)
    (met,) = onnxruntime.InferenceSession(result.files["onnx/encoder.float32.onnx"]).run(None, {"input": given})
    np.testing.assert_allclose(met, truth.compute("encoder", given), atol=1e-5)
