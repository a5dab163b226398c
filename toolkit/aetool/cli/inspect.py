"""``aetool inspect BUNDLE``, or a model that is not exported yet, or a compressed stream."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aetool.cli.inspect_c import c_json, c_lines
from aetool.cli.inspect_stream import inspect_stream, is_stream
from aetool.cli.layer_table import layer_lines, totals_json
from aetool.cli.output import emit_json, log, next_step, table
from aetool_runtime.backends import backend_names, load_backend
from aetool_runtime.bundle import Bundle, open_bundle
from aetool_runtime.complexity import Complexity, complexity_json
from aetool_runtime.errors import UnavailableError, UsageError
from aetool_runtime.manifest import MANIFEST, Manifest
from aetool_runtime.specs import Artifact, Normalization

if TYPE_CHECKING:
    from aetool.model import Model

__all__ = ["command"]

_CHECKPOINT = ("checkpoint.json", "training")
_MODEL_FOLDER = (*_CHECKPOINT, "saved_model.pb")
_ARTIFACT_HEADER = ("role", "format", "precision", "input", "output", "bytes", "file")


@click.command("inspect")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--latent", metavar="LAYER", help="Of a Keras file: the layer whose output is the latent.")
@click.option("--bundle", "made_with", type=click.Path(path_type=Path), help="Of a stream: the bundle that made it.")
@click.option("--json", "as_json", is_flag=True, help="Print what is shown, and the manifest, as one JSON document.")
def command(bundle: Path, latent: str | None, made_with: Path | None, as_json: bool) -> None:
    """Check every byte of BUNDLE and show what it holds and what it costs, layer by layer.

    A checkpoint or a .keras file may stand in its place, to see the costs before it is exported; that needs TensorFlow.
    So may a compressed stream, to see its chunks, the paths they took, and what its bytes are spent on.

    \b
    aetool inspect model.aepkg
    aetool inspect model
    aetool inspect recording.aes --bundle model.aepkg
    """
    if is_stream(bundle):
        if latent is not None:
            raise UsageError("a stream has no layers", where=str(bundle), hint="leave --latent out")
        inspect_stream(bundle, made_with, as_json=as_json)
        return
    if made_with is not None:
        raise UsageError("--bundle is for streams", where=str(bundle), hint="leave --bundle out")
    if _is_model(bundle):
        _inspect_model(bundle, latent, as_json)
    elif latent is not None:
        raise UsageError("a bundle knows its latent", where=str(bundle), hint="leave --latent out")
    else:
        _inspect_bundle(bundle, as_json)


def _is_model(path: Path) -> bool:
    """A folder of ``aetool train``, finished or not, a SavedModel folder or a Keras file."""
    if path.is_dir():
        return not (path / MANIFEST).exists() and any((path / name).exists() for name in _MODEL_FOLDER)
    return path.suffix in (".keras", ".h5", ".hdf5")


def _inspect_bundle(path: Path, as_json: bool) -> None:
    opened = open_bundle(path)
    complexity = opened.manifest.complexity
    if as_json:
        document = {"bundle": str(path), "digest": opened.digest, "manifest": json.loads(opened.text)}
        emit_json({**document, "totals": totals_json(complexity), "c": c_json(opened)})
        return
    for line in _lines(opened):
        click.echo(line)
    for line in (*_operator_lines(opened.manifest), *layer_lines(complexity), *c_lines(opened)):
        click.echo(line)
    next_step(f"aetool verify {path}")


def _inspect_model(path: Path, latent: str | None, as_json: bool) -> None:
    log(f"reading {path}")
    from aetool.model import load_model
    from aetool_exporters.complexity import count_reference

    model = load_model(path, latent=latent)
    if model.notice:
        log(model.notice)
    shape = None if model.samples is None else model.samples.values.shape[1:]
    complexity = count_reference(model.reference, shape)
    if as_json:
        emit_json(_model_json(path, model, complexity))
        return
    click.echo(f"{model.name}  ({path}, not exported yet)")
    click.echo(f"tensors        {' → '.join(_tensors(model))}")
    click.echo(f"normalization  {_normalization(model.reference.normalization)}")
    for line in layer_lines(complexity):
        click.echo(line)
    next_step(f"aetool export {path}")


def _model_json(path: Path, model: Model, complexity: Complexity) -> dict[str, object]:
    return {
        "model": str(path),
        "name": model.name,
        "tensors": _tensors(model),
        "complexity": complexity_json(complexity),
        "totals": totals_json(complexity),
    }


def _tensors(model: Model) -> list[str]:
    reference = model.reference
    return list(map(str, reference.tensors))


def _lines(bundle: Bundle) -> list[str]:
    manifest = bundle.manifest
    parameters = ", ".join(f"{role} {count:,}" for role, count in manifest.parameters.items())
    return [
        f"{manifest.name}  ({bundle.path}, every byte checked, sha256 {bundle.digest})",
        f"parameters     {parameters or 'not told'}",
        f"normalization  {_normalization(manifest.normalization)}",
        f"seen           {_seen(manifest)}",
        f"made with      {', '.join(f'{name} {version}' for name, version in manifest.created_with.items())}",
        f"self-test      {', '.join(_cases(manifest))}",
        f"latent prior   {manifest.latent_prior or 'not told'}",
        f"engines here   {', '.join(map(_engine, backend_names()))}",
        "",
        table(_ARTIFACT_HEADER, [_artifact(bundle, artifact) for artifact in manifest.artifacts]),
    ]


def _normalization(normalization: Normalization) -> str:
    if normalization.is_identity:
        return "none: the network takes raw values"
    return f"(raw - {_span(normalization.offset)}) / {_span(normalization.scale)}, inside the graphs"


def _span(values: tuple[float, ...]) -> str:
    """A few values, or how many there are."""
    if len(values) == 1:
        return f"{values[0]:g}"
    shown = ", ".join(f"{value:g}" for value in values[:4])
    return f"[{shown}{', …' if len(values) > 4 else ''}]"


def _cases(manifest: Manifest) -> list[str]:
    return [f"{case.name} ({next(iter(case.tensors.values())).shape[0]})" for case in manifest.golden.cases]


def _seen(manifest: Manifest) -> str:
    if not manifest.input_minimum:
        return "not told"
    return f"{_span(manifest.input_minimum)} … {_span(manifest.input_maximum)} in training, raw units"


def _engine(name: str) -> str:
    try:
        return f"{name} ({', '.join(load_backend(name).devices())})"
    except UnavailableError:
        return f"{name} (not installed)"


def _operator_lines(manifest: Manifest) -> list[str]:
    """What each graph is made of, the most frequent operation first."""
    rows = [
        (str(artifact), ", ".join(f"{name} {count}" for name, count in _by_count(artifact)))
        for artifact in manifest.artifacts
        if artifact.operators
    ]
    return ["", table(("graph", "operations"), rows)] if rows else []


def _by_count(artifact: Artifact) -> list[tuple[str, int]]:
    return sorted(artifact.operators.items(), key=lambda item: (-item[1], item[0]))


def _artifact(bundle: Bundle, artifact: Artifact) -> tuple[str, ...]:
    size = bundle.manifest.files[artifact.path].bytes
    place = artifact.path + (f" : {artifact.signature}" if artifact.signature else "")
    return (
        artifact.role,
        artifact.format + (f" opset {artifact.opset}" if artifact.opset else ""),
        artifact.precision,
        str(artifact.inputs[0]),
        ", ".join(map(str, artifact.outputs)),
        f"{size:,}",
        place,
    )
