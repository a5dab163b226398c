"""``aetool compress INPUT``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aetool.cli.compress_options import PIPE, Pipe, amount, bundle_option, check_streams
from aetool.cli.engine import Engine, engine_options
from aetool.cli.output import emit_json, log, progress
from aetool_runtime.atomic import check_target

if TYPE_CHECKING:
    from aetool.compressing.numbers import Wanted
    from aetool.compressing.opening import Opener
    from aetool.compressing.running import Compressors, Totals
    from aetool_runtime import Bundle

__all__ = ["command"]

_RAW_TYPES = ("int8", "uint8", "int16", "uint16", "int32", "float32")


@dataclass(frozen=True)
class _Job:
    """What to compress, and where to."""

    given: str
    output: str
    resume: bool
    overwrite: bool


@click.command("compress")
@click.argument("given", metavar="INPUT")
@click.option("-o", "--output", default=PIPE, help="The stream to write, a folder for a folder, or -.  [default: -]")
@bundle_option
@click.option("--quality", type=click.IntRange(0), metavar="N", help="0 for the coarsest of the bundle's, and so on.")
@click.option("--max-error", type=float, metavar="E", help="No value is off by more, in the data's units.")
@click.option("--lossless", is_flag=True, help="No value changes.  [default, where nothing else is said]")
@click.option("--raw", type=click.Choice(_RAW_TYPES), help="INPUT is bare values, little-endian; - for stdin.")
@click.option("--channels", type=click.IntRange(1), default=1, show_default=True, help="With --raw: values in a row.")
@click.option("--halo", type=click.IntRange(0), help="Pixels that a picture's tiles overlap on each side.")
@click.option(
    "--chunk-values",
    type=click.IntRange(1, 1 << 24),
    default=1 << 18,
    show_default=True,
    help="About how many values are coded, read and lost together.",
)
@engine_options
@click.option("--resume", is_flag=True, help="Go on with a folder where an interrupted run of the same command ended.")
@click.option("--overwrite", is_flag=True, help="Replace the output that stands there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def command(
    given: str,
    output: str,
    bundle: Path,
    quality: int | None,
    max_error: float | None,
    lossless: bool,
    raw: str | None,
    channels: int,
    halo: int | None,
    chunk_values: int,
    engine: Engine,
    resume: bool,
    overwrite: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Compress INPUT (.npy, .npz, .csv, .parquet, .wav, a picture, a folder of these, or raw values) to a stream.

    Every chunk goes the cheapest way: through the bundle's codecs, linear prediction, or as it is. The stream is read
    with the same bundle, on any machine, to the same values.

    \b
    aetool compress recording.npy -o recording.aes --bundle model.aepkg --max-error 2
    sensor | aetool compress - --raw int16 --channels 2 --bundle model.aepkg > recording.aes
    """  # fmt: skip
    from aetool.compressing.numbers import Wanted
    from aetool.compressing.opening import Opener
    from aetool_runtime import open_bundle
    from aetool_runtime.compression.reading import read_compression

    wanted = Wanted(quality, max_error, lossless or (quality is None and max_error is None))
    check_streams(given, output, as_json=as_json)
    opened = open_bundle(bundle)
    opener = Opener(read_compression(opened), wanted, raw or "", channels, halo)
    start = time.perf_counter()
    with _compressors(opened, bundle, engine, chunk_values) as compressors:
        compressors.get(wanted)  # a quality that is not there is told before anything is read
        totals = _run(
            _Job(given, output, resume, overwrite), opener, compressors, _made_of(opened, wanted, given, halo)
        )
    _tell(output, totals, time.perf_counter() - start, as_json=as_json)
    if not as_json:
        (log if output == PIPE else click.echo)(_next(given, output, bundle))


@contextmanager
def _compressors(bundle: Bundle, path: Path, engine: Engine, chunk_values: int) -> Iterator[Compressors]:
    """An engine is loaded when a codec first needs one, unless it is to be chosen by measuring."""
    from aetool.compressing.running import Compressors

    if engine.backend == "auto" or engine.min_snr is not None:
        with engine.open(path) as model, Compressors(model, chunk_values) as compressors:
            yield compressors
        return
    choice = {"backend": engine.backend, "device": engine.device, "precision": engine.precision}
    with Compressors(bundle, chunk_values, threads=engine.threads, **choice) as compressors:
        yield compressors


def _made_of(bundle: Bundle, wanted: Wanted, given: str, halo: int | None) -> dict[str, Any]:
    kept = [wanted.quality, wanted.max_error, wanted.lossless, halo]
    return {"bundle": bundle.digest, "input": str(Path(given).absolute()), "kept": kept}


def _run(job: _Job, opener: Opener, compressors: Compressors, made_of: dict[str, Any]) -> Totals:
    from aetool.compressing.running import Totals, compress_to

    totals = Totals()
    if job.given != PIPE and Path(job.given).is_dir():
        _run_folder(job, opener, compressors, made_of, totals)
        return totals
    if job.output != PIPE:
        check_target(Path(job.output), overwrite=job.overwrite)
    content = opener.open(job.given)
    with progress(content.count, "compress") as bar:
        if job.output == PIPE:
            summary = compressors.write(content, Pipe(), bar.update)  # type: ignore[arg-type]
        else:
            summary = compress_to(Path(job.output), compressors, content, bar.update)
    totals.add(summary, content)
    return totals


def _run_folder(job: _Job, opener: Opener, compressors: Compressors, made_of: dict[str, Any], totals: Totals) -> None:
    from aetool.compressing.folders import folder_run, stream_jobs
    from aetool.compressing.running import compress_to
    from aetool_runtime.errors import UsageError

    if job.output == PIPE:
        raise UsageError("a folder becomes a folder of streams", where=job.given, hint="-o FOLDER")
    output = Path(job.output)
    jobs = stream_jobs(Path(job.given), output)
    nothing: Callable[[int], None] = lambda count: None  # noqa: E731
    with (
        folder_run(output, made_of, resume=job.resume, overwrite=job.overwrite) as going_on,
        progress(len(jobs), "compress") as bar,
    ):
        for one in jobs:
            if going_on and one.is_done:
                totals.kept += 1
            else:
                content = opener.open(str(one.source))
                totals.add(compress_to(one.target, compressors, content, nothing), content)
            bar.update(1)


def _tell(output: str, totals: Totals, seconds: float, *, as_json: bool) -> None:
    if as_json:
        emit_json(
            {
                "output": output,
                "files": totals.files,
                "kept": totals.kept,
                "values": totals.values,
                "bytes": totals.bytes,
                "bits_per_value": totals.bits,
                "chunks": dict(totals.paths),
                "rmse": totals.rmse,
                "largest_error": totals.largest_error,
                "seconds": seconds,
            }
        )
        return
    many = f"{totals.files:,} files ({totals.kept:,} were done before), " if totals.files != 1 or totals.kept else ""
    say = log if output == PIPE else click.echo
    say(
        f"{many}{totals.values:,} values → {totals.bytes:,} bytes, {totals.bits:.3g} bits a value "
        f"({amount(totals.paths)} chunks), largest error {totals.largest_error:.4g}, "
        f"root mean square {totals.rmse:.4g}, {seconds:.2f} s → {output}"
    )


def _next(given: str, output: str, bundle: Path) -> str:
    stream, back = ("STREAM", "RESTORED") if output == PIPE else (output, f"restored{_suffix(given)}")
    return f"next: aetool decompress {stream} -o {back} --bundle {bundle}"


def _suffix(given: str) -> str:
    path = Path(given)
    return "" if path.is_dir() else {".jpg": ".png", ".jpeg": ".png", "": ".npy"}.get(path.suffix.lower(), path.suffix)
