"""How ``inspect`` shows what a network costs: a table of layers for each role, and what they come to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from aetool.cli.output import table
from aetool_runtime.complexity import Complexity, LayerCost, RoleCost
from aetool_runtime.specs import format_shape

__all__ = ["layer_lines", "totals_json"]

_HEADER = ("layer", "kind", "output", "parameters", "multiply-adds", "activation bytes")


def layer_lines(complexity: Complexity) -> Iterator[str]:
    """What a person reads."""
    for role, cost in complexity.items():
        yield ""
        yield f"{role}, for one sample of {format_shape(cost.input_shape)}"
        yield ""
        yield table(_HEADER, [*map(_row, cost.layers), _total(role, cost)])
        yield f"weights: {_weights(cost.weight_bytes)}"
        yield f"peak activation memory: {_count(cost.peak_activation_bytes)} bytes"
        if cost.unknown:
            yield f"multiply-adds not known, and not in the total: {', '.join(cost.unknown)}"
    if len(complexity) > 1:
        yield ""
        yield f"{' + '.join(complexity)}: {_together(complexity)}"


def totals_json(complexity: Complexity) -> dict[str, Any]:
    """What the layers of each role come to; ``unknown`` names those that ``multiply_adds`` lacks."""
    return {
        role: {
            "parameters": cost.parameters,
            "multiply_adds": cost.multiply_adds,
            "unknown": list(cost.unknown),
            "weight_bytes": dict(cost.weight_bytes),
            "peak_activation_bytes": cost.peak_activation_bytes,
        }
        for role, cost in complexity.items()
    }


def _row(layer: LayerCost) -> tuple[str, ...]:
    return (
        layer.name,
        layer.kind,
        format_shape(layer.shape),
        f"{layer.parameters:,}",
        _count(layer.multiply_adds),
        _count(layer.activation_bytes),
    )


def _total(role: str, cost: RoleCost) -> tuple[str, ...]:
    return (f"{role}, together", "", "", f"{cost.parameters:,}", _multiply_adds(cost), _activations(cost))


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _multiply_adds(cost: RoleCost) -> str:
    return f"{cost.multiply_adds:,}" + (" + ?" if cost.unknown else "")


def _activations(cost: RoleCost) -> str:
    sizes = [layer.activation_bytes for layer in cost.layers]
    return "-" if None in sizes else f"{sum(size or 0 for size in sizes):,}"


def _weights(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{precision} {size:,} bytes" for precision, size in sizes.items())


def _together(complexity: Complexity) -> str:
    costs = list(complexity.values())
    parameters = sum(cost.parameters for cost in costs)
    products = sum(cost.multiply_adds for cost in costs)
    more = " + ?" if any(cost.unknown for cost in costs) else ""
    weights = {
        precision: sum(cost.weight_bytes.get(precision, 0) for cost in costs) for precision in costs[0].weight_bytes
    }
    peaks = [cost.peak_activation_bytes for cost in costs]
    peak = "-" if None in peaks else f"{max(peak or 0 for peak in peaks):,}"
    return (
        f"{parameters:,} parameters, {products:,}{more} multiply-adds, peak activation memory {peak} bytes\n"
        f"weights: {_weights(weights)}"
    )
