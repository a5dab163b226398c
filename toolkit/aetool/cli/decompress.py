"""``aetool decompress STREAM``."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from aetool.cli.compress_options import PIPE, Pipe, bundle_option, check_streams, parse_part
from aetool.cli.output import emit_json, log, next_step, progress
from aetool_runtime.atomic import check_target, replacing_file
from aetool_runtime.errors import InputError, UsageError

if TYPE_CHECKING:
    from aetool.compressing.restoring import Restoring
    from aetool_runtime import Decompressor

__all__ = ["command"]

Part = tuple[int | None, int | None]


@dataclass
class _Done:
    """What was written: files, the last one's shape, and what was left out."""

    files: int = 0
    kept: int = 0
    shape: tuple[int, ...] = ()
    lost: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class _Options:
    part: Part | None
    salvage: bool


@click.command("decompress")
@click.argument("given", metavar="STREAM")
@click.option("-o", "--output", required=True, help="The file to write, a folder for a folder, or - for bare values.")
@bundle_option
@click.option(
    "--samples",
    "--rows",
    "part",
    metavar="A:B",
    callback=parse_part,
    help="Only those from A to B, B not included; nothing else is decoded.",
)
@click.option(
    "--salvage", is_flag=True, help="Leave out damaged chunks and say which, in place of refusing the stream."
)
@click.option("--resume", is_flag=True, help="Go on with a folder where an interrupted run of the same command ended.")
@click.option("--overwrite", is_flag=True, help="Replace the output that stands there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def command(
    given: str,
    output: str,
    bundle: Path,
    part: Part | None,
    salvage: bool,
    resume: bool,
    overwrite: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Decompress STREAM, a file of `aetool compress`, a folder of them or - for stdin, to the file that it was.

    Needs no engine, and returns the same values on every machine. Nothing is written of a stream that is damaged, but
    for bare values in a pipe: there a wrong chunk ends the output.

    \b
    aetool decompress recording.aes -o recording.npy --bundle model.aepkg
    aetool decompress recording.aes -o minute.npy --bundle model.aepkg --rows 0:21600
    """  # fmt: skip
    from aetool_runtime import Decompressor

    check_streams(given, output, as_json=as_json)
    decompressor = Decompressor(bundle)
    start = time.perf_counter()
    options, done = _Options(part, salvage), _Done()
    if given != PIPE and Path(given).is_dir():
        _run_folder(given, output, decompressor, options, done, resume=resume, overwrite=overwrite)
    else:
        if output != PIPE:
            check_target(Path(output), overwrite=overwrite)
        _run_file(given, output, decompressor, options, done)
    _tell(output, done, time.perf_counter() - start, as_json=as_json)
    if not as_json and output != PIPE:
        next_step(f"aetool inspect {given}" if given != PIPE else f"aetool inspect {bundle}")


def _run_file(given: str, output: str, decompressor: Decompressor, options: _Options, done: _Done) -> None:
    from aetool.compressing.restoring import Restoring

    where = "standard input" if given == PIPE else given
    with ExitStack() as stack:
        file = stack.enter_context(_open(given)) if given != PIPE else sys.stdin.buffer
        reader = decompressor.reader(file, where=where, salvage=options.salvage)
        restoring = Restoring(reader, decompressor.decoder, where, options.part, options.salvage)
        if output == PIPE:
            done.shape = restoring.write(Pipe(), "")  # type: ignore[arg-type]
        else:
            restoring.check_suffix(Path(output))
            _write(restoring, Path(output), done)
        _told(restoring, where, done)


def _open(path: str) -> BinaryIO:
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror})", where=path, hint="a stream of aetool compress"
        ) from error


def _write(restoring: Restoring, output: Path, done: _Done) -> None:
    with progress(None, "decompress") as bar, replacing_file(output) as partial, partial.open("wb") as file:
        done.shape = restoring.write(file, output.suffix.lower())
        bar.update(done.shape[0])
    done.files += 1


def _told(restoring: Restoring, where: str, done: _Done) -> None:
    for lost in restoring.lost:
        behind = " and all behind it" if lost.rest else ""
        count = f" ({lost.count:,} samples or rows)" if lost.count is not None else ""
        log(f"lost: chunk {lost.number}{behind}{count}: {lost.reason}")
        found = {"number": lost.number, "rest": lost.rest, "count": lost.count, "reason": str(lost.reason)}
        done.lost.append({"stream": where, **found})
    if restoring.missing:
        log(f"{restoring.missing:,} tiles of the picture are missing, and are 0")


def _run_folder(
    given: str, output: str, decompressor: Decompressor, options: _Options, done: _Done,
    *, resume: bool, overwrite: bool,
) -> None:  # fmt: skip
    from aetool.compressing.folders import folder_run, restoring_jobs

    if output == PIPE or options.part is not None:
        raise UsageError("a folder of streams becomes a folder, whole", where=given, hint="-o FOLDER")
    jobs = restoring_jobs(Path(given), Path(output))
    made_of = {"bundle": decompressor.bundle.digest, "input": str(Path(given).absolute()), "salvage": options.salvage}
    with (
        folder_run(Path(output), made_of, resume=resume, overwrite=overwrite) as going_on,
        progress(len(jobs), "decompress") as bar,
    ):
        for job in jobs:
            _restore_one(job.source, job.target, decompressor, options, done, going_on=going_on)
            bar.update(1)


def _restore_one(
    source: Path, target: Path, decompressor: Decompressor, options: _Options, done: _Done, *, going_on: bool
) -> None:
    """Pictures come back as PNG, whatever they were: a JPEG would lose more."""
    from aetool.compressing.restoring import Restoring, writable_name

    with _open(str(source)) as file:
        reader = decompressor.reader(file, where=str(source), salvage=options.salvage)
        restoring = Restoring(reader, decompressor.decoder, str(source), None, options.salvage)
        target = writable_name(target, restoring.form)
        if going_on and target.is_file() and target.stat().st_mtime_ns >= source.stat().st_mtime_ns:
            done.kept += 1
            return
        with replacing_file(target) as partial, partial.open("wb") as written:
            done.shape = restoring.write(written, target.suffix.lower())
        done.files += 1
        _told(restoring, str(source), done)


def _tell(output: str, done: _Done, seconds: float, *, as_json: bool) -> None:
    if as_json:
        shape = list(done.shape) if done.files == 1 and not done.kept else None
        emit_json(
            {"output": output, "files": done.files, "kept": done.kept, "shape": shape, "lost": done.lost,
             "seconds": seconds}
        )  # fmt: skip
    elif done.files == 1:
        click.echo(f"{list(done.shape)} in {seconds:.2f} s → {output}")
    elif output != PIPE:
        click.echo(f"{done.files:,} files ({done.kept:,} were done before) in {seconds:.2f} s → {output}")
