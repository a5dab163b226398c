"""The canonical form: the same for every way of writing a graph down, and computing the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from aetool_exporters.onnx.canonical import canonicalize, serialize
from aetool_exporters.onnx.ordering import ordered_nodes
from aetool_runtime.errors import ConversionError

FLOATS = TensorProto.FLOAT


def value(name: str, *shape: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, FLOATS, shape)


def constant(name: str, *numbers: float) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(numbers, np.float32), name)


def model_of(nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto], **noise: Any) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "any", [value("x", "n", 2)], [value("y", "n", 2)], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, **noise)
    onnx.checker.check_model(model, full_check=True)
    return model


def compute(model: onnx.ModelProto) -> np.ndarray[Any, Any]:
    array = np.array([[1.0, -2.0], [0.5, 3.0]], np.float32)
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": array})[0]


def diamond(first: str, second: str, *, swapped: bool = False) -> onnx.ModelProto:
    """y = (x · a) − (x + b), the two halves in either order and with any names."""
    halves = [
        helper.make_node("Mul", ["x", "a"], [first], name="left"),
        helper.make_node("Add", ["x", "b"], [second], name="right", doc_string="noise"),
    ]
    constants = [constant("a", 2, 3), constant("b", 5, 7)]
    if swapped:
        halves.reverse()
        constants.reverse()
    return model_of([*halves, helper.make_node("Sub", [first, second], ["y"])], constants)


def branching(then_name: str) -> onnx.ModelProto:
    """y = x · a if sum(x) > 0 else x; the bodies use tensors of the graph around them."""
    then_body = helper.make_graph(
        [helper.make_node("Mul", ["x", "a"], [then_name])], "t", [], [value(then_name, "k", 2)]
    )
    else_body = helper.make_graph([helper.make_node("Identity", ["x"], ["e"])], "e", [], [value("e", "m", 2)])
    return model_of(
        [
            helper.make_node("ReduceSum", ["x"], ["total"], keepdims=0),
            helper.make_node("Greater", ["total", "zero"], ["positive"]),
            helper.make_node("If", ["positive"], ["y"], else_branch=else_body, then_branch=then_body),
        ],
        [constant("a", 2, 3), numpy_helper.from_array(np.float32(0), "zero")],
    )


def looping(prefix: str, *, state_first: bool) -> onnx.ModelProto:
    """y = x · 2³ by a loop whose body returns a tensor twice: as its state and as a step's result."""
    kept, copied = f"{prefix}_double", f"{prefix}_copy"
    body = helper.make_graph(
        [
            helper.make_node("Mul", [f"{prefix}_state", "two"], [kept]),
            helper.make_node("Identity", [kept], [copied]),
            helper.make_node("Identity", [f"{prefix}_go"], [f"{prefix}_on"]),
        ],
        "body",
        [
            helper.make_tensor_value_info(f"{prefix}_step", TensorProto.INT64, []),
            helper.make_tensor_value_info(f"{prefix}_go", TensorProto.BOOL, []),
            value(f"{prefix}_state", f"{prefix}_unknown", 2),
        ],
        [
            helper.make_tensor_value_info(f"{prefix}_on", TensorProto.BOOL, []),
            *[value(name, "u", 2) for name in ((kept, copied) if state_first else (copied, kept))],
        ],
    )
    return model_of(
        [helper.make_node("Loop", ["count", "", "x"], ["y", "steps"], body=body)],
        [numpy_helper.from_array(np.int64(3), "count"), numpy_helper.from_array(np.float32(2), "two")],
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (diamond("p", "q"), diamond("q", "p")),
        (diamond("p", "q"), diamond("p", "q", swapped=True)),
        (branching("t"), branching("Mul_0")),
        (looping("a", state_first=True), looping("b", state_first=True)),
        (looping("a", state_first=True), looping("a", state_first=False)),
    ],
)
def test_one_form_for_every_way_of_writing_a_graph(one: onnx.ModelProto, other: onnx.ModelProto) -> None:
    assert serialize(canonicalize(one)) == serialize(canonicalize(other))


@pytest.mark.parametrize("model", [diamond("p", "q"), branching("t"), looping("a", state_first=False)])
def test_results_stay_and_twice_is_once(model: onnx.ModelProto) -> None:
    before = serialize(model)
    canonical = canonicalize(model)
    assert serialize(model) == before
    onnx.checker.check_model(canonical, full_check=True)
    np.testing.assert_array_equal(compute(canonical), compute(model))
    assert serialize(canonicalize(canonical)) == serialize(canonical)


def test_dead_nodes_and_constants_go() -> None:
    model = diamond("p", "q")
    model.graph.node.append(helper.make_node("Relu", ["x"], ["unused"]))
    model.graph.initializer.append(constant("unused_constant", 1))
    assert serialize(canonicalize(model)) == serialize(canonicalize(diamond("p", "q")))


def test_noise_goes_and_metadata_stays_sorted() -> None:
    model = diamond("p", "q")
    model.producer_version, model.doc_string, model.graph.doc_string = "1.2.3", "made on a Monday", "noise"
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 2))
    helper.set_model_props(model, {"b": "2", "a": "1"})
    canonical = canonicalize(model)
    assert [(entry.key, entry.value) for entry in canonical.metadata_props] == [("a", "1"), ("b", "2")]
    assert [entry.domain for entry in canonical.opset_import] == [""]
    del canonical.metadata_props[:]
    assert serialize(canonical) == serialize(canonicalize(diamond("p", "q")))


def test_constants_are_stored_one_way() -> None:
    """A tensor may be written as raw bytes or as a list of numbers."""
    as_list = diamond("p", "q")
    as_list.graph.initializer[0].CopyFrom(helper.make_tensor("a", FLOATS, [2], [2.0, 3.0]))
    assert serialize(canonicalize(as_list)) == serialize(canonicalize(diamond("p", "q")))


def test_new_names_do_not_collide_with_the_interface() -> None:
    model = diamond("p", "q")
    model.graph.output[0].name = model.graph.node[2].output[0] = "Mul_0"
    canonical = canonicalize(model)
    assert canonical.graph.output[0].name == "Mul_0"
    np.testing.assert_array_equal(compute(canonical), compute(diamond("p", "q")))


def test_deep_graphs_do_not_exhaust_the_stack() -> None:
    count = 5000
    names = ["x", *(f"t{i}" for i in range(count - 1)), "y"]
    nodes = [helper.make_node("Relu", [names[i]], [names[i + 1]]) for i in range(count)]
    graph = helper.make_graph(nodes[::-1], "deep", [value("x", 2)], [value("y", 2)])
    assert [node.output[0] for node in ordered_nodes(graph)] == names[1:]


def test_functions_and_sparse_constants_are_refused() -> None:
    model = diamond("p", "q")
    model.functions.add(name="own")
    with pytest.raises(ConversionError, match="functions"):
        canonicalize(model)
    model = diamond("p", "q")
    model.graph.sparse_initializer.add()
    with pytest.raises(ConversionError, match="sparse"):
        canonicalize(model)
