"""What stands between a TFLite file and an engine without floating point."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from tests.exporters.reduced_models import data_for, made, reduced

from aetool_exporters.request import ExportRequest
from aetool_exporters.tflite.extraction import extract
from aetool_exporters.tflite.flatbuffer import read, write
from aetool_exporters.tflite.microcontroller import activation_arena, obstacles
from aetool_runtime.errors import ConversionError


def file(model: str, *, integer_io: bool = True) -> bytes:
    return reduced(model, "int8", integer_io=integer_io).files["tflite/model.int8.tflite"]


@pytest.mark.parametrize("model", ["dense", "conv_2d", "dense_batch_norm", "normalized_per_channel", "depthwise"])
def test_nothing_stands_in_the_way_of_integers(model: str) -> None:
    assert obstacles(file(model)) == []


def test_real_values_at_the_ends_are_named_with_the_remedy() -> None:
    found = obstacles(file("dense", integer_io=False))
    assert {obstacle.tensor for obstacle in found} == {
        "encode/input", "encode/latent", "decode/latent", "decode/reconstruction", "reconstruct/input",
        "reconstruct/reconstruction",
    }  # fmt: skip
    assert {obstacle.what for obstacle in found} == {"float32 values"}
    assert {obstacle.remedy for obstacle in found} == {"export int8 with --integer-io"}


def test_layers_are_named_where_they_are_known() -> None:
    _, exporter = made("layer_norm")
    data = file("layer_norm")
    known = exporter.operation_layers["tflite/model.int8.tflite"]
    found = [o for o in obstacles(data, known) if o.operation.startswith("RSQRT") and "kernel" in o.what]
    assert found
    assert all(obstacle.layer.startswith("layer_normalization") for obstacle in found)
    assert "RSQRT has no int8 kernel there (encode, RSQRT" in str(found[0])


def test_loops_have_no_kernel() -> None:
    found = [obstacle for obstacle in obstacles(file("lstm")) if obstacle.operation.startswith("WHILE")]
    assert any("recurrent" in obstacle.remedy for obstacle in found)


def test_float32_files_are_full_of_obstacles() -> None:
    reference, exporter = made("conv_2d")
    data = exporter.export(reference, ExportRequest("conv_2d")).files["tflite/model.float32.tflite"]
    assert {obstacle.what for obstacle in obstacles(data)} == {"float32 values"}


def test_free_sizes_many_dimensions_and_wide_integers() -> None:
    model = read(file("dense"))
    tensors = model.subgraphs[0].tensors
    tensors[0].shapeSignature = np.array([-1, 784], np.int32)
    tensors[1].shape = np.array([1, 1, 1, 1, 1, 64], np.int32)
    tensors[2].type = 4
    whats = {(obstacle.what, obstacle.signature) for obstacle in obstacles(write(model))}
    assert whats == {("a free size", "encode"), ("6 dimensions", "encode"), ("int64 values", "encode")}


def test_the_arena_holds_what_is_alive_together() -> None:
    """The largest pair of neighbours: 784 values in, 64 out; each rounded up to 16 bytes."""
    assert activation_arena(extract(file("dense"), "encode")) == 784 + 64
    # logits and their sigmoid
    assert activation_arena(file("dense")) == 784 + 784


@pytest.mark.parametrize("key", ["encode", "decode"])
def test_one_signature_can_be_taken_out(key: str) -> None:
    exported = reduced("conv_2d", "int8", integer_io=True)
    data = exported.files["tflite/model.int8.tflite"]
    alone = extract(data, key)
    assert len(alone) < 0.7 * len(data)
    assert len(read(alone).subgraphs) == 1
    artifact = next(artifact for artifact in exported.artifacts if artifact.signature == key)
    reference, _ = made("conv_2d")
    given = data_for("conv_2d")[:1] if key == "encode" else reference.compute("encoder", data_for("conv_2d")[:1])
    stored = {artifact.inputs[0].name: artifact.inputs[0].stored(given)}
    whole, part = (Interpreter(model_content=content).get_signature_runner(key)(**stored) for content in (data, alone))
    assert all(np.array_equal(whole[name], part[name]) for name in whole)


def test_what_cannot_be_taken_out() -> None:
    with pytest.raises(ConversionError, match="no signature 'embed'"):
        extract(file("dense"), "embed")
    with pytest.raises(ConversionError, match="loops"):
        extract(file("lstm"), "encode")
