"""Which Keras layers an operation of a converted file came from.

TensorFlow numbers scopes of the same name, so that ``dense_1`` may be the second look at ``dense`` or the first at
``dense_1``. While a model is converted for quantization, its layers therefore bear names that cannot be confused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aetool_exporters.reference import Reference

__all__ = ["layers_of_operators", "marked_layers"]

_MARK = re.compile(r"layer\.(\d+)\.")


@contextmanager
def marked_layers(reference: Reference) -> Iterator[dict[int, str]]:
    """Inside, layer n is called ``layer.n.``; yields n → the layer's own name."""
    layers = list({id(layer): layer for model in reference.models for layer in _nested(model)}.values())
    names = {place: layer.name for place, layer in enumerate(layers)}
    try:
        for place, layer in enumerate(layers):
            layer.name = f"layer.{place}."
        yield names
    finally:
        for place, layer in enumerate(layers):
            layer.name = names[place]


def _nested(layer: Any) -> Iterator[Any]:
    for inner in getattr(layer, "layers", ()):
        yield inner
        yield from _nested(inner)


def layers_of_operators(subgraph: Any, names: Mapping[int, str]) -> list[tuple[str, ...]]:
    """For each operation the layers that it came from, the innermost first, the models around it after it.

    The names of its outputs and constants tell; an operation whose names say nothing belongs to what it reads from.
    """
    made_by: dict[int, tuple[str, ...]] = {}
    found = []
    for operator in subgraph.operators or ():
        outputs = [int(index) for index in operator.outputs if index >= 0]
        inputs = [int(index) for index in operator.inputs if index >= 0]
        layers = _named(subgraph, outputs, names) or _named(subgraph, [i for i in inputs if i not in made_by], names)
        layers = layers or next((made_by[index] for index in inputs if index in made_by), ())
        made_by |= dict.fromkeys(outputs, layers)
        found.append(layers)
    return found


def _named(subgraph: Any, places: list[int], names: Mapping[int, str]) -> tuple[str, ...]:
    paths = [path for place in places for path in (subgraph.tensors[place].name or b"").decode().split(";")]
    return tuple(dict.fromkeys(names[int(mark)] for path in paths for mark in reversed(_MARK.findall(path))))
