"""``aetool evaluate BUNDLE DATA``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aetool.cli.engine import engine_options
from aetool.cli.output import emit_json, log, next_step, progress, table
from aetool_runtime.errors import InputError, UsageError

if TYPE_CHECKING:
    from aetool.quality import Clustering, Measured
    from aetool_runtime import Autoencoder
    from aetool_runtime.specs import Array

__all__ = ["command"]

_CLUSTERS = 10  # where neither labels nor --clusters say how many
_HEADER = ("k-means in", "dimensions", "adjusted Rand index", "silhouette")


@click.command("evaluate")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("data")
@click.option("--labels", metavar="FILE|COLUMN", help="A .npy file with one label a sample, or a column of DATA.")
@click.option("--clusters", type=int, help="Of k-means. [default: as many as labels, or 10]")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of k-means.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A picture to write: latents in two dimensions.")
@engine_options
@click.option("--overwrite", is_flag=True, help="Replace the picture that stands there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def command(
    bundle: Path,
    data: str,
    labels: str | None,
    clusters: int | None,
    seed: int,
    output: Path | None,
    backend: str | None,
    device: str,
    threads: int,
    precision: str,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Measure BUNDLE on DATA: the error of its reconstruction, and how well clusters can be found in its latents.

    The latents stand beside PCA with as many dimensions and the raw input: k-means in each, its silhouette, and, where
    there are labels, its agreement with them. builtin:digits brings its labels.

    \b
    aetool evaluate digits.aepkg builtin:digits -o scatter.png
    aetool evaluate model.aepkg windows.npy --labels classes.npy
    """
    from aetool_runtime import Autoencoder
    from aetool_runtime.atomic import check_target

    if output is not None:
        _check_picture(output)
        check_target(output, overwrite=overwrite)
    with Autoencoder.open(bundle, backend=backend, device=device, threads=threads, precision=precision) as model:
        evaluation = _evaluate(model, data, labels, clusters, seed)
    if output is not None:
        _draw(evaluation, output, f"{bundle.name} on {data}")
    if as_json:
        emit_json({"bundle": str(bundle), "data": data, **_document(evaluation), "picture": output and str(output)})
        return
    click.echo(f"{evaluation.measured.samples:,} samples of {data} on {evaluation.ran_on}")
    _tell(evaluation)
    if output is not None:
        click.echo(f"\nlatents in two dimensions: {output}")
    next_step(f"aetool sample {bundle} -o samples.npy")


@dataclass(frozen=True)
class _Evaluation:
    """What was measured, and with which settings."""

    measured: Measured
    spaces: Sequence[Clustering]
    labels: Array | None
    clusters: int
    seed: int
    ran_on: str


def _check_picture(output: Path) -> None:
    if output.suffix.lower() != ".png":
        raise UsageError(f"the picture is called {output.name!r}", expected="a name that ends in .png")


def _evaluate(model: Autoencoder, data: str, labels: str | None, clusters: int | None, seed: int) -> _Evaluation:
    from aetool.data import open_labels
    from aetool.feeding import feed
    from aetool.quality import compare_spaces, measure

    found = open_labels(data, labels or "")
    with progress(None, "evaluate") as bar:
        measured = measure(model, feed(model, data, report=log, label=labels or ""), bar.update)
    kept = _kept_labels(found, measured, labels or data)
    count = clusters or (_CLUSTERS if kept is None else max(2, len(set(kept.tolist()))))
    spaces = compare_spaces(measured.inputs, measured.latents, kept, count, seed)
    return _Evaluation(measured, spaces, kept, count, seed, f"{model.backend}/{model.device}")


def _kept_labels(labels: Array | None, measured: Measured, where: str) -> Array | None:
    if labels is None:
        return None
    if len(labels) != measured.samples:
        raise InputError(
            f"there are {len(labels):,} labels and {measured.samples:,} samples", where=where, expected="as many"
        )
    return labels[measured.kept]


def _draw(evaluation: _Evaluation, output: Path, title: str) -> None:
    from aetool.quality import draw_scatter

    labels, measured = evaluation.labels, evaluation.measured
    groups = evaluation.spaces[0].assigned if labels is None else labels
    kind = "cluster" if labels is None else "label"
    draw_scatter(
        measured.inputs, measured.latents, groups, output, title=f"{title}, coloured by {kind}", groups_are=kind
    )


def _tell(evaluation: _Evaluation) -> None:
    from aetool.quality.clusters import STARTS

    measured, spaces = evaluation.measured, evaluation.spaces
    click.echo(_error_line(measured))
    some = "" if len(measured.kept) == measured.samples else f", on {len(measured.kept):,} samples evenly spread"
    click.echo(f"\n{evaluation.clusters} clusters; the best of {STARTS} starts, seed {evaluation.seed}{some}:\n")
    click.echo(table(_HEADER, [_row(space) for space in spaces]))
    latents, pca = spaces[0].adjusted_rand, spaces[1].adjusted_rand
    if latents is not None and pca is not None and latents <= pca:
        click.echo("\nPCA with as many dimensions tells the labels apart as well: the latents earn nothing here")


def _error_line(measured: Measured) -> str:
    if measured.accuracy is not None:
        return f"reconstruction: {measured.accuracy:.2%} of the tokens are right"
    if measured.mse is None:
        return "reconstruction: not compared, for it is not of the input's shape"
    psnr = "-" if measured.psnr is None else f"{measured.psnr:.2f} dB"
    return f"reconstruction: MSE {measured.mse:.5g}, PSNR {psnr} (peak {measured.peak:g}), in raw units"


def _row(space: Clustering) -> tuple[str, ...]:
    return space.space, str(space.dimensions), _figure(space.adjusted_rand), _figure(space.silhouette)


def _figure(number: float | None) -> str:
    return "-" if number is None else f"{number:.3f}"


def _document(evaluation: _Evaluation) -> dict[str, Any]:
    measured = evaluation.measured
    return {
        "ran_on": evaluation.ran_on,
        "samples": measured.samples,
        "reconstruction": {
            "mse": measured.mse,
            "psnr": measured.psnr,
            "peak": measured.peak,
            "accuracy": measured.accuracy,
        },
        "clusters": evaluation.clusters,
        "seed": evaluation.seed,
        "clustered_samples": len(measured.kept),
        "spaces": [
            {
                "space": space.space,
                "dimensions": space.dimensions,
                "adjusted_rand": space.adjusted_rand,
                "silhouette": space.silhouette,
            }
            for space in evaluation.spaces
        ],
    }
