"""Which layers may stay in float32 together, and how much each of them suffers from being quantized."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from aetool_exporters.budget.meter import Quality
from aetool_exporters.reference import Reference

__all__ = ["Unit", "names_of", "rank", "rank_by_size", "units_of"]


@dataclass(frozen=True)
class Unit:
    """A layer with weights and those behind it that have none of their own: converters fuse them into one operation.

    Args:
        layers: Keras layers' names.
        parameters: values of their weights.
    """

    layers: frozenset[str]
    parameters: int


def units_of(reference: Reference) -> tuple[Unit, ...]:
    """All layers of encoder and decoder, each in one unit, in the order in which they are applied."""
    names: list[set[str]] = []
    sizes: list[int] = []
    seen: set[str] = set()
    for model in reference.models:
        begins = True  # nothing is fused across the latent
        for layer in _leaves(model):
            if layer.name in seen:
                continue
            seen.add(layer.name)
            if begins or _has_kernel(layer):
                names.append(set())
                sizes.append(0)
            begins = False
            names[-1].add(layer.name)
            sizes[-1] += int(layer.count_params())
    return tuple(Unit(frozenset(group), size) for group, size in zip(names, sizes, strict=True))


def names_of(units: Iterable[Unit]) -> frozenset[str]:
    """The layers of several units."""
    return frozenset(name for unit in units for name in unit.layers)


def rank(alone: Sequence[tuple[Unit, Quality]]) -> list[Unit]:
    """The most sensitive first.

    Args:
        alone: what was measured with each unit being the only one that is quantized; equals keep their order.
    """
    return [unit for unit, _ in sorted(alone, key=lambda pair: (-pair[1].loss, pair[1].snr))]


def rank_by_size(alone: Sequence[tuple[Unit, Quality]]) -> list[Unit]:
    """Those first whose float32 buys the most quality for each byte: loss per parameter."""
    return [
        unit for unit, _ in sorted(alone, key=lambda pair: (-pair[1].loss / max(pair[0].parameters, 1), pair[1].snr))
    ]


def _leaves(model: Any) -> Iterator[Any]:
    for layer in model.layers:
        if getattr(layer, "layers", None):
            yield from _leaves(layer)
        elif type(layer).__name__ != "InputLayer":
            yield layer


def _has_kernel(layer: Any) -> bool:
    return any(len(weight.shape) > 1 for weight in layer.weights)
