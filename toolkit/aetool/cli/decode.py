"""``aetool decode BUNDLE LATENTS``."""

from __future__ import annotations

from pathlib import Path

import click

from aetool.cli.encode import Running, run_role, running_options
from aetool.cli.output import next_step

__all__ = ["command"]


@click.command("decode")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("latents")
@running_options
def command(
    bundle: Path,
    latents: str,
    running: Running,
) -> None:
    """Decode LATENTS, usually a .npy file of `aetool encode`, to reconstructions in raw units.

    A bundle for text gives probabilities, or the most probable text when the output ends in .txt.

    \b
    aetool decode model.aepkg latents.npy -o restored.npy
    """
    run_role("decode", bundle, latents, running)
    if not running.as_json:
        next_step(f"aetool verify {bundle}")
