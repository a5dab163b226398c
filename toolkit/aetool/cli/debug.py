"""``aetool debug BUNDLE --against MODEL``."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aetool.cli.model_options import model_options
from aetool.cli.output import emit_json, fail, log, next_step, table
from aetool_runtime.bundle import Bundle, open_bundle
from aetool_runtime.errors import ParityError, UsageError
from aetool_runtime.specs import Artifact

if TYPE_CHECKING:
    from aetool.model_request import ModelRequest
    from aetool_exporters.drift import DriftReport, LayerDrift

__all__ = ["command"]

_HEADER = ("layer", "fused into it", "made by", "tensor", "layout", "SNR dB", "alone dB", "float32 dB", "verdict")


@click.command("debug")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--against", type=click.Path(path_type=Path), help="The checkpoint or Keras file to hold it against.")
@model_options("against")
@click.option(
    "--artifact",
    metavar="WORDS",
    help="Which: any of role, format, precision and path, such as onnx:int8. [default: the only one]",
)
@click.option("--data", metavar="DATA", help="Real samples. [default: the checkpoint's held-out ones]")
@click.option("--tolerance", type=float, metavar="DB", help="Signal-to-noise ratio to keep. [default: by precision]")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE.png", help="Draw the ratios, layer by layer.")
@click.option("--overwrite", is_flag=True, help="Replace the plot that stands there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def command(
    bundle: Path,
    against: ModelRequest | None,
    artifact: str | None,
    data: str | None,
    tolerance: float | None,
    plot: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Walk the layers of one artifact of BUNDLE beside those of the model, and say where they part and why.

    SNR is the artifact against Keras, with the errors of all layers so far; alone is the layer by itself: Keras is
    given what the artifact's layer was given. Exit code 5 when a layer is beyond tolerance.

    \b
    aetool debug model.aepkg --against model --artifact onnx:int8
    aetool debug model.aepkg --against model --artifact decoder:tflite:int8 --plot drift.png
    """
    if against is None:
        raise UsageError("there is nothing to hold the bundle against", hint="--against MODEL")
    if tolerance is not None and not math.isfinite(tolerance):
        raise UsageError(f"--tolerance {tolerance}", expected="a number of dB, such as 20")
    if plot is not None:
        _check_plot(plot, overwrite)
    opened = open_bundle(bundle)
    report = _walk(opened, _chosen(opened, artifact), against, data, tolerance)
    document = {"bundle": str(bundle), "digest": opened.digest, **report.to_json()}
    if plot is not None:
        from aetool.cli.drift_plot import draw_drift

        draw_drift(report, plot, title=f"{opened.manifest.name}: {report.artifact} against Keras")
        document["plot"] = str(plot)
    if not as_json:
        for line in _lines(report):
            click.echo(line)
    if not report.passed:
        fail(_error(report, bundle), document, as_json=as_json)
    if as_json:
        emit_json(document)
    else:
        next_step(f"aetool verify {bundle} --against {against.path or 'MODEL'}")


def _check_plot(plot: Path, overwrite: bool) -> None:
    from aetool_runtime.atomic import check_target

    if plot.suffix.lower() != ".png":
        raise UsageError(f"the plot is called {plot.name!r}", expected="a name that ends in .png")
    check_target(plot, overwrite=overwrite)


def _walk(
    bundle: Bundle, artifact: Artifact, request: ModelRequest, data: str | None, tolerance: float | None
) -> DriftReport:
    from aetool.model import load_request, read_for
    from aetool_exporters.cases import Samples, synthetic_samples
    from aetool_exporters.drift import find_drift
    from aetool_exporters.verification import check_tensors

    loaded = load_request(request)
    check_tensors(bundle, loaded.reference)  # before samples are made up in the bundle's range
    samples, manifest = loaded.samples, bundle.manifest
    if data is not None:
        samples = Samples.of(read_for(loaded.reference, data, log))
    elif samples is None:
        log("no real samples were given, so made-up ones serve; better: --data FILE")
        known = (manifest.input_minimum, manifest.input_maximum) if manifest.input_minimum else ()
        samples = synthetic_samples(loaded.reference.given, *known)
    return find_drift(bundle, loaded.reference, artifact, samples, tolerance)


def _chosen(bundle: Bundle, wanted: str | None) -> Artifact:
    """The artifact that all words fit; of several roles the whole model."""
    words = set(re.split(r"[:,\s]+", wanted)) - {""} if wanted else set()
    artifacts = bundle.manifest.artifacts
    fitting = [a for a in artifacts if words <= {a.role, a.format, a.precision, a.path}]
    whole = [a for a in fitting if a.role == "autoencoder"] or fitting
    if len(whole) == 1:
        return whole[0]
    listed = ", ".join(_spelling(a) for a in whole or artifacts)
    what = f"{wanted!r} fits" if wanted else "there are"
    raise UsageError(
        f"{what} {len(whole) or 'no'} artifact{'' if len(whole) == 1 else 's'}",
        where=str(bundle.path),
        expected=f"one of {listed}",
        hint=f"--artifact {_spelling((whole or list(artifacts))[0])}",
    )


def _spelling(artifact: Artifact) -> str:
    return f"{artifact.role}:{artifact.format}:{artifact.precision}"


def _lines(report: DriftReport) -> Iterator[str]:
    yield f"{report.artifact}, layer by layer against Keras, {report.samples} samples, {_tolerance(report)}"
    yield ""
    yield table(_HEADER, map(_row, report.layers))
    yield ""
    first = report.first
    if first is None and not report.notes:
        yield f"no layer is beyond tolerance; the least ratio is {_least(report.layers)}"
        return
    if first is not None:
        yield f"first layer beyond tolerance: {first.name}, {first.snr:.1f} dB, alone {first.own:.1f} dB"
    for layer in report.layers:
        for cause in layer.causes:
            yield f"  {layer.name}: {cause.what}"
            yield f"    try: {cause.hint}"
    for note in report.notes:
        yield f"  {note.what}"
        yield f"    try: {note.hint}"


def _tolerance(report: DriftReport) -> str:
    if report.by_value:
        return "compared value by value, as verify does"
    return f"tolerance {report.tolerance_so_far:.1f} dB, {report.tolerance:.1f} dB for a layer alone"


def _least(layers: Sequence[LayerDrift]) -> str:
    worst = min(layers, key=lambda layer: layer.snr, default=None)
    return "-" if worst is None else f"{worst.snr:.1f} dB, at {worst.name}"


def _row(layer: LayerDrift) -> tuple[str, ...]:
    return (
        layer.name,
        ", ".join(layer.fused) or "-",
        layer.operator or "-",
        layer.tensor,
        layer.layout or "-",
        f"{layer.snr:.1f}",
        f"{layer.own:.1f}",
        "-" if layer.float32 is None else f"{layer.float32:.1f}",
        ("BEYOND" if layer.causes else "beyond, inherited") if layer.beyond else "ok",
    )


def _error(report: DriftReport, bundle: Path) -> ParityError:
    beyond = [layer for layer in report.layers if layer.beyond]
    if not beyond:
        return ParityError(report.notes[0].what, where=f"{bundle}, {report.artifact}", hint=report.notes[0].hint)
    first = beyond[0]
    why = f": {first.causes[0].what}" if first.causes else ""
    return ParityError(
        f"{len(beyond)} of {len(report.layers)} layers are beyond tolerance, the first is {first.name}{why}",
        where=f"{bundle}, {report.artifact}",
        hint=first.causes[0].hint if first.causes else "see the table",
    )
