"""Looks through a file in ONNX Runtime's own format for tensors that are not in it, before the engine gets it.

Slots are those of onnxruntime's ort.fbs. A table that is reached twice is looked at once, so that the walk ends.
"""

from __future__ import annotations

from collections.abc import Iterator

from aetool_runtime.backends.flatbuffer_tables import Table, root_table
from aetool_runtime.errors import BackendError, UnsafeError

__all__ = ["IDENTIFIER", "MODEL", "operators", "refuse_tensors_elsewhere"]

IDENTIFIER = b"ORTM"
MODEL = 6  # of the root
_GRAPH = 18  # of a model
_OPERATION = 14  # of a node
_EXTERNAL_OFFSET = 16  # of a tensor
_HERE = -1

# table → slot → the table there, or those of the vector there
_TABLES = {"attribute": {16: "tensor", 18: "graph"}, "sparse": {4: "tensor", 6: "tensor"}}
_VECTORS = {
    "graph": {4: "tensor", 8: "node", 18: "sparse"},
    "node": {24: "attribute"},
    "attribute": {26: "tensor", 28: "graph"},
}


def refuse_tensors_elsewhere(data: bytes, where: str) -> None:
    """Raise if any tensor's data are outside the file.

    Raises:
        UnsafeError: a tensor's are.
        BackendError: the bytes are no such file.
    """
    try:
        elsewhere = _look(data)
    except (ValueError, IndexError, OverflowError) as error:
        hint = "export it again"
        raise BackendError(f"the graph is not in ONNX Runtime's format ({error})", where=where, hint=hint) from error
    if elsewhere:
        raise UnsafeError(
            "the graph keeps a tensor in another file",
            where=where,
            expected="all weights inside the graph",
            hint="do not use this bundle; ask whoever made it for a new one",
        )


def operators(data: bytes) -> Iterator[str]:
    """The operation of each node, bodies included.

    Raises:
        ValueError: no such file.
    """
    return (table.text(_OPERATION).decode() for kind, table in _walk(data) if kind == "node")


def _look(data: bytes) -> bool:
    return any(
        kind == "tensor" and table.integer(_EXTERNAL_OFFSET, "<q", _HERE) != _HERE for kind, table in _walk(data)
    )


def _walk(data: bytes) -> Iterator[tuple[str, Table]]:
    """Every table of interest with its kind, each once."""
    model = root_table(data, IDENTIFIER).table(MODEL)
    graph = None if model is None else model.table(_GRAPH)
    if graph is None:
        raise ValueError("it holds no graph")
    waiting = [("graph", graph)]
    seen: set[tuple[str, int]] = set()
    while waiting:
        kind, table = waiting.pop()
        if (kind, table.at) in seen:
            continue
        seen.add((kind, table.at))
        yield kind, table
        waiting.extend(_inside(kind, table))


def _inside(kind: str, table: Table) -> Iterator[tuple[str, Table]]:
    for slot, inner in _TABLES.get(kind, {}).items():
        found = table.table(slot)
        if found is not None:
            yield inner, found
    for slot, inner in _VECTORS.get(kind, {}).items():
        yield from ((inner, item) for item in table.tables(slot))
