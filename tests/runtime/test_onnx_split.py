"""A large graph is loaded through a small one that points into it: the same tensors, the same results."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from aetool_runtime.backends import load_backend, onnx_split, onnxruntime
from aetool_runtime.backends.onnx_split import LARGE, pointing_at_itself
from aetool_runtime.errors import UnsafeError
from aetool_runtime.specs import Artifact, TensorSpec, Tolerance

WIDTH = 600  # a matrix of 1.4 MB
ARTIFACT = Artifact(
    "encoder",
    "onnx",
    "float32",
    "e.onnx",
    (TensorSpec("input", "float32", (None, WIDTH)),),
    (TensorSpec("latent", "float32", (None, WIDTH)),),
    Tolerance(1e-5, 1e-4),
)


def model() -> onnx.ModelProto:
    generator = np.random.default_rng(0)
    constants = [
        numpy_helper.from_array(generator.normal(size=(WIDTH, WIDTH)).astype(np.float32), "matrix"),
        numpy_helper.from_array(generator.normal(size=WIDTH).astype(np.float32), "bias"),
        helper.make_tensor("listed", TensorProto.FLOAT, [LARGE // 4 + 1], np.ones(LARGE // 4 + 1)),  # no raw data
    ]
    ends = [helper.make_tensor_value_info(name, 1, ["batch", WIDTH]) for name in ("input", "latent")]
    nodes = [
        helper.make_node("MatMul", ["input", "matrix"], ["product"]),
        helper.make_node("ReduceMax", ["listed"], ["one"], keepdims=0),
        helper.make_node("Mul", ["product", "one"], ["same"]),
        helper.make_node("Add", ["same", "bias"], ["latent"]),
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_large_constants_are_pointed_at_and_nothing_else_changes() -> None:
    data = model().SerializeToString()
    pointing = onnx.load_from_string(pointing_at_itself(data, "self"))
    matrix = pointing.graph.initializer[0]
    told = {entry.key: entry.value for entry in matrix.external_data}
    assert (told.pop("location"), matrix.data_location) == ("self", TensorProto.EXTERNAL)
    offset, length = int(told["offset"]), int(told["length"])
    original = model().graph.initializer[0]
    assert data[offset : offset + length] == original.raw_data
    matrix.CopyFrom(original)
    assert pointing == model()


@pytest.mark.parametrize("name", ["a b", "ü" * 100])
def test_any_location(name: str) -> None:
    pointing = onnx.load_from_string(pointing_at_itself(model().SerializeToString(), name))
    assert pointing.graph.initializer[0].external_data[0].value == name


def test_the_results_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    data, array = model().SerializeToString(), np.random.default_rng(1).normal(size=(3, WIDTH)).astype(np.float32)

    def run() -> np.ndarray:
        return load_backend("onnxruntime").load(data, ARTIFACT, device="cpu", threads=1).run(array)[0]

    whole = run()
    used = []
    monkeypatch.setattr(onnxruntime, "_LARGE", 0)
    monkeypatch.setattr(
        onnxruntime, "pointing_at_itself", lambda *a: used.append(a) or onnx_split.pointing_at_itself(*a)
    )
    np.testing.assert_array_equal(run(), whole)
    assert used


def test_a_large_graph_that_points_elsewhere_is_still_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "_LARGE", 0)
    changed = onnx.load_from_string(pointing_at_itself(model().SerializeToString(), "this graph"))
    with pytest.raises(UnsafeError):
        load_backend("onnxruntime").load(changed.SerializeToString(), ARTIFACT, device="cpu", threads=1)


@given(st.binary(max_size=300))
def test_noise_is_refused_or_goes_through(noise: bytes) -> None:
    try:
        pointing_at_itself(noise, "self")
    except (ValueError, IndexError):
        return
