"""A model's architecture as data: the entries that describe its layers, in the forms that Keras has written.

An entry is ``{"class_name": …, "config": {…}}``, in a functional model with ``name`` and ``inbound_nodes`` beside them.
Nodes are lists ``[layer, node, tensor, arguments]`` in Keras 2, and ``{"args": …, "kwargs": …}`` in Keras 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

__all__ = ["GRAPHS", "Entry", "count_calls_from_zero", "inner_layers", "is_entry", "layer_name", "read_from", "walk"]

Entry: TypeAlias = dict[str, Any]

GRAPHS = frozenset({"Functional", "Model", "Sequential"})
"""Models that are nothing but their layers."""

_HELD = ("layer", "forward_layer", "backward_layer", "cell", "cells", "layers")


def is_entry(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("class_name"), str) and "config" in value


def layer_name(entry: Entry) -> str:
    config = entry["config"]
    return str(entry.get("name") or (config.get("name") if isinstance(config, dict) else "") or entry["class_name"])


def inner_layers(entry: Entry) -> list[Entry]:
    """The layers that a model is made of, or that a wrapper holds."""
    config = entry["config"]
    if isinstance(config, list):  # a Sequential of the first Keras 2
        return [layer for layer in config if is_entry(layer)]
    if not isinstance(config, dict):
        return []
    found = [config[key] for key in _HELD if key in config]
    flat = [one for value in found for one in (value if isinstance(value, list) else [value])]
    return [value for value in flat if is_entry(value)]


def walk(entry: Entry, prefix: str = "") -> Iterator[tuple[str, Entry]]:
    """Every layer below an entry, with the names of the nested models around it: ``encoder/dense``."""
    for layer in inner_layers(entry):
        path = prefix + layer_name(layer)
        yield path, layer
        yield from walk(layer, f"{path}/")


def read_from(entry: Entry) -> list[list[str]]:
    """The names of the layers that each call of a layer reads, in order."""
    return [_names(node) for node in entry.get("inbound_nodes", [])]


def _names(node: Any) -> list[str]:
    if isinstance(node, dict):
        if node.get("class_name") == "__keras_tensor__":
            return [str(node["config"]["keras_history"][0])]
        return [name for value in node.values() for name in _names(value)]
    if isinstance(node, list):
        if len(node) in (3, 4) and isinstance(node[0], str) and isinstance(node[1], int):
            return [node[0]]
        return [name for value in node for name in _names(value)]
    return []


def count_calls_from_zero(entry: Entry) -> None:
    """To Keras 2, making a nested model was its first call; references to later ones are put right, in place."""
    calls = {layer_name(layer): len(layer.get("inbound_nodes", [])) for layer in inner_layers(entry)}
    config = entry["config"] if isinstance(entry["config"], dict) else {}
    ends = [config.get("input_layers"), config.get("output_layers")]
    references = _references([[layer.get("inbound_nodes") for layer in inner_layers(entry)], ends])
    last: dict[str, int] = {}
    for name, call, *_ in references:
        last[name] = max(call, last.get(name, 0))
    for reference in references:
        name = reference[0]
        reference[1] -= max(0, last[name] - calls.get(name, last[name] + 1) + 1)


def _references(value: Any) -> list[list[Any]]:
    """The lists ``[layer, call, tensor, …]`` in calls and ends."""
    if isinstance(value, dict):
        return [found for inner in value.values() for found in _references(inner)]
    if not isinstance(value, list):
        return []
    if len(value) in (3, 4) and isinstance(value[0], str) and all(isinstance(place, int) for place in value[1:3]):
        return [value, *_references(value[3:])]
    return [found for inner in value for found in _references(inner)]
