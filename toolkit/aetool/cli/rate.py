"""``aetool rate BUNDLE DATA``: is it worth it?"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aetool.cli.engine import Engine, engine_options
from aetool.cli.output import emit_json, log, next_step, progress, table
from aetool_runtime.atomic import check_target, replacing_file

if TYPE_CHECKING:
    from aetool.compressing.comparison import Comparison
    from aetool.compressing.curves import Curve, Point
    from aetool_runtime.specs import Array

__all__ = ["command"]

_RECALL = "recall@10"
_COLUMNS = ("coder", "setting", "bytes", "bits a value", "RMSE", "largest error")


@click.command("rate")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("data")
@click.option("--train", "training", metavar="DATA", help="Fits principal components where the bundle has none.")
@click.option("--metric", type=click.Choice(["rmse", _RECALL]), default="rmse", show_default=True,
              help="recall@10: of vectors, how many of their ten nearest neighbours stay.")  # fmt: skip
@click.option(
    "--count-model", is_flag=True, help="Add what a decompressor needs of the bundle to every stream's bytes."
)
@click.option("--most-values", type=click.IntRange(1), default=1 << 20, show_default=True,
              help="Measure on the first samples with about so many values.")  # fmt: skip
@engine_options
@click.option("--csv", "csv_file", type=click.Path(path_type=Path), help="Write the table to this file, too.")
@click.option("--plot", type=click.Path(path_type=Path), help="Write a picture of the curves: a .png file.")
@click.option("--overwrite", is_flag=True, help="Replace the files that stand there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def command(
    bundle: Path,
    data: str,
    training: str | None,
    metric: str,
    count_model: bool,
    most_values: int,
    engine: Engine,
    csv_file: Path | None,
    plot: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Measure what BUNDLE's compression is worth on held-out DATA, beside everything else that is here.

    At each quality real streams are written and read. Beside them stand principal components with the same coder,
    zlib, zstd, FLAC, SZ3, ZFP, and for pictures JPEG, WebP, AVIF and JPEG XL: those of them that are installed.

    \b
    aetool rate model.aepkg held-out.npy --plot rate.png
    aetool rate vectors.aepkg held-out.npy --metric recall@10
    """
    for target in filter(None, (csv_file, plot)):
        check_target(target, overwrite=overwrite)
    found = _measured(bundle, data, training, engine, most_values, by_recall=metric == _RECALL, count_model=count_model)
    if csv_file is not None:
        _write_csv(csv_file, found)
    if plot is not None:
        from aetool.cli.rate_plot import draw_curves

        draw_curves(found, plot, f"{bundle.name}, {found.samples:,} samples", by_recall=metric == _RECALL)
    verdict = found.verdict(by_recall=metric == _RECALL)
    if as_json:
        emit_json(_document(bundle, data, found, verdict))
        return
    for line in _lines(found, by_recall=metric == _RECALL):
        click.echo(line)
    click.echo(verdict)
    next_step(f"aetool compress {data} -o {Path(data).stem or 'data'}.aes --bundle {bundle} --quality 0")


def _measured(
    path: Path, data: str, training: str | None, engine: Engine, most: int, *, by_recall: bool, count_model: bool
) -> Comparison:
    from aetool.compressing.comparison import compare, steps_of
    from aetool.compressing.curves import point
    from aetool.compressing.held_out import in_own_type, read_held_out
    from aetool.compressing.own_curves import Data
    from aetool.compressing.recall import NeighborJudge
    from aetool_runtime import open_bundle
    from aetool_runtime.compression.reading import read_compression

    bundle = open_bundle(path)
    compression = read_compression(bundle)
    samples = in_own_type(read_held_out(data, compression, most, log))
    fitted = None if training is None else read_held_out(training, compression, 4 * most, log)
    judge = NeighborJudge(samples) if by_recall else point
    steps = steps_of(by_recall)
    networks = any(codec.encoder == "artifact" for codec in compression.codecs)
    with progress(steps, "rate") as bar:
        if not networks:
            held_out = Data(samples, _no_encoder, judge)
            return compare(
                bundle, compression, held_out, fitted, by_recall=by_recall, count_model=count_model, on_done=bar.update
            )
        with engine.open(path) as model:
            held_out = Data(samples, model.encode, judge)
            return compare(
                bundle, compression, held_out, fitted, by_recall=by_recall, count_model=count_model, on_done=bar.update
            )


def _no_encoder(samples: Array) -> Array:
    raise AssertionError("a linear codec has no use for an encoder")


def _row(found: Comparison, curve: Curve, point: Point) -> list[str | int | float]:
    bits = 8 * point.bytes / found.values
    row: list[str | int | float] = [curve.name, point.setting, point.bytes, bits, point.rmse, point.largest_error]
    return row if point.recall is None else [*row, point.bytes / found.samples, point.recall]


def _lines(found: Comparison, *, by_recall: bool) -> list[str]:
    header = (*_COLUMNS, "bytes a vector", _RECALL) if by_recall else _COLUMNS
    rows = [
        [cell if isinstance(cell, str) else f"{cell:,}" if isinstance(cell, int) else f"{cell:.4g}" for cell in row]
        for row in (_row(found, curve, point) for curve in found.curves for point in curve.points)
    ]
    lines = [f"{found.samples:,} samples, {found.values:,} values, all headers counted", "", table(header, rows), ""]
    rates = sorted(found.rates.items(), key=lambda item: item[1])
    if rates:
        lines += ["bytes beside this bundle's at equal error (BD-rate):"]
        lines += [table(("coder", "bytes"), [(name, f"{rate:+.1%}") for name, rate in rates]), ""]
    if found.missing:
        install = (
            " (pip install 'aetool[compare]')" if any("installed" in why for why in found.missing.values()) else ""
        )
        lines += [f"not measured{install}: " + "; ".join(f"{name} ({why})" for name, why in found.missing.items()), ""]
    return lines


def _write_csv(path: Path, found: Comparison) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["coder", "setting", "bytes", "bits_per_value", "rmse", "largest_error", "bytes_per_sample", "recall"]
    )
    for curve in found.curves:
        for point in curve.points:
            row = _row(found, curve, point)
            writer.writerow(row if len(row) > 6 else [*row, point.bytes / found.samples, ""])
    with replacing_file(path) as partial:
        partial.write_text(text.getvalue(), "utf-8", newline="")


def _document(bundle: Path, data: str, found: Comparison, verdict: str) -> dict[str, object]:
    return {
        "bundle": str(bundle),
        "data": data,
        "samples": found.samples,
        "values": found.values,
        "curves": [
            {"coder": curve.name, "points": [_point(found, one) for one in curve.points]} for curve in found.curves
        ],
        "bd_rates": found.rates,
        "not_measured": found.missing,
        "verdict": verdict,
    }


def _point(found: Comparison, point: Point) -> dict[str, object]:
    return {
        "setting": point.setting,
        "bytes": point.bytes,
        "bits_per_value": 8 * point.bytes / found.values,
        "rmse": point.rmse,
        "largest_error": point.largest_error,
        "recall": point.recall,
    }
