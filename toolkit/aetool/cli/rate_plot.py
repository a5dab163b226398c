"""Curves of rate and distortion, as a picture."""

from __future__ import annotations

from pathlib import Path

from aetool.compressing.comparison import Comparison
from aetool.data.packages import import_package
from aetool_runtime.atomic import replacing_file

__all__ = ["draw_curves"]

_MARKERS = "os^Dv<>Pp*X"


def draw_curves(found: Comparison, output: Path, title: str, *, by_recall: bool) -> None:
    """Write a PNG: bits a value to the right, error (or recall) upwards.

    Raises:
        DependencyError: matplotlib is not installed.
    """
    figures = import_package("matplotlib.figure", extra="train")
    figure = figures.Figure(figsize=(7.2, 5.4), layout="constrained")
    axes = figure.subplots()
    for place, curve in enumerate(found.curves):
        shown = [one for one in curve.points if by_recall or one.rmse]
        across = [one.bytes / found.samples if by_recall else 8 * one.bytes / found.values for one in shown]
        upwards = [one.recall if by_recall else one.rmse for one in shown]
        width = 2.4 if place == 0 else 1.2
        marker = _MARKERS[place % len(_MARKERS)]
        axes.plot(across, upwards, marker=marker, ms=4, lw=width, color=f"C{place % 10}", label=curve.name)
    axes.set_xscale("log")
    axes.set_xlabel("bytes a vector" if by_recall else "bits a value, all headers counted")
    axes.set_ylabel("recall@10" if by_recall else "root mean square error, raw units")
    if not by_recall:
        axes.set_yscale("log")
    axes.set_title(title, fontsize=12)
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8)
    with replacing_file(output) as partial:
        figure.savefig(partial, format="png", dpi=110, metadata={"Software": None})
