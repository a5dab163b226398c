"""``aetool benchmark BUNDLE``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from aetool.cli.benchmark_table import CSV_FIELDS, HEADER, row_cells, row_json
from aetool.cli.output import emit_json, log, next_step, progress, table
from aetool_runtime.errors import UsageError

if TYPE_CHECKING:
    from aetool_runtime import Bundle
    from aetool_runtime.choosing.choice import Choice
    from aetool_runtime.choosing.measuring import Measurement

__all__ = ["command"]

METHOD = """\
One call is a batch through encoder and decoder, with all that aetool_runtime does around them. Every candidate is
loaded, held against the golden vectors, and run once unmeasured; then they take turns, up to 12, in another order each
time, each turn many calls after one unmeasured. Percentiles are over all calls of all turns; parity is the share of the
tolerance that the golden vectors used, PSNR and SNR are against the model on golden samples; peak memory is that of a
process of its own that opens the bundle and runs one call."""


@click.command("benchmark")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--batch-size", "batch_sizes", type=click.IntRange(1), multiple=True, default=(1, 256), show_default=True,
              help="Samples a call; may be given several times.")  # fmt: skip
@click.option("--device", help="Only this device. [default: all that are here]")
@click.option("--threads", type=click.IntRange(0, 256), help="Only this many, 0 for all cores. [default: 1, half, all]")
@click.option("--precision", help="What may win: one of the bundle's, or any. [default: float32, else the first]")
@click.option("--min-snr", type=float, metavar="DB", help="What may win: any that is at least so near to the model.")
@click.option("--budget", type=click.FloatRange(0.1), default=5.0, show_default=True,
              help="Seconds for each batch size, about.")  # fmt: skip
@click.option("--edge", is_flag=True, help="What each engine needs on a small device: size, cold start, memory.")
@click.option("--memory-cap", type=click.IntRange(1), metavar="MIB", help="With --edge: the memory of its processes.")
@click.option("--csv", "csv_file", type=click.Path(path_type=Path), help="Write the table to this file, too.")
@click.option("--plot", type=click.Path(path_type=Path), help="Write a picture of speed against quality: a .png file.")
@click.option("--overwrite", is_flag=True, help="Replace the files that stand there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def command(
    bundle: Path,
    batch_sizes: tuple[int, ...],
    device: str | None,
    threads: int | None,
    precision: str | None,
    min_snr: float | None,
    budget: float,
    edge: bool,
    memory_cap: int | None,
    csv_file: Path | None,
    plot: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Measure every artifact of BUNDLE on every engine, device and number of threads here, and say which is fastest.

    All precisions are in the table; which may win is said as for --backend auto, which takes the answer from here on.

    \b
    aetool benchmark model.aepkg
    aetool benchmark model.aepkg --batch-size 64 --min-snr 30 --plot speed.png
    aetool benchmark model.aepkg --edge --memory-cap 128
    """
    _check_edge(edge, memory_cap, csv_file or plot)
    if edge:
        from aetool.cli.benchmark_edge import benchmark_edge

        benchmark_edge(bundle, _given(device=device, threads=threads, precision=precision), memory_cap, as_json)
        return
    from aetool_runtime import open_bundle
    from aetool_runtime.choosing.candidates import ANY, Wish
    from aetool_runtime.choosing.choice import remember, slower_reductions

    _check_files(csv_file, plot, overwrite)
    opened = open_bundle(bundle)
    results: list[tuple[list[Measurement], Choice]] = []
    for size in dict.fromkeys(batch_sizes):
        found = _measure(opened, Wish(device, threads, ANY, None, size), budget)
        results.append((found, remember(opened, Wish(device, threads, precision, min_snr, size), found)))
    peaks = _peaks(opened, [met for found, _ in results for met in found])
    winners = [(choice.candidate, choice.batch_size) for _, choice in results]
    rows = [
        {**row_json(met, opened, peaks.get(index)), "winner": (met.candidate, met.batch_size) in winners}
        for index, met in enumerate(met for found, _ in results for met in found)
    ]
    warnings = [_slower(*pair) for found, _ in results for pair in slower_reductions(found)]
    _write_files(csv_file, plot, rows, opened.manifest.name)
    if as_json:
        emit_json(_document(opened, rows, warnings, budget))
    else:
        click.echo(f"{opened.manifest.name}  ({opened.path})\n\n{METHOD}\n")
        click.echo(table(HEADER, [row_cells(row) for row in rows]))
        for _, choice in results:
            click.echo(str(choice))
    for warning in warnings:
        log(f"warning: {warning}")
    if not as_json:
        next_step(f"aetool encode {bundle} DATA -o latents.npy --backend auto")


def _check_edge(edge: bool, memory_cap: int | None, file: Path | None) -> None:
    if memory_cap is not None and not edge:
        raise UsageError("--memory-cap is given", expected="--edge, whose processes it is for")
    if edge and file is not None:
        raise UsageError(f"--edge writes no {file.suffix or 'file'}", hint="take --json")


def _given(**options: object) -> dict[str, object]:
    return {name: value for name, value in options.items() if value is not None}


def _measure(bundle: Bundle, wish: object, budget: float) -> list[Measurement]:
    from aetool_runtime.choosing.candidates import Wish, find_candidates
    from aetool_runtime.choosing.measuring import measure

    assert isinstance(wish, Wish)
    candidates = find_candidates(bundle, wish)
    log(f"{len(candidates)} candidates at batch {wish.batch_size:,}, about {budget:g} s")
    return measure(bundle, candidates, batch_size=wish.batch_size, budget=budget, every=True)


def _peaks(bundle: Bundle, measurements: list[Measurement]) -> dict[int, int]:
    """Peak memory of those that ran, by their place."""
    from aetool_runtime.choosing.memory import peak_memory

    peaks: dict[int, int] = {}
    with progress(len(measurements), "memory") as bar:
        for index, met in enumerate(measurements):
            peak = peak_memory(bundle, met.candidate, met.batch_size) if met.calls else None
            if peak is not None:
                peaks[index] = peak
            bar.update(1)
    return peaks


def _slower(reduced: Measurement, full: Measurement) -> str:
    factor = (reduced.p50 or 0) / (full.p50 or 1)
    where = reduced.candidate
    return (
        f"{where.precision} is {factor:.2f} times slower than {full.candidate.precision} here, on {where.backend}/"
        f"{where.device} at batch {reduced.batch_size:,}"
    )


def _document(bundle: Bundle, rows: list[dict[str, object]], warnings: list[str], budget: float) -> dict[str, object]:
    from aetool_runtime.choosing.cache import machine, versions

    return {
        "bundle": str(bundle.path),
        "digest": bundle.digest,
        "machine": machine(),
        "versions": versions(),
        "method": METHOD.replace("\n", " "),
        "budget": budget,
        "rows": rows,
        "warnings": warnings,
    }


def _check_files(csv_file: Path | None, plot: Path | None, overwrite: bool) -> None:
    from aetool.data.packages import import_package
    from aetool_runtime.atomic import check_target

    if plot is not None and plot.suffix.lower() != ".png":
        raise UsageError(f"the picture is called {plot.name!r}", expected="a name that ends in .png")
    for path in (csv_file, plot):
        if path is not None:
            check_target(path, overwrite=overwrite)
    if plot is not None:
        import_package("matplotlib.figure", extra="train")


def _write_files(csv_file: Path | None, plot: Path | None, rows: list[dict[str, object]], title: str) -> None:
    from aetool_runtime.atomic import replacing_file

    if csv_file is not None:
        import csv

        with replacing_file(csv_file) as partial, partial.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, CSV_FIELDS)
            writer.writeheader()
            writer.writerows(rows)
    if plot is not None:
        from aetool.cli.benchmark_plot import draw_speed

        draw_speed(rows, plot, title)
