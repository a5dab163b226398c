"""The model repository for Triton: its layout, and a configuration that says what the graphs take and return."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import onnx
import pytest
from tests.runtime.test_reduced_precision import integer_bundle
from tests.runtime.tiny import bundle_of, tflite_files, tiny_files, write_bundle

from aetool_exporters.triton import write_triton
from aetool_runtime import open_bundle
from aetool_runtime.errors import UsageError

# What the ONNX types are called in Triton's model_config.proto.
TYPES = {onnx.TensorProto.FLOAT: "TYPE_FP32", onnx.TensorProto.INT8: "TYPE_INT8"}
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[A-Za-z_][A-Za-z0-9_]*|-?\d+|[\[\]{}:,]')


def parsed(text: str) -> dict[str, list[Any]]:
    """Protobuf's text format, as far as a configuration needs it: every field with all of its values."""
    assert TOKEN.sub("", text).strip() == "", "nothing but tokens"
    tokens = TOKEN.findall(text)
    message, rest = _message([*tokens, "}"])
    assert rest == []
    return message


def _message(tokens: list[str]) -> tuple[dict[str, list[Any]], list[str]]:
    fields: dict[str, list[Any]] = {}
    while tokens[0] != "}":
        name, *tokens = tokens
        if tokens[0] == ":":
            tokens = tokens[1:]
        if tokens[0] == "[":
            values, tokens = _values(tokens[1:])
        else:
            value, tokens = _value(tokens)
            values = [value]
        fields.setdefault(name, []).extend(values)
    return fields, tokens[1:]


def _values(tokens: list[str]) -> tuple[list[Any], list[str]]:
    values = []
    while tokens[0] != "]":
        value, tokens = _value(tokens)
        values.append(value)
        if tokens[0] == ",":
            tokens = tokens[1:]
    return values, tokens[1:]


def _value(tokens: list[str]) -> tuple[Any, list[str]]:
    return _message(tokens[1:]) if tokens[0] == "{" else (tokens[0].strip('"'), tokens[1:])


def check(model: Path) -> None:
    """As Triton does when it loads a model of the ONNX Runtime backend with ``--strict-model-config``."""
    config = parsed((model / "config.pbtxt").read_text("utf-8"))
    assert config["name"] == [model.name]
    assert config["backend"] == ["onnxruntime"]
    assert int(config["max_batch_size"][0]) > 0
    assert sorted(path.name for path in model.iterdir()) == ["1", "config.pbtxt"]
    assert [path.name for path in (model / "1").iterdir()] == ["model.onnx"]
    graph = onnx.load(model / "1" / "model.onnx").graph
    for field, values in (("input", graph.input), ("output", graph.output)):
        declared = {entry["name"][0]: (entry["data_type"][0], entry["dims"]) for entry in config[field]}
        met = {}
        for value in values:
            batch, *sizes = value.type.tensor_type.shape.dim
            assert batch.dim_param == "batch", "a configuration with max_batch_size needs a free first dimension"
            met[value.name] = (TYPES[value.type.tensor_type.elem_type], [str(size.dim_value or -1) for size in sizes])
        assert declared == met


@pytest.mark.parametrize("files", [tiny_files, integer_bundle], ids=["float32", "int8"])
def test_a_repository_is_what_triton_loads(tmp_path: Path, files: Any) -> None:
    bundle = open_bundle(write_bundle(tmp_path / "b", files()))
    names = write_triton(bundle, tmp_path / "repository")
    end = "-int8" if files is integer_bundle else ""
    assert names == [f"tiny-{role}{end}" for role in ("encoder", "decoder", "autoencoder")]
    assert sorted(path.name for path in (tmp_path / "repository").iterdir()) == sorted(names)
    for name in names:
        check(tmp_path / "repository" / name)


def test_the_graphs_are_the_bundles(tmp_path: Path) -> None:
    bundle = open_bundle(write_bundle(tmp_path / "b", tiny_files()))
    write_triton(bundle, tmp_path / "r")
    assert (tmp_path / "r" / "tiny-encoder" / "1" / "model.onnx").read_bytes() == bundle.read("encoder.onnx")


def test_a_bundle_without_onnx_is_refused(tmp_path: Path) -> None:
    bundle = open_bundle(write_bundle(tmp_path / "b", bundle_of(*tflite_files())))
    with pytest.raises(UsageError, match="no ONNX graphs"):
        write_triton(bundle, tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_only_a_repository_is_replaced(tmp_path: Path) -> None:
    bundle = open_bundle(write_bundle(tmp_path / "b", tiny_files()))
    write_triton(bundle, tmp_path / "r")
    with pytest.raises(UsageError, match="already exists"):
        write_triton(bundle, tmp_path / "r")
    write_triton(bundle, tmp_path / "r", overwrite=True)
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="not a model repository"):
        write_triton(bundle, precious, overwrite=True)
