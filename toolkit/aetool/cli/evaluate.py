"""``aetool evaluate BUNDLE DATA``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from aetool.cli.engine import Engine, engine_options
from aetool.cli.output import emit_json, log, next_step, progress
from aetool.cli.quality_report import QualityReport, report_json, tell_report
from aetool_runtime.errors import InputError, UsageError

if TYPE_CHECKING:
    from aetool.quality import Measured
    from aetool_runtime import Autoencoder
    from aetool_runtime.specs import Array

__all__ = ["command"]

_CLUSTERS = 10  # where neither labels nor --clusters say how many


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
    engine: Engine,
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
    from aetool_runtime.atomic import check_target

    if output is not None:
        _check_picture(output)
        check_target(output, overwrite=overwrite)
    with engine.open(bundle) as model:
        evaluation = _evaluate(model, data, labels, clusters, seed)
    if output is not None:
        _draw(evaluation, output, f"{bundle.name} on {data}")
    if as_json:
        emit_json({"bundle": str(bundle), "data": data, **report_json(evaluation), "picture": output and str(output)})
        return
    click.echo(f"{evaluation.measured.samples:,} samples of {data} on {evaluation.ran_on}")
    tell_report(evaluation)
    if output is not None:
        click.echo(f"\nlatents in two dimensions: {output}")
    next_step(f"aetool sample {bundle} -o samples.npy")


def _check_picture(output: Path) -> None:
    if output.suffix.lower() != ".png":
        raise UsageError(f"the picture is called {output.name!r}", expected="a name that ends in .png")


def _evaluate(model: Autoencoder, data: str, labels: str | None, clusters: int | None, seed: int) -> QualityReport:
    from aetool.data import open_labels
    from aetool.quality import compare_spaces, measure
    from aetool.running.feeding import feed

    found = open_labels(data, labels or "")
    with progress(None, "evaluate") as bar:
        measured = measure(model, feed(model, data, report=log, label=labels or ""), bar.update)
    kept = _kept_labels(found, measured, labels or data)
    count = clusters or (_CLUSTERS if kept is None else max(2, len(set(kept.tolist()))))
    spaces = compare_spaces(measured.inputs, measured.latents, kept, count, seed)
    return QualityReport(measured, spaces, kept, count, seed, f"{model.backend}/{model.device}")


def _kept_labels(labels: Array | None, measured: Measured, where: str) -> Array | None:
    if labels is None:
        return None
    if len(labels) != measured.samples:
        raise InputError(
            f"there are {len(labels):,} labels and {measured.samples:,} samples", where=where, expected="as many"
        )
    return labels[measured.kept]


def _draw(evaluation: QualityReport, output: Path, title: str) -> None:
    from aetool.quality import draw_scatter

    labels, measured = evaluation.labels, evaluation.measured
    groups = evaluation.spaces[0].assigned if labels is None else labels
    kind = "cluster" if labels is None else "label"
    draw_scatter(
        measured.inputs, measured.latents, groups, output, title=f"{title}, coloured by {kind}", groups_are=kind
    )
