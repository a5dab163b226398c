"""``aetool encode BUNDLE DATA``, and what it shares with ``aetool decode``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from aetool.cli.engine import Engine, engine_options
from aetool.cli.output import emit_json, log, next_step, progress
from aetool_runtime.errors import InterruptedRun, UsageError

if TYPE_CHECKING:
    from aetool_runtime import Autoencoder
    from aetool_runtime.specs import Array

__all__ = ["Running", "command", "run_role", "running_options"]


@dataclass(frozen=True)
class Running:
    """How to run a bundle over data, and where to."""

    output: Path
    engine: Engine
    batch_size: int | None
    resume: bool
    overwrite: bool
    as_json: bool
    cluster: str | None
    workers: int | None


def running_options(function: Callable[..., None]) -> Callable[..., None]:
    """The options of every command that runs a bundle over data, handed on as one ``running``."""

    @wraps(function)
    def command(
        output: Path,
        engine: Engine,
        batch_size: int | None,
        resume: bool,
        overwrite: bool,
        as_json: bool,
        cluster: str | None,
        workers: int | None,
        **others: Any,
    ) -> None:
        function(running=Running(output, engine, batch_size, resume, overwrite, as_json, cluster, workers), **others)

    options: list[Callable[..., Any]] = [
        click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The .npy file to write."),
        engine_options,
        click.option("--batch-size", type=click.IntRange(1), help="Samples a call. [default: about 1 MiB]"),
        click.option("--engine", "cluster", type=click.Choice(["ray"]), help="Run on the workers of a cluster."),
        click.option("--workers", type=click.IntRange(1), help="With --engine: how many. [default: one a core or GPU]"),
        click.option("--resume", is_flag=True, help="Go on with what an interrupted run of the same command left."),
        click.option("--overwrite", is_flag=True, help="Replace the output that stands there."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command("encode")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("data")
@running_options
def command(
    bundle: Path,
    data: str,
    running: Running,
) -> None:
    """Encode DATA (.npy, .npz, .csv, .parquet, a folder of images, builtin:...) to latents, in bounded memory.

    A recording is cut into windows when the bundle's input is a window.

    \b
    aetool encode model.aepkg builtin:ecg -o latents.npy
    """
    run_role("encode", bundle, data, running)
    if not running.as_json:
        next_step(f"aetool decode {bundle} {running.output} -o restored.npy")


def run_role(
    verb: Literal["encode", "decode"],
    bundle: Path,
    data: str,
    running: Running,
) -> None:
    """Stream data through a bundle's encoder or decoder into a file, and say what was done."""
    from aetool.running.feeding import open_feed
    from aetool.running.stream import Work, run_to_npy, run_to_text
    from aetool_runtime.atomic import check_target

    output = running.output
    check_target(output, overwrite=running.overwrite)
    _refuse_input_as_output(output, bundle, data)
    with running.engine.open(bundle, running.batch_size) as model:
        tensor = "input" if verb == "encode" else "latent"
        feed = open_feed(model, data, tensor=tensor, size=running.batch_size, report=log)
        tokenizer = model.bundle.manifest.tokenizer
        ran_on = f"{model.backend}/{model.device}"
        made_of = {"bundle": model.bundle.digest, "engine": f"{ran_on} {model.precision}", **feed.made_of}
        start = time.perf_counter()
        with progress(feed.count, verb) as bar, _told(output):
            run = _run_of(running, model, verb)
            work = Work(run, feed.batches, output, made_of, bar.update, running.resume)
            if verb == "decode" and output.suffix == ".txt" and tokenizer is not None:
                written = run_to_text(work, tokenizer)
            else:
                written = run_to_npy(work)
        seconds = time.perf_counter() - start
    if running.as_json:
        emit_json({"output": str(output), "shape": written, "ran_on": ran_on, "seconds": seconds})
    else:
        click.echo(f"{written[0]:,} samples in {seconds:.2f} s on {ran_on} → {output} {list(written)}")


def _run_of(running: Running, model: Autoencoder, verb: str) -> Callable[[Iterable[Array]], Iterator[Array]]:
    """What makes results of batches: this process, or a cluster."""
    if running.cluster is None:
        return partial(map, getattr(model, verb))
    from aetool.running.ray_cluster import ray_map

    return ray_map(model.bundle, verb, asdict(running.engine), running.workers)


@contextmanager
def _told(output: Path) -> Iterator[None]:
    """Tell who interrupts it what stays."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise InterruptedRun(
            "stopped before the end; what was done of it is kept",
            where=str(output),
            hint="the same command with --resume goes on",
        ) from interrupt


def _refuse_input_as_output(output: Path, *inputs: Path | str) -> None:
    """``--overwrite`` is for an older output, not for the only copy of what it is made of."""
    for given in map(Path, inputs):
        with suppress(OSError, ValueError):  # what is not there is told where it is opened
            if output.samefile(given):
                raise UsageError("is read, so it is not written to", where=str(output), hint="choose another output")
