"""``aetool decode BUNDLE LATENTS``."""

from __future__ import annotations

from pathlib import Path

import click

from aetool.cli.encode import run_role, running_options
from aetool.cli.output import next_step

__all__ = ["command"]


@click.command("decode")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("latents")
@running_options
def command(
    bundle: Path,
    latents: str,
    output: Path,
    backend: str | None,
    device: str,
    threads: int,
    precision: str,
    batch_size: int | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Decode LATENTS, usually a .npy file of `aetool encode`, to reconstructions in raw units.

    A bundle for text gives probabilities, or the most probable text when the output ends in .txt.

    \b
    aetool decode model.aepkg latents.npy -o restored.npy
    """
    run_role("decode", bundle, latents, output, backend, device, threads, precision, batch_size, overwrite, as_json)
    if not as_json:
        next_step(f"aetool verify {bundle}")
