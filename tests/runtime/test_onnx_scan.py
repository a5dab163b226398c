"""No ONNX graph may send an engine to another file, wherever in the graph the tensor hides."""

from __future__ import annotations

from collections.abc import Callable

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from tests.runtime.tiny import NAMES, onnx_graph

from aetool_runtime.backends.onnx_scan import refuse_external_data
from aetool_runtime.errors import BackendError, UnsafeError


def external(name: str = "w0") -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[6, 2], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="/etc/passwd")
    return tensor


def with_location_only() -> TensorProto:
    return TensorProto(name="w0", data_type=TensorProto.FLOAT, dims=[6, 2], data_location=TensorProto.EXTERNAL)


def with_entries_only() -> TensorProto:
    tensor = external()
    tensor.ClearField("data_location")
    return tensor


def graph_of(*nodes: onnx.NodeProto, initializers: tuple[TensorProto, ...] = ()) -> onnx.GraphProto:
    return helper.make_graph(list(nodes), "inner", [], [], list(initializers))


def replace_weight(model: onnx.ModelProto, tensor: TensorProto) -> None:
    model.graph.initializer[0].CopyFrom(tensor)


def in_a_constant(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=external()))


def in_a_list_of_tensors(model: onnx.ModelProto) -> None:
    node = helper.make_node("Custom", [], ["c"])
    node.attribute.append(helper.make_attribute("values", [helper.make_tensor("a", 1, [1], [0.0]), external()]))
    model.graph.node.append(node)


def in_a_branch(model: onnx.ModelProto) -> None:
    branch = graph_of(helper.make_node("Constant", [], ["c"], value=external()))
    empty = graph_of()
    model.graph.node.append(helper.make_node("If", ["cond"], ["c"], then_branch=empty, else_branch=branch))


def in_a_branch_of_a_branch(model: onnx.ModelProto) -> None:
    inner = graph_of(initializers=(external(),))
    outer = graph_of(helper.make_node("If", ["cond"], ["c"], then_branch=inner))
    model.graph.node.append(helper.make_node("If", ["cond"], ["c"], then_branch=outer))


def in_a_list_of_graphs(model: onnx.ModelProto) -> None:
    node = helper.make_node("Custom", [], ["c"])
    node.attribute.append(helper.make_attribute("graphs", [graph_of(), graph_of(initializers=(external(),))]))
    model.graph.node.append(node)


def in_a_sparse_tensor(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.add().values.CopyFrom(external())


def in_a_sparse_tensors_indices(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.add().indices.CopyFrom(external())


def in_a_sparse_attribute(model: onnx.ModelProto) -> None:
    node = helper.make_node("Constant", [], ["c"])
    attribute = node.attribute.add(name="sparse_value", type=onnx.AttributeProto.SPARSE_TENSOR)
    attribute.sparse_tensor.values.CopyFrom(external())
    model.graph.node.append(node)


def in_a_list_of_sparse_tensors(model: onnx.ModelProto) -> None:
    attribute = model.graph.node[0].attribute.add(name="s", type=onnx.AttributeProto.SPARSE_TENSORS)
    attribute.sparse_tensors.add().values.CopyFrom(external())


def in_a_function(model: onnx.ModelProto) -> None:
    function = model.functions.add(name="f", domain="d")
    function.node.append(helper.make_node("Constant", [], ["c"], value=external()))


def in_a_functions_default(model: onnx.ModelProto) -> None:
    model.functions.add(name="f", domain="d").attribute_proto.append(helper.make_attribute("value", external()))


def in_training_information(model: onnx.ModelProto) -> None:
    model.training_info.add().algorithm.CopyFrom(graph_of(initializers=(external(),)))


HIDING_PLACES: dict[str, Callable[[onnx.ModelProto], None]] = {
    "an initializer": lambda model: replace_weight(model, external()),
    "an initializer that says only that it is elsewhere": lambda model: replace_weight(model, with_location_only()),
    "an initializer that says only where": lambda model: replace_weight(model, with_entries_only()),
    "the last of two initializers": lambda model: model.graph.initializer.append(external("unused")),
    "a Constant": in_a_constant,
    "a list of tensors": in_a_list_of_tensors,
    "a branch of an If": in_a_branch,
    "a branch of a branch": in_a_branch_of_a_branch,
    "a list of graphs": in_a_list_of_graphs,
    "a sparse tensor": in_a_sparse_tensor,
    "a sparse tensor's indices": in_a_sparse_tensors_indices,
    "a sparse attribute": in_a_sparse_attribute,
    "a list of sparse tensors": in_a_list_of_sparse_tensors,
    "a function": in_a_function,
    "a function's default": in_a_functions_default,
    "training information": in_training_information,
}


@pytest.mark.parametrize("hide", HIDING_PLACES.values(), ids=HIDING_PLACES)
def test_a_tensor_in_another_file_is_found(hide: Callable[[onnx.ModelProto], None]) -> None:
    model = onnx_graph("autoencoder")
    hide(model)
    with pytest.raises(UnsafeError, match=r"place: the graph keeps a tensor in another file"):
        refuse_external_data(model.SerializeToString(), "place")


@pytest.mark.parametrize("role", NAMES)
def test_a_graph_of_one_piece_passes(role: str) -> None:
    refuse_external_data(onnx_graph(role).SerializeToString(), "place")  # type: ignore[arg-type]


# --- the wire format, byte by byte ---


def key(number: int, wire: int) -> bytes:
    return varint(number << 3 | wire)


def varint(value: int, longer: int = 0) -> bytes:
    """LEB128; ``longer`` bytes more than needed say the same number."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    for _ in range(longer):
        out[-1] |= 128
        out.append(0)
    return bytes(out)


def message(number: int, content: bytes) -> bytes:
    return key(number, 2) + varint(len(content)) + content


def nested(*numbers: int) -> bytes:
    """Message in message."""
    content = b""
    for number in reversed(numbers):
        content = message(number, content)
    return content


OUTSIDE = key(14, 0) + varint(1)
GRAPH = message(7, message(5, OUTSIDE))
LONG_KEY = varint(7 << 3 | 2 | 1 << 32)  # a reader that keeps 32 bits of a key takes it for the graph

MESSAGES = {
    "plainly": (GRAPH, UnsafeError),
    "numbers in more bytes than they need": (message(7, message(5, varint(14 << 3, 2) + varint(1, 3))), UnsafeError),
    "an enum whose lowest 32 bits say so": (message(7, message(5, key(14, 0) + varint(1 | 1 << 32))), UnsafeError),
    "a key whose lowest 32 bits name the graph": (LONG_KEY + GRAPH[1:], BackendError),
    "the graph in two pieces": (message(7, b"") + GRAPH, UnsafeError),
    "behind unknown fields": (key(999, 1) + bytes(8) + key(998, 5) + bytes(4) + GRAPH, UnsafeError),
    "a field longer than its message": (key(7, 2) + varint(100) + b"abc", BackendError),
    "a length of 2^63": (key(7, 2) + varint(1 << 63), BackendError),
    "a number without an end": (b"\x80" * 11, BackendError),
    "a number cut off": (key(7, 2) + b"\x80", BackendError),
    "a fixed number cut off": (key(1, 1) + b"abc", BackendError),
    "a group": (key(7, 3) + key(7, 4), BackendError),
    "wire type 6": (key(7, 6), BackendError),
    "wire type 7": (key(7, 7), BackendError),
    "graphs 1000 deep": (nested(7, *[1, 5, 6] * 1000), BackendError),
}


@pytest.mark.parametrize(("model", "error"), MESSAGES.values(), ids=MESSAGES)
def test_messages_made_by_hand(model: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        refuse_external_data(model, "place")


@given(st.binary(max_size=300))
def test_noise_passes_or_is_refused_and_nothing_else(noise: bytes) -> None:
    for content in (noise, message(7, noise)):
        try:
            refuse_external_data(content, "place")
        except (BackendError, UnsafeError):
            continue


@given(st.data())
def test_a_damaged_graph_passes_or_is_refused_and_nothing_else(data: st.DataObject) -> None:
    model = bytearray(onnx_graph("autoencoder").SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        model[data.draw(st.integers(0, len(model) - 1))] = data.draw(st.integers(0, 255))
    try:
        refuse_external_data(bytes(model), "place")
    except (BackendError, UnsafeError):
        return


@given(st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1).map(lambda high: high << 32 | 1)))
def test_the_scanner_and_protobuf_read_the_same_enum(number: int) -> None:
    """Where protobuf sees EXTERNAL, so does the scanner."""
    model = message(7, message(5, key(14, 0) + varint(number)))
    seen = onnx.ModelProto.FromString(model).graph.initializer[0].data_location == TensorProto.EXTERNAL
    try:
        refuse_external_data(model, "place")
        found = False
    except UnsafeError:
        found = True
    assert found == seen
