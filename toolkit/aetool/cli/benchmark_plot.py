"""Speed against quality, as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aetool.data.packages import import_package
from aetool_runtime.atomic import replacing_file

__all__ = ["draw_speed"]


def draw_speed(rows: Sequence[Mapping[str, Any]], output: Path, title: str) -> None:
    """Write a PNG: for each batch size a panel, samples a second to the right, signal-to-noise ratio upwards.

    Rows without both are left out; winners have a ring.

    Raises:
        DependencyError: matplotlib is not installed.
    """
    figures = import_package("matplotlib.figure", extra="train")
    sizes = list(dict.fromkeys(row["batch_size"] for row in rows))
    figure = figures.Figure(figsize=(6.4 * len(sizes), 4.8), layout="constrained")
    figure.suptitle(title, fontsize=12)
    panels = figure.subplots(1, len(sizes), squeeze=False)[0]
    for axes, size in zip(panels, sizes, strict=True):
        shown = [r for r in rows if r["batch_size"] == size and r["samples_per_second"] and r["snr_db"] is not None]
        for place, row in enumerate(shown):
            _draw_point(axes, row, place)
        axes.set_xscale("log")
        axes.set_title(f"batch {size:,}", fontsize=11)
        axes.set_xlabel("samples a second")
        axes.set_ylabel("signal-to-noise ratio against the model, dB")
        axes.grid(alpha=0.3)
        if shown:
            axes.legend(fontsize=7)
    with replacing_file(output) as partial:
        figure.savefig(partial, format="png", dpi=110, metadata={"Software": None})


def _draw_point(axes: Any, row: Mapping[str, Any], place: int) -> None:
    label = f"{row['format']} {row['precision']}, {row['backend']}/{row['device']}, {row['threads'] or 'all'} threads"
    at = row["samples_per_second"], row["snr_db"]
    axes.scatter(*at, s=40, color=f"C{place % 10}", marker="os^Dv"[place // 10 % 5], label=label)
    if row["winner"]:
        axes.scatter(*at, s=160, facecolors="none", edgecolors="black")
