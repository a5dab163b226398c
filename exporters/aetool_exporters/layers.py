"""Which Keras layer a converter's node came from."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from aetool_exporters.reference import Reference

__all__ = ["layer_names", "layer_of"]

_REPEATED = re.compile(r"_\d+$")


def layer_names(reference: Reference) -> frozenset[str]:
    """The names of all layers of encoder and decoder, nested ones included."""
    return frozenset(name for model in reference.models for name in _nested(model))


def _nested(layer: Any) -> list[str]:
    return [layer.name, *(name for inner in getattr(layer, "layers", ()) for name in _nested(inner))]


def layer_of(path: str, names: Collection[str]) -> str:
    """The innermost layer that a node's path, such as ``functional_1/dense_2_1/MatMul``, leads through; "" if none."""
    for part in reversed(path.split("/")):
        for candidate in (part, _REPEATED.sub("", part)):  # TensorFlow numbers repeated scopes
            if candidate in names:
                return candidate
    return ""
