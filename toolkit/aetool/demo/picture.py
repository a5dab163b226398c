"""One picture: originals beside reconstructions, for every model of the demo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aetool.data.packages import import_package
from aetool.demo.story import Chapter
from aetool_runtime.atomic import replacing_file
from aetool_runtime.specs import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw"]

_SIDE = 28
_COLUMNS = 8


def draw(chapters: Sequence[Chapter], output: Path) -> None:
    """Write a PNG: a pair of rows for each model of images, a row of windows for each model of signals.

    Raises:
        DependencyError: matplotlib is not installed.
    """
    figures = import_package("matplotlib.figure", extra="train")
    rows = sum(1 if _is_signal(chapter) else 2 for chapter in chapters)
    figure: Figure = figures.Figure(figsize=(11, 1.45 * rows + 0.5), layout="constrained")
    bands: Any = figure.subfigures(len(chapters), 1, height_ratios=[1.3 if _is_signal(c) else 2 for c in chapters])
    for band, chapter in zip(bands, chapters, strict=True):
        band.suptitle(
            f"{chapter.name}: {chapter.originals[0].size} numbers → {chapter.latent} → back, "
            f"PSNR {chapter.psnr:.1f} dB (PCA with {chapter.latent}: {chapter.pca_psnr:.1f} dB)",
            fontsize=11,
        )
        (_draw_signals if _is_signal(chapter) else _draw_images)(band, chapter)
    with replacing_file(output) as partial:
        figure.savefig(partial, format="png", dpi=110, metadata={"Software": None})


def _is_signal(chapter: Chapter) -> bool:
    return chapter.originals.ndim == 3


def _draw_images(band: Any, chapter: Chapter) -> None:
    axes = band.subplots(2, _COLUMNS)
    for row, (label, images) in enumerate(
        [("original", chapter.originals), ("reconstruction", chapter.reconstructions)]
    ):
        for column, image in enumerate(images):
            _show_image(axes[row, column], image)
        axes[row, 0].set_ylabel(label, fontsize=9)


def _show_image(axes: Any, image: Array) -> None:
    axes.imshow(image.reshape(_SIDE, _SIDE), cmap="gray_r")
    axes.set_xticks([])
    axes.set_yticks([])


def _draw_signals(band: Any, chapter: Chapter) -> None:
    shown = 4
    for column, axes in enumerate(band.subplots(1, shown, sharey=True)):
        for channel, color in enumerate(("tab:blue", "tab:orange")):
            axes.plot(chapter.originals[column, :, channel], color=color, linewidth=2.2, alpha=0.35)
            axes.plot(chapter.reconstructions[column, :, channel], color=color, linewidth=1.0)
        axes.tick_params(labelsize=7)
    band.axes[0].set_ylabel("raw units", fontsize=9)
    band.axes[0].plot([], [], color="gray", linewidth=2.2, alpha=0.35, label="original")
    band.axes[0].plot([], [], color="gray", linewidth=1.0, label="reconstruction")
    band.axes[0].legend(fontsize=7, loc="upper right")
