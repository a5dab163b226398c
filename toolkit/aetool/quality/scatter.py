"""A picture of the latents in two dimensions, beside the raw input in two."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aetool.data.packages import import_package
from aetool.quality.clusters import input_points, latent_points, principal_components
from aetool_runtime.atomic import replacing_file
from aetool_runtime.specs import Array

__all__ = ["draw_scatter"]

_COLORS = 20  # groups that can be told apart; more get a colour bar


def draw_scatter(inputs: Array, latents: Array, groups: Array, output: Path, *, title: str, groups_are: str) -> None:
    """Write a PNG: latents and raw input, each by its first two principal components.

    Args:
        inputs: [n, values].
        latents: [n, …].
        groups: [n], what to colour by.
        groups_are: what the legend calls them, such as ``label``.

    Raises:
        DependencyError: matplotlib is not installed.
    """
    figures = import_package("matplotlib.figure", extra="train")
    names, group = np.unique(groups, return_inverse=True)
    figure = figures.Figure(figsize=(12, 5.6), layout="constrained")
    figure.suptitle(title, fontsize=12)
    panels: Sequence[Any] = figure.subplots(1, 2)
    for axes, (name, points) in zip(panels, (latent_points(latents), input_points(inputs)), strict=True):
        _draw_panel(axes, name, points, group, len(names))
    if len(names) <= _COLORS:
        handles = panels[0].collections
        figure.legend(
            handles, [str(name) for name in names], title=groups_are, loc="outside right center", markerscale=2
        )
    with replacing_file(output) as partial:
        figure.savefig(partial, format="png", dpi=110, metadata={"Software": None})


def _draw_panel(axes: Any, name: str, points: Array, group: NDArray[np.intp], count: int) -> None:
    flat = _two_dimensions(points)
    for index in range(count):
        axes.scatter(*flat[group == index].T, s=9, alpha=0.7, linewidths=0, color=_color(index, count))
    values = points.shape[1]
    axes.set_title(f"{name}: {values:,} values" + (" → 2 by PCA" if values > 2 else ""), fontsize=11)
    axes.set_xlabel("first component" if values > 2 else "first value")
    axes.set_ylabel("second component" if values > 2 else "second value")


def _two_dimensions(points: Array) -> Array:
    if points.shape[1] > 2:
        points = principal_components(points, 2)
    return np.pad(points, ((0, 0), (0, 2 - points.shape[1])))


def _color(index: int, count: int) -> Any:
    colors = import_package("matplotlib", extra="train").colormaps
    if count > _COLORS:
        return colors["viridis"](index / (count - 1))
    return colors["tab10" if count <= 10 else "tab20"](index)
