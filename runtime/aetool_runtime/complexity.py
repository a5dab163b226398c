"""What a network costs, layer by layer: the values, and how a manifest holds them (FORMAT.md, section 8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from aetool_runtime.strict_json import Node

__all__ = ["Complexity", "LayerCost", "RoleCost", "complexity_json", "parse_complexity"]


@dataclass(frozen=True)
class LayerCost:
    """A layer, for one sample.

    Args:
        name: with the names of the nested models around it: ``encoder/dense``; ``dense#2`` where it is used again.
        kind: the layer's class.
        shape: of its first output, without the batch; ``None`` for a free dimension.
        parameters: values that it holds; 0 where it shares those of a layer above.
        multiply_adds: ``None`` where they are not known, which is not the same as none.
        activation_bytes: of all outputs; ``None`` where a dimension is free.
    """

    name: str
    kind: str
    shape: tuple[int | None, ...]
    parameters: int
    multiply_adds: int | None
    activation_bytes: int | None


@dataclass(frozen=True)
class RoleCost:
    """An encoder or decoder.

    Args:
        input_shape: what it was counted for, without the batch.
        layers: in the order of computation.
        weight_bytes: ``float32``, ``float16``, ``int8`` → bytes of all parameters at that precision.
        peak_activation_bytes: of the tensors that are alive at once; ``None`` where a dimension is free.
    """

    input_shape: tuple[int | None, ...]
    layers: tuple[LayerCost, ...]
    weight_bytes: Mapping[str, int]
    peak_activation_bytes: int | None

    @property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        """Of the layers where they are known; see ``unknown``."""
        return sum(layer.multiply_adds or 0 for layer in self.layers)

    @property
    def unknown(self) -> tuple[str, ...]:
        """The layers whose multiply-adds are not known."""
        return tuple(layer.name for layer in self.layers if layer.multiply_adds is None)


Complexity: TypeAlias = Mapping[str, RoleCost]
"""Role → cost. Empty where nothing was counted."""


def complexity_json(complexity: Complexity) -> dict[str, Any]:
    """The manifest's member ``complexity``."""
    return {role: _role_json(cost) for role, cost in complexity.items()}


def _role_json(cost: RoleCost) -> dict[str, Any]:
    return {
        "input_shape": list(cost.input_shape),
        "weight_bytes": dict(cost.weight_bytes),
        "peak_activation_bytes": cost.peak_activation_bytes,
        "layers": [{**vars(layer), "shape": list(layer.shape)} for layer in cost.layers],
    }


def parse_complexity(node: Node | None) -> dict[str, RoleCost]:
    """Read the member, which may be absent.

    Raises:
        ManifestError: it breaks FORMAT.md.
    """
    return {} if node is None else {role: _role(item) for role, item in node.members()}


def _role(node: Node) -> RoleCost:
    return RoleCost(
        input_shape=_shape(node["input_shape"]),
        layers=tuple(_layer(item) for item in node["layers"].items()),
        weight_bytes={key: item.natural() for key, item in node["weight_bytes"].members()},
        peak_activation_bytes=_known(node, "peak_activation_bytes"),
    )


def _layer(node: Node) -> LayerCost:
    return LayerCost(
        name=node["name"].text(),
        kind=node["kind"].text(),
        shape=_shape(node["shape"]),
        parameters=node["parameters"].natural(),
        multiply_adds=_known(node, "multiply_adds"),
        activation_bytes=_known(node, "activation_bytes"),
    )


def _shape(node: Node) -> tuple[int | None, ...]:
    return tuple(None if size.value is None else size.natural() for size in node.items())


def _known(node: Node, name: str) -> int | None:
    found = node.get(name)
    return None if found is None else found.natural()
