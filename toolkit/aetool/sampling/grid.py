"""Samples as one picture: images in a grid, windows as curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from aetool.data.packages import import_package
from aetool_runtime.atomic import replacing_file
from aetool_runtime.specs import Array

__all__ = ["Layout", "draw_grid", "layout_of"]

_SMALLEST_SQUARE = 64  # values: 8×8; fewer are a vector, not a picture
_WINDOW = 4  # times as long as wide: a window of a recording, not an image


@dataclass(frozen=True)
class Layout:
    """How a sample is drawn.

    Args:
        kind: ``image`` or ``window``.
        shape: that the sample is given first: [height, width], [height, width, 3] or [time, channels].
    """

    kind: Literal["image", "window"]
    shape: tuple[int, ...]


def layout_of(shape: Sequence[int | None]) -> Layout | None:
    """The layout for samples of a shape, without the batch; ``None`` where they make no picture.

    Images are [height, width], with one or three channels behind, or flat squares of at least 8×8 values. [a, b] is a
    window when it is at least four times as long as wide.
    """
    sizes = tuple(size for size in shape if size is not None)
    if len(sizes) != len(shape):
        return None
    side = math.isqrt(math.prod(sizes))
    if len(sizes) == 1 and sizes[0] >= _SMALLEST_SQUARE and side * side == sizes[0]:
        return Layout("image", (side, side))
    if len(sizes) == 2:
        return Layout("window" if sizes[0] >= _WINDOW * sizes[1] else "image", sizes)
    if len(sizes) == 3 and sizes[2] in (1, 3):
        return Layout("image", sizes if sizes[2] == 3 else sizes[:2])
    return None


def draw_grid(samples: Array, layout: Layout, output: Path, *, title: str, span: tuple[float, float] | None) -> None:
    """Write a PNG.

    Args:
        samples: [n, …], raw units.
        title: said above, wrapped.
        span: what is black and what is white, raw units; ``None`` for the samples' own range.

    Raises:
        DependencyError: matplotlib is not installed.
    """
    figures = import_package("matplotlib.figure", extra="train")
    wide = 1.2 if layout.kind == "image" else 3.0
    columns = max(1, math.ceil(math.sqrt(len(samples)) * (1 if layout.kind == "image" else 0.75)))
    rows = math.ceil(len(samples) / columns)
    size = (max(5.0, wide * columns + 0.4), 1.2 * rows + 1.0)
    figure = figures.Figure(figsize=size, layout="constrained")
    figure.suptitle(title, fontsize=10, wrap=True)
    axes = np.atleast_1d(figure.subplots(rows, columns, sharex=True, sharey=True)).ravel()
    shaped = samples.reshape(len(samples), *layout.shape)
    draw = _draw_image if layout.kind == "image" else _draw_window
    for place, one in enumerate(axes):
        if place < len(samples):
            draw(one, shaped[place], span or (float(samples.min()), float(samples.max())))
        else:
            one.set_axis_off()
    if layout.kind == "window":
        _label_windows(figure, axes[0], layout.shape[1])
    with replacing_file(output) as partial:
        figure.savefig(partial, format="png", dpi=110, metadata={"Software": None})


def _draw_image(axes: Any, image: Array, span: tuple[float, float]) -> None:
    least, greatest = span
    if image.ndim == 3:
        axes.imshow(np.clip((image - least) / ((greatest - least) or 1), 0, 1))
    else:
        axes.imshow(image, cmap="gray", vmin=least, vmax=greatest)
    axes.set_xticks([])
    axes.set_yticks([])


def _draw_window(axes: Any, window: Array, span: tuple[float, float]) -> None:
    for channel in range(window.shape[1]):
        axes.plot(window[:, channel], color=f"C{channel % 10}", linewidth=1.0, label=f"channel {channel}")
    axes.tick_params(labelsize=7)


def _label_windows(figure: Any, axes: Any, channels: int) -> None:
    figure.supxlabel("time step", fontsize=9)
    figure.supylabel("raw units", fontsize=9)
    if 1 < channels <= 10:
        handles, names = axes.get_legend_handles_labels()
        figure.legend(handles, names, loc="outside right upper", fontsize=8)
