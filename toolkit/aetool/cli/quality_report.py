"""How ``evaluate`` shows what it measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from aetool.cli.output import table

if TYPE_CHECKING:
    from aetool.quality import Clustering, Measured
    from aetool_runtime.specs import Array

__all__ = ["QualityReport", "report_json", "tell_report"]

_HEADER = ("k-means in", "dimensions", "adjusted Rand index", "silhouette")


@dataclass(frozen=True)
class QualityReport:
    """What was measured, and with which settings."""

    measured: Measured
    spaces: Sequence[Clustering]
    labels: Array | None
    clusters: int
    seed: int
    ran_on: str


def tell_report(report: QualityReport) -> None:
    """What a person reads."""
    from aetool.quality.clusters import STARTS

    measured, spaces = report.measured, report.spaces
    click.echo(_error_line(measured))
    some = "" if len(measured.kept) == measured.samples else f", on {len(measured.kept):,} samples evenly spread"
    click.echo(f"\n{report.clusters} clusters; the best of {STARTS} starts, seed {report.seed}{some}:\n")
    click.echo(table(_HEADER, [_row(space) for space in spaces]))
    latents, pca = spaces[0].adjusted_rand, spaces[1].adjusted_rand
    if latents is not None and pca is not None and latents <= pca:
        click.echo("\nPCA with as many dimensions tells the labels apart as well: the latents earn nothing here")


def _error_line(measured: Measured) -> str:
    if measured.accuracy is not None:
        return f"reconstruction: {measured.accuracy:.2%} of the tokens are right"
    if measured.mse is None:
        return "reconstruction: not compared, for there is none, or it is not of the input's shape"
    psnr = "-" if measured.psnr is None else f"{measured.psnr:.2f} dB"
    return f"reconstruction: MSE {measured.mse:.5g}, PSNR {psnr} (peak {measured.peak:g}), in raw units"


def _row(space: Clustering) -> tuple[str, ...]:
    return space.space, str(space.dimensions), _figure(space.adjusted_rand), _figure(space.silhouette)


def _figure(number: float | None) -> str:
    return "-" if number is None else f"{number:.3f}"


def report_json(report: QualityReport) -> dict[str, Any]:
    """The same for a machine."""
    measured = report.measured
    return {
        "ran_on": report.ran_on,
        "samples": measured.samples,
        "reconstruction": {
            "mse": measured.mse,
            "psnr": measured.psnr,
            "peak": measured.peak,
            "accuracy": measured.accuracy,
        },
        "clusters": report.clusters,
        "seed": report.seed,
        "clustered_samples": len(measured.kept),
        "spaces": [
            {
                "space": space.space,
                "dimensions": space.dimensions,
                "adjusted_rand": space.adjusted_rand,
                "silhouette": space.silhouette,
            }
            for space in report.spaces
        ],
    }
