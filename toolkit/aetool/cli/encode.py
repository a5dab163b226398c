"""``aetool encode BUNDLE DATA``, and what it shares with ``aetool decode``."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

import click
import numpy as np

from aetool.cli.output import emit_json, log, next_step, progress
from aetool_runtime.errors import InputError, UsageError
from aetool_runtime.specs import Array, TensorSpec

__all__ = ["command", "run_role", "running_options"]

Command = TypeVar("Command", bound=Callable[..., None])
_BATCH_BYTES = 1 << 20


def running_options(function: Command) -> Command:
    """The options of every command that runs a bundle over data."""
    options = [
        click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The .npy file to write."),
        click.option("--backend", help="onnxruntime, litert, ... [default: the first that is installed]"),
        click.option("--device", default="cpu", show_default=True, help="cpu, cuda, ...; never another one silently."),
        click.option("--threads", type=int, default=1, show_default=True, help="For one call; 0 for all cores."),
        click.option("--precision", default="float32", show_default=True, help="Which of the bundle's artifacts."),
        click.option("--batch-size", type=click.IntRange(1), help="Samples a call. [default: about 1 MiB]"),
        click.option("--overwrite", is_flag=True, help="Replace the output that stands there."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


@click.command("encode")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("data")
@running_options
def command(
    bundle: Path,
    data: str,
    output: Path,
    backend: str | None,
    device: str,
    threads: int,
    precision: str,
    batch_size: int | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Encode DATA (.npy, .npz, .csv, .parquet, a folder of images, builtin:...) to latents, in bounded memory.

    A recording is cut into windows when the bundle's input is a window.

    \b
    aetool encode model.aepkg builtin:ecg -o latents.npy
    """
    run_role("encode", bundle, data, output, backend, device, threads, precision, batch_size, overwrite, as_json)
    if not as_json:
        next_step(f"aetool decode {bundle} {output} -o restored.npy")


def run_role(
    verb: Literal["encode", "decode"],
    bundle: Path,
    data: str,
    output: Path,
    backend: str | None,
    device: str,
    threads: int,
    precision: str,
    batch_size: int | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Stream data through a bundle's encoder or decoder into a .npy file, and say what was done."""
    from aetool.data import open_source, sample_batches
    from aetool.stream import run_to_npy, run_to_text
    from aetool_runtime import Autoencoder
    from aetool_runtime.atomic import check_target

    check_target(output, overwrite=overwrite)
    with Autoencoder.open(bundle, backend=backend, device=device, threads=threads, precision=precision) as model:
        spec = model.tensor("input" if verb == "encode" else "latent")
        if None in spec.sample_shape:
            raise UsageError(f"{verb} needs an input of fixed shape", where=str(bundle))
        sizes = [size or 0 for size in spec.sample_shape]
        tokenizer = model.bundle.manifest.tokenizer
        source = open_source(data, tokenizer=tokenizer)
        run = _of_integers(getattr(model, verb), spec)
        size = batch_size or max(1, _BATCH_BYTES // (4 * math.prod(sizes)))
        batches = sample_batches(source, sizes, size, report=log)
        start = time.perf_counter()
        with progress(_count(source.shape, sizes), verb) as bar:
            if verb == "decode" and output.suffix == ".txt" and tokenizer is not None:
                written = run_to_text(run, tokenizer, batches, output, bar.update)
            else:
                written = run_to_npy(run, batches, output, bar.update)
        seconds = time.perf_counter() - start
        ran_on = f"{model.backend}/{model.device}"
    if as_json:
        emit_json({"output": str(output), "shape": written, "ran_on": ran_on, "seconds": seconds})
    else:
        click.echo(f"{written[0]:,} samples in {seconds:.2f} s on {ran_on} → {output} {list(written)}")


def _of_integers(run: Callable[[Array], Array], spec: TensorSpec) -> Callable[[Array], Array]:
    """Sources give 32-bit floats; a graph that takes integers (tokens, codes) is given them, and none that was rounded."""
    dtype = np.dtype(spec.dtype)
    if dtype.kind == "f":
        return run

    def call(batch: Array) -> Array:
        whole = batch.astype(dtype)
        if not np.array_equal(whole, batch):
            raise InputError(f"{spec.name} holds values that are no integers", expected=spec.dtype)
        return run(whole)

    return call


def _count(shape: tuple[int | None, ...], sample_shape: list[int]) -> int | None:
    """How many samples a source of this shape holds, where it is known beforehand."""
    if None in shape:
        return None
    return math.prod(size or 0 for size in shape) // math.prod(sample_shape)
