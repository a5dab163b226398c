"""``TFOpLambda`` and ``SlicingOpLambda``, TensorFlow functions in files of Keras 2 → layers that call the same ones."""

from __future__ import annotations

import json
from typing import Any

from aetool_exporters.foreign.entries import Entry
from aetool_exporters.foreign.graph_safety import COMPUTING
from aetool_exporters.foreign.tensor_functions import RANDOM, TENSOR_FUNCTIONS

__all__ = ["OPERATION_CLASSES", "operation_name", "rewrite_operation"]

OPERATION_CLASSES = frozenset({"TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer"})
_CONSTANT = "_CONSTANT_VALUE"


def operation_name(entry: Entry) -> str:
    """The TensorFlow function or operation, such as ``math.multiply`` or ``AddV2``."""
    if entry["class_name"] == "TensorFlowOpLayer":
        return str(_node_definition(entry).get("op", "an operation in an unknown form"))
    return f"tf.{entry['config'].get('function', '')}"


def rewrite_operation(entry: Entry, path: str) -> list[str] | None:
    """Make a ``TensorFunction`` or ``SingleOperation`` of it, in place; ``None`` if it is not known to only compute.

    Returns:
        What the user should know.
    """
    if entry["class_name"] == "TensorFlowOpLayer":
        return _rewrite_single(entry, path)
    function = str(entry["config"].get("function", ""))
    if function not in TENSOR_FUNCTIONS:
        return None
    name = entry["config"].get("name") or entry.get("name")
    entry |= {
        "module": None,
        "class_name": "TensorFunction",
        "registered_name": "TensorFunction",
        "config": {"name": str(name).replace("/", "_"), "function": function, "dtype": "float32"},
        "inbound_nodes": [_node(node) for node in entry.get("inbound_nodes", [])],
    }
    entry.pop("build_config", None)
    return [f"layer {path!r} draws random numbers; their mean takes their place"] if function in RANDOM else []


def _node_definition(entry: Entry) -> dict[str, Any]:
    """The ``NodeDef`` as JSON; empty where it was written in another form."""
    node = entry["config"].get("node_def")
    try:
        node = json.loads(node) if isinstance(node, str) else node
    except ValueError:
        return {}
    return node if isinstance(node, dict) else {}


def _rewrite_single(entry: Entry, path: str) -> list[str] | None:
    node = _node_definition(entry)
    if node.get("op") not in COMPUTING:
        return None
    name = str(entry["config"].get("name") or entry.get("name")).replace("/", "_")
    constants = entry["config"].get("constants") or {}
    config = {"name": name, "node": node, "constants": constants, "dtype": "float32"}
    entry |= {
        "module": None,
        "class_name": "SingleOperation",
        "registered_name": "SingleOperation",
        "config": config,
    }
    entry.pop("build_config", None)
    random = node["op"].startswith(("Random", "Truncated"))
    return [f"layer {path!r} draws random numbers; their mean takes their place"] if random else []


def _node(node: Any) -> Any:
    """A call in the form of Keras 3."""
    if isinstance(node, dict):
        return node
    firsts = [_value(item[:3]) for item in node]
    keywords = {key: _value(value) for key, value in (node[0][3] if len(node[0]) > 3 else {}).items() if key != "name"}
    return {"args": [firsts[0] if len(firsts) == 1 else firsts], "kwargs": keywords}


def _value(value: Any) -> Any:
    if isinstance(value, list):
        if len(value) == 3 and value[0] == _CONSTANT:
            return _value(value[2])
        if len(value) == 3 and isinstance(value[0], str) and isinstance(value[1], int):
            history = {"shape": [None], "dtype": "float32", "keras_history": value}
            return {"class_name": "__keras_tensor__", "config": history}
        return [_value(item) for item in value]
    if isinstance(value, dict):
        if set(value) == {"start", "stop", "step"}:
            return {"class_name": "__slice__", "config": {key: _value(part) for key, part in value.items()}}
        if value.get("class_name") == "__tuple__":
            return [_value(item) for item in value["items"]]
        return {key: _value(item) for key, item in value.items()} if "class_name" not in value else value
    return value
