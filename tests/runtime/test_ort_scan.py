"""No graph in ONNX Runtime's own format may say that a tensor is elsewhere; and whatever the bytes, the look ends."""

from __future__ import annotations

from functools import cache

import flatbuffers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.runtime.tiny import onnx_graph

from aetool_exporters.ort.conversion import convert
from aetool_runtime.backends.ort_scan import refuse_tensors_elsewhere
from aetool_runtime.errors import BackendError, UnsafeError


@cache
def sound() -> bytes:
    return convert(onnx_graph("autoencoder").SerializeToString())


def test_a_graph_of_one_piece_passes() -> None:
    refuse_tensors_elsewhere(sound(), "place")


class Hiding:
    """Builds a file around one tensor; each method is a place for it."""

    def __init__(self, offset: int | None) -> None:
        self.builder = flatbuffers.Builder(0)
        self.tensor = self.table(7, {6: ("q", offset)} if offset is not None else {})

    def table(self, fields: int, values: dict[int, tuple[str, int]]) -> int:
        self.builder.StartObject(fields)
        for slot, (kind, value) in values.items():
            if kind == "q":
                self.builder.PrependInt64(value)
                self.builder.Slot(slot)
            else:
                self.builder.PrependUOffsetTRelativeSlot(slot, value, 0)
        return int(self.builder.EndObject())

    def vector(self, *items: int) -> int:
        self.builder.StartVector(4, len(items), 4)
        for item in reversed(items):
            self.builder.PrependUOffsetTRelative(item)
        return int(self.builder.EndVector())

    def file(self, graph: int) -> bytes:
        model = self.table(10, {7: ("o", graph)})
        self.builder.Finish(self.table(4, {1: ("o", model)}), b"ORTM")
        return bytes(self.builder.Output())

    def graph(self, slot: int, *items: int) -> int:
        return self.table(9, {slot: ("o", self.vector(*items))})

    def attribute(self, slot: int, value: int) -> int:
        node = self.table(13, {10: ("o", self.vector(self.table(13, {slot: ("o", value)})))})
        return self.graph(2, node)


PLACES = {
    "an initializer": lambda at: at.graph(0, at.tensor),
    "the last initializer": lambda at: at.graph(0, at.table(7, {}), at.tensor),
    "an attribute": lambda at: at.attribute(6, at.tensor),
    "a list of tensors": lambda at: at.attribute(11, at.vector(at.tensor)),
    "a body": lambda at: at.attribute(7, at.graph(0, at.tensor)),
    "a list of bodies": lambda at: at.attribute(12, at.vector(at.graph(0, at.tensor))),
    "a body of a body": lambda at: at.attribute(7, at.attribute(7, at.graph(0, at.tensor))),
    "a sparse tensor": lambda at: at.graph(7, at.table(3, {0: ("o", at.tensor)})),
    "a sparse tensor's indices": lambda at: at.graph(7, at.table(3, {1: ("o", at.tensor)})),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_tensor_elsewhere_is_found(place: str) -> None:
    for offset in (None, -1):
        here = Hiding(offset)
        refuse_tensors_elsewhere(here.file(PLACES[place](here)), "place")
    for offset in (0, 64, 2**40, -2):
        elsewhere = Hiding(offset)
        with pytest.raises(UnsafeError, match="place: the graph keeps a tensor in another file"):
            refuse_tensors_elsewhere(elsewhere.file(PLACES[place](elsewhere)), "place")


def test_a_graph_inside_itself_ends() -> None:
    at = Hiding(None)
    data = bytearray(at.file(at.attribute(7, at.graph(0, at.tensor))))
    looped = 0
    for place in range(len(data) - 4):  # every offset in turn leads somewhere else
        for target in (1, 8, 64):
            changed = bytes(data[:place] + target.to_bytes(4, "little") + data[place + 4 :])
            looped += passes_or_refuses(changed)
    assert looped


@given(st.binary(max_size=200))
def test_noise_is_refused(noise: bytes) -> None:
    passes_or_refuses(noise)
    passes_or_refuses(noise[:4] + b"ORTM" + noise[4:])


@given(st.data())
def test_a_damaged_graph_passes_or_is_refused_and_nothing_else(data: st.DataObject) -> None:
    graph = bytearray(sound())
    for _ in range(data.draw(st.integers(1, 4))):
        graph[data.draw(st.integers(0, len(graph) - 1))] = data.draw(st.integers(0, 255))
    passes_or_refuses(bytes(graph))


def passes_or_refuses(data: bytes) -> bool:
    try:
        refuse_tensors_elsewhere(data, "place")
    except (BackendError, UnsafeError):
        return False
    return True
