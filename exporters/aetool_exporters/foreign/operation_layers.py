"""``TFOpLambda`` and ``SlicingOpLambda``, TensorFlow functions in files of Keras 2 → layers that call the same ones."""

from __future__ import annotations

import json
from typing import Any

from aetool_exporters.foreign.entries import Entry
from aetool_exporters.foreign.graph_safety import COMPUTING
from aetool_exporters.foreign.tensor_functions import RANDOM, TENSOR_FUNCTIONS

__all__ = ["OPERATION_CLASSES", "operation_name", "rewrite_operation", "with_tensors_by_name"]

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
    calls = [_call(node) for node in entry.get("inbound_nodes", [])]
    if len(calls) != 1:
        return None
    ((tensors, template),) = calls
    entry |= {
        "module": None,
        "class_name": "TensorFunction",
        "registered_name": "TensorFunction",
        "config": {
            "name": str(name).replace("/", "_"),
            "function": function,
            "arguments": template,
            "dtype": "float32",
        },
        "inbound_nodes": [{"args": [tensors], "kwargs": {}}],
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


def _call(node: Any) -> tuple[list[Any], dict[str, Any]]:
    """Of a call of Keras 2: its tensors, and its arguments with the places of the tensors."""
    node = [node] if isinstance(node[0], str) else node
    tensors: list[Any] = []
    firsts = [_placed(item[:3], tensors) for item in node]
    keywords = node[0][3] if len(node[0]) > 3 else {}
    named = {key: _placed(value, tensors) for key, value in keywords.items() if key != "name"}
    return tensors, {"args": [firsts[0] if len(firsts) == 1 else firsts], "kwargs": named}


def _placed(value: Any, tensors: list[Any]) -> Any:
    """An argument with ``{"tensor": place}`` for each tensor, which are collected."""
    if isinstance(value, list):
        if len(value) == 3 and value[0] == _CONSTANT:
            return _placed(value[2], tensors)
        if _is_reference(value):
            tensors.append(_tensor(value))
            return {"tensor": len(tensors) - 1}
        return [_placed(item, tensors) for item in value]
    if isinstance(value, dict) and value.get("class_name") == "__tuple__":
        return [_placed(item, tensors) for item in value["items"]]
    return {key: _placed(item, tensors) for key, item in value.items()} if isinstance(value, dict) else value


def _is_reference(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and isinstance(value[0], str) and isinstance(value[1], int)


def _tensor(reference: list[Any]) -> dict[str, Any]:
    history = {"shape": [None], "dtype": "float32", "keras_history": reference}
    return {"class_name": "__keras_tensor__", "config": history}


def with_tensors_by_name(node: Any) -> Any:
    """A call of Keras 2, in the form of Keras 3 if it has tensors by name, such as ``initial_state``."""
    if isinstance(node, dict) or not all(isinstance(item, list) and item for item in node):
        return node
    named = {key: value for item in node if len(item) > 3 for key, value in item[3].items()}
    if not any(map(_holds_reference, named.values())):
        return node
    given = [_tensor(item[:3]) for item in node]
    keywords = {key: _revived(value) for key, value in named.items()}
    return {"args": [given[0] if len(given) == 1 else given], "kwargs": keywords}


def _holds_reference(value: Any) -> bool:
    return _is_reference(value) or (isinstance(value, list) and any(map(_holds_reference, value)))


def _revived(value: Any) -> Any:
    if _is_reference(value):
        return _tensor(value)
    return [_revived(item) for item in value] if isinstance(value, list) else value
