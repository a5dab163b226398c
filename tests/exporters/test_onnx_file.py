"""What is particular to ONNX files: dimensions, opsets, versions, nodes."""

from __future__ import annotations

import keras
import onnx
import onnxruntime
import pytest
from keras import layers
from tests.exporters.keras_models import MODELS, compose, sample

from aetool_exporters.onnx import OnnxExporter
from aetool_exporters.reference import Reference
from aetool_exporters.request import ExportRequest
from aetool_runtime.errors import UsageError
from aetool_runtime.specs import Normalization


def export_encoder(reference: Reference, opset: int = 17) -> onnx.ModelProto:
    result = OnnxExporter().export(reference, ExportRequest("m", opset=opset))
    return onnx.load_from_string(result.files["onnx/encoder.float32.onnx"])


def dimensions(value: onnx.ValueInfoProto) -> list[str | int]:
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


def test_the_batch_is_free_and_called_batch() -> None:
    graph = export_encoder(MODELS["conv_2d"]()).graph
    assert [dimensions(value) for value in (*graph.input, *graph.output)] == [["batch", 16, 16, 3], ["batch", 10]]


@pytest.mark.parametrize("opset", [13, 15, 17, 18])
def test_the_opset_is_the_one_asked_for(opset: int) -> None:
    model = export_encoder(MODELS["layer_norm"](), opset)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", opset)]
    assert model.ir_version <= 8
    onnxruntime.InferenceSession(model.SerializeToString())


@pytest.mark.parametrize("opset", [0, 12, 19, 99])
def test_other_opsets_are_refused(opset: int) -> None:
    with pytest.raises(UsageError, match=f"opset {opset}"):
        OnnxExporter().export(MODELS["encoder_only"](), ExportRequest("m", opset=opset))


def test_the_file_says_nothing_about_how_it_came_about() -> None:
    model = export_encoder(MODELS["dense"]())
    assert (model.producer_name, model.producer_version, model.doc_string) == ("aetool", "", "")
    assert model.graph.name == "main"
    assert not model.graph.value_info
    assert [node.name for node in model.graph.node] == ["MatMul_0", "Add_1", "Relu_2", "MatMul_3", "Add_4", "Relu_5"]


def test_training_only_layers_leave_no_node() -> None:
    graph = export_encoder(MODELS["training_only"]()).graph
    assert [node.op_type for node in graph.node] == ["MatMul", "Add", "Relu", "MatMul", "Add"]


def test_batch_normalization_is_folded_into_convolutions() -> None:
    graph = export_encoder(MODELS["conv_2d"]()).graph
    assert "BatchNormalization" not in {node.op_type for node in graph.node}


def test_the_exact_gelu_is_made_of_erf() -> None:
    graph = export_encoder(MODELS["gelu"]()).graph
    assert "Erf" in {node.op_type for node in graph.node}


def test_other_free_dimensions_stay_free() -> None:
    given = keras.Input((None, None, 1))
    encoder = keras.Model(given, layers.Conv2D(2, 3, strides=2, padding="same")(given))
    model = export_encoder(Reference(encoder, None, Normalization()))
    assert dimensions(model.graph.input[0]) == ["batch", "input_1", "input_2", 1]
    wide = compose((8, 12, 1), [encoder], None)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    assert session.run(None, {"input": sample(wide, 2)})[0].shape == (2, 4, 6, 2)
