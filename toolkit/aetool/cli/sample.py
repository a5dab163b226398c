"""``aetool sample BUNDLE``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from aetool.cli.engine import Engine, engine_options
from aetool.cli.output import emit_json, log, next_step, progress
from aetool_runtime.errors import UsageError

if TYPE_CHECKING:
    from aetool.sampling import Draw, Layout
    from aetool_runtime import Autoencoder
    from aetool_runtime.specs import Array

__all__ = ["command"]

_MOST_FITTED = 5000
_MOST_DRAWN = 400  # samples in one picture


@click.command("sample")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("-n", "--count", type=click.IntRange(1), default=16, show_default=True, help="How many samples.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="The same seed, the same samples.")
@click.option("--fit", metavar="DATA", help="Draw what the latents of these real samples look like.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="A .png, .npy or .txt file.")
@engine_options
@click.option("--overwrite", is_flag=True, help="Replace the output that stands there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def command(
    bundle: Path,
    count: int,
    seed: int,
    fit: str | None,
    output: Path,
    engine: Engine,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Draw latents, decode them with BUNDLE, and write the samples.

    Latents come from the prior that the model was trained for (variational and adversarial models), else from a
    Gaussian fitted to the bundle's own few samples, or, better, to --fit DATA. Latents of integers need --fit. A .png
    shows images or windows, a .txt holds the most probable texts, one a line; .npy takes anything.

    \b
    aetool sample vae.aepkg -n 16 -o grid.png
    aetool sample model.aepkg -n 1000 --fit windows.npy -o samples.npy
    """
    from aetool.sampling import choose
    from aetool_runtime.atomic import check_target

    check_target(output, overwrite=overwrite)
    with engine.open(bundle) as model:
        layout = _layout(model, output, count)
        real = None if fit is None else _real_latents(model, fit)
        draw = choose(model.bundle, real, fit or "")
        if draw.advice:
            log(draw.advice)
        samples = _decode(model, draw.latents(count, seed))
        ran_on = f"{model.backend}/{model.device}"
        _write(model, samples, layout, output, draw)
    shape = list(samples.shape)
    if as_json:
        document = {"output": str(output), "shape": shape, "seed": seed, "ran_on": ran_on}
        emit_json({**document, "latents": draw.description})
        return
    click.echo(f"latents: {draw.description}")
    click.echo(f"{count:,} samples, seed {seed}, decoded on {ran_on} → {output} {shape}")
    next_step(f"aetool evaluate {bundle} DATA -o scatter.png")


def _layout(model: Autoencoder, output: Path, count: int) -> Layout | None:
    """How to draw the samples; ``None`` for no picture. Refuses early what cannot be drawn or written."""
    from aetool.sampling import layout_of

    suffix, spec = output.suffix.lower(), model.tensor("reconstruction")
    if suffix not in (".png", ".npy", ".txt"):
        raise UsageError(f"the output is called {output.name!r}", expected="a name that ends in .png, .npy or .txt")
    if suffix == ".txt" and model.bundle.manifest.tokenizer is None:
        raise UsageError("the bundle makes no texts", where=str(model.bundle.path), hint="-o samples.npy")
    if suffix != ".png":
        return None
    layout = layout_of(spec.sample_shape) if model.tensor("input").dtype.startswith("float") else None
    if layout is None:
        raise UsageError(
            f"samples like {spec} make no picture",
            expected="images [height, width], with 1 or 3 channels or flat squares, or windows [time, channels]",
            hint="-o samples.npy, or -o samples.txt where they are texts",
        )
    if count > _MOST_DRAWN:
        raise UsageError(f"{count} samples are too many for one picture", expected=f"at most {_MOST_DRAWN}, or .npy")
    return layout


def _real_latents(model: Autoencoder, data: str) -> Array:
    """Latents of real samples, at most 5000 of them, evenly spread."""
    from aetool.running.feeding import feed
    from aetool.spread import EvenSpread

    spread = EvenSpread(_MOST_FITTED)
    with progress(None, "encode") as bar:
        for batch in feed(model, data, report=log):
            spread.add(model.encode(batch))
            bar.update(len(batch))
    return spread.arrays()[0]


def _decode(model: Autoencoder, latents: Array) -> Array:
    import numpy as np

    from aetool.running.feeding import batch_size

    batch = batch_size([size or 1 for size in model.tensor("reconstruction").sample_shape])
    return np.concatenate([model.decode(latents[at : at + batch]) for at in range(0, len(latents), batch)])


def _write(model: Autoencoder, samples: Array, layout: Layout | None, output: Path, draw: Draw) -> None:
    import numpy as np

    from aetool.sampling import draw_grid
    from aetool_runtime.atomic import replacing_file

    manifest = model.bundle.manifest
    if layout is not None:
        span = (min(manifest.input_minimum), max(manifest.input_maximum)) if manifest.input_minimum else None
        draw_grid(samples, layout, output, title=f"{manifest.name}: {draw.description}", span=span)
        return
    with replacing_file(output) as partial, partial.open("wb") as file:
        if output.suffix.lower() == ".txt":
            assert manifest.tokenizer is not None
            texts = manifest.tokenizer.decode(samples.argmax(axis=-1))
            file.writelines(f"{' '.join(text.splitlines())}\n".encode() for text in texts)
        else:
            np.save(file, samples)
