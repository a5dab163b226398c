"""What is particular to TFLite files: signatures, batch, names, and how bytes lie in them."""

from __future__ import annotations

from functools import cache
from typing import Any

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from keras import layers
from tests.exporters.keras_models import MODELS

from aetool_exporters.reference import Reference
from aetool_exporters.request import ExportRequest
from aetool_exporters.tflite import TfliteExporter
from aetool_exporters.tflite.flatbuffer import read, write
from aetool_exporters.tflite.inspection import check_operators, check_signatures, operators
from aetool_exporters.tflite.signatures import signatures
from aetool_runtime.errors import ConversionError, UnsupportedOperatorError
from aetool_runtime.specs import Normalization


@cache
def exported(model: str) -> bytes:
    return TfliteExporter().export(MODELS[model](), ExportRequest(model)).files["tflite/model.float32.tflite"]


def shapes(model: Any, key: bytes) -> dict[bytes, tuple[int, ...]]:
    entry = next(entry for entry in model.signatureDefs if entry.signatureKey == key)
    tensors = model.subgraphs[entry.subgraphIndex].tensors
    return {item.name: tuple(tensors[item.tensorIndex].shape) for item in (*entry.inputs, *entry.outputs)}


def test_three_signatures_with_a_batch_of_one() -> None:
    model = read(exported("conv_2d"))
    assert [entry.signatureKey for entry in model.signatureDefs] == [b"encode", b"decode", b"reconstruct"]
    assert shapes(model, b"encode") == {b"input": (1, 16, 16, 3), b"latent": (1, 10)}
    assert shapes(model, b"decode") == {b"latent": (1, 10), b"reconstruction": (1, 16, 16, 3)}
    assert shapes(model, b"reconstruct") == {b"input": (1, 16, 16, 3), b"reconstruction": (1, 16, 16, 3)}


def test_an_encoder_alone_has_one_signature() -> None:
    assert [entry.signatureKey for entry in read(exported("encoder_only")).signatureDefs] == [b"encode"]


@pytest.mark.parametrize("name", ["dense", "gru"])
def test_the_encoder_is_what_runs_without_signatures(name: str) -> None:
    model = read(exported(name))
    assert [entry.subgraphIndex for entry in model.signatureDefs] == [0, 1, 2]
    assert [graph.name for graph in model.subgraphs[:3]] == [b"encode", b"decode", b"reconstruct"]


@pytest.mark.parametrize("name", ["dense", "conv_2d", "lstm"])
def test_tensor_names_are_unique_and_say_nothing_of_layers(name: str) -> None:
    model = read(exported(name))
    names = [tensor.name.decode() for graph in model.subgraphs for tensor in graph.tensors]
    assert len(set(names)) == len(names)
    ends = {"input", "latent", "reconstruction"}
    assert all(leaf.isdigit() or leaf in ends for leaf in (name.rpartition("/")[2] for name in names))


@pytest.mark.parametrize("name", ["dense", "conv_2d"])
def test_every_constant_is_stored_once_and_aligned(name: str) -> None:
    data, reference = exported(name), MODELS[name]()
    contents = [bytes(buffer.data) for buffer in read(data).buffers if buffer.data is not None]
    assert len(set(contents)) == len(contents)
    for content in contents:
        if len(content) >= 256:
            assert data.index(content) % 16 == 0
    weights = 4 * (reference.encoder.count_params() + reference.decoder.count_params())
    assert sum(map(len, contents)) < 1.2 * weights + 2000


def test_the_first_buffer_stays_empty() -> None:
    assert read(exported("dense")).buffers[0].data is None


def test_reading_and_writing_changes_nothing() -> None:
    data = exported("lstm")
    assert data[4:8] == b"TFL3"
    assert write(read(data)) == data


def test_training_only_layers_leave_no_operation() -> None:
    assert sorted(operators(read(exported("training_only")))) == ["FULLY_CONNECTED"]


def test_other_bytes_are_refused() -> None:
    with pytest.raises(ConversionError, match="no TFLite file"):
        read(b"\0" * 64)


def test_a_free_dimension_besides_the_batch_is_refused() -> None:
    given = keras.Input((None, 2))
    reference = Reference(keras.Model(given, layers.Conv1D(1, 3)(given)), None, Normalization())
    with pytest.raises(ConversionError, match="free dimension"):
        TfliteExporter().export(reference, ExportRequest("m"))


@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        ("CUSTOM", UnsupportedOperatorError, "FlexErf is not"),
        ("VAR_HANDLE", ConversionError, "lost its weights"),
        ("READ_VARIABLE", ConversionError, "lost its weights"),
        ("RANDOM_STANDARD_NORMAL", UnsupportedOperatorError, "random numbers"),
    ],
)
def test_operations_that_must_not_be_there(code: str, error: type[ConversionError], message: str) -> None:
    model = read(exported("encoder_only"))
    model.operatorCodes.append(
        schema.OperatorCodeT(builtinCode=getattr(schema.BuiltinOperator, code), customCode=b"FlexErf")
    )
    with pytest.raises(error, match=message):
        check_operators(model)


def test_signatures_that_are_not_the_ones_asked_for() -> None:
    reference = MODELS["encoder_only"]()
    wanted = signatures(reference)
    model = read(exported("encoder_only"))
    check_signatures(model, wanted)
    model.signatureDefs[0].outputs[0].name = b"output_0"
    with pytest.raises(ConversionError, match="output_0"):
        check_signatures(model, wanted)
    model.signatureDefs = []
    with pytest.raises(ConversionError, match="signatures"):
        check_signatures(model, wanted)


def test_int32_tokens_stay_int32() -> None:
    model = read(exported("tokens"))
    tensor = model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]]
    assert (tensor.type, tensor.name) == (schema.TensorType.INT32, b"encode/input")
    assert np.array_equal(tensor.shape, [1, 6])
