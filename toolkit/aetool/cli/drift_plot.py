"""A picture of signal-to-noise ratios along a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from aetool.data.packages import import_package
from aetool_runtime.atomic import replacing_file

if TYPE_CHECKING:
    from aetool_exporters.drift import DriftReport

__all__ = ["draw_drift"]

_INCH_PER_LAYER = 0.45
_MOST_SHOWN = 150.0  # dB: what float32 can tell apart


def draw_drift(report: DriftReport, output: Path, *, title: str) -> None:
    """Write a PNG: for each layer the ratio so far, that of the layer alone, and that of float32 where there is one.

    Raises:
        DependencyError: matplotlib is not installed.
    """
    figures = import_package("matplotlib.figure", extra="train")
    layers = report.layers
    figure = figures.Figure(figsize=(max(6.0, 2.0 + _INCH_PER_LAYER * len(layers)), 5.2), layout="constrained")
    axes = figure.subplots()
    places = list(range(len(layers)))
    axes.plot(places, [_shown(layer.snr) for layer in layers], "o-", color="C0", label="so far")
    axes.plot(places, [_shown(layer.own) for layer in layers], "s:", color="C1", label="this layer alone")
    exact = [(at, _shown(layer.float32)) for at, layer in enumerate(layers) if layer.float32 is not None]
    if exact:
        axes.plot(*zip(*exact, strict=True), "^--", color="C2", label="float32, so far", alpha=0.7)
    _mark(axes, report)
    axes.set_title(title, fontsize=11)
    axes.set_ylabel("signal-to-noise ratio against Keras, dB")
    axes.set_xticks(places, [layer.name for layer in layers], rotation=60, ha="right", fontsize=8)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(fontsize=8)
    with replacing_file(output) as partial:
        figure.savefig(partial, format="png", dpi=110, metadata={"Software": None})


def _mark(axes: Any, report: DriftReport) -> None:
    """The tolerance, where it is a ratio, and the layers beyond it."""
    if not report.by_value:
        axes.axhline(report.tolerance_so_far, color="C0", linewidth=1, linestyle="-.", label="tolerance so far")
        axes.axhline(report.tolerance, color="C1", linewidth=1, linestyle=":", label="tolerance for a layer alone")
    beyond = [(at, _shown(layer.snr)) for at, layer in enumerate(report.layers) if layer.beyond]
    if beyond:
        axes.plot(*zip(*beyond, strict=True), "o", color="C3", markersize=9, fillstyle="none", label="beyond tolerance")


def _shown(ratio: float | None) -> float:
    """What is equal, or not finite, would flatten the rest."""
    return max(-_MOST_SHOWN / 2, min(_MOST_SHOWN, ratio or 0.0))
