"""``aetool demo``."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aetool.cli.output import emit_json, log, table
from aetool_runtime.errors import UsageError

if TYPE_CHECKING:
    from aetool.demo import Chapter
    from aetool.training import Event

__all__ = ["command"]

_MARK = "made-by-aetool-demo"
_HEADER = (
    "model", "parameters", "ONNX bytes", "TFLite bytes", "parity ONNX Runtime", "parity LiteRT",
    "PSNR dB", "PCA dB", "Keras µs", "ONNX Runtime µs", "LiteRT µs",
)  # fmt: skip


@click.command("demo")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("demo"),
    show_default=True,
    help="The folder for checkpoints, bundles and the picture.",
)
@click.option("--overwrite", is_flag=True, help="Replace what an earlier demo wrote there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def command(output: Path, overwrite: bool, as_json: bool) -> None:
    """Train three autoencoders on built-in real data (handwritten digits, two-lead ECG), export each to ONNX and
    TFLite, check both against Keras, and run them without TensorFlow. Under three minutes on two cores.
    """
    _make_room(output, overwrite)
    log("loading TensorFlow")
    from aetool.demo import MODELS, tell
    from aetool.demo.picture import draw

    start = time.perf_counter()
    chapters = [tell(name, output, log, _quiet) for name in MODELS]
    picture = output / "reconstructions.png"
    draw(chapters, picture)
    if as_json:
        emit_json({"picture": str(picture), "models": list(map(_document, chapters))})
        return
    click.echo(f"\n{table(_HEADER, map(_row, chapters))}\n")
    click.echo("parity: largest difference from Keras on held-out data, as a share of the output's range")
    click.echo("PSNR:   on the test part, beside PCA with as many latent values")
    click.echo("µs:     median to encode one sample; the engines with one thread, Keras compiled with tf.function")
    click.echo(f"{time.perf_counter() - start:.0f} s; originals beside reconstructions: {picture}\n")
    for line in _next_commands(output, chapters):
        click.echo(line)


def _make_room(output: Path, overwrite: bool) -> None:
    """An empty folder with our mark; only a folder that bears it is ever removed."""
    if output.exists():
        if not overwrite:
            raise UsageError("already exists", where=str(output), hint="pass --overwrite, or -o ANOTHER_FOLDER")
        if not (output / _MARK).exists():
            raise UsageError("is not a folder that the demo made", where=str(output), hint="pass -o ANOTHER_FOLDER")
        shutil.rmtree(output)
    output.mkdir(parents=True)
    (output / _MARK).touch()


def _quiet(event: Event) -> None:
    """The demo tells its steps, not every epoch."""


def _row(chapter: Chapter) -> Sequence[str]:
    return (
        chapter.name,
        f"{chapter.parameters:,}",
        f"{chapter.sizes['onnx']:,}",
        f"{chapter.sizes['tflite']:,}",
        f"{chapter.parity['onnxruntime']:.1e}",
        f"{chapter.parity['litert']:.1e}",
        f"{chapter.psnr:.2f}",
        f"{chapter.pca_psnr:.2f}",
        f"{chapter.latencies['keras']:.0f}",
        f"{chapter.latencies['onnxruntime']:.1f}",
        f"{chapter.latencies['litert']:.1f}",
    )


def _document(chapter: Chapter) -> dict[str, Any]:
    hidden = {"originals", "reconstructions"}
    return {key: value for key, value in asdict(chapter).items() if key not in hidden}


def _next_commands(output: Path, chapters: Sequence[Chapter]) -> list[str]:
    bundle = output / f"{chapters[-1].name}.aepkg"
    return [
        "next:",
        f"  aetool inspect {bundle}",
        f"  aetool verify {bundle}",
        f"  aetool encode {bundle} builtin:ecg -o latents.npy",
        "  aetool train --preset dense YOUR_DATA.npy -o model, then aetool export model",
    ]
