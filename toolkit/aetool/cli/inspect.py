"""``aetool inspect BUNDLE``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from aetool.cli.output import emit_json, next_step, table
from aetool_runtime.backends import backend_names, load_backend
from aetool_runtime.bundle import Bundle, open_bundle
from aetool_runtime.errors import UnavailableError
from aetool_runtime.manifest import Manifest
from aetool_runtime.specs import Artifact

__all__ = ["command"]

_ARTIFACT_HEADER = ("role", "format", "precision", "input", "output", "bytes", "file")


@click.command("inspect")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the manifest and the digest as one JSON document.")
def command(bundle: Path, as_json: bool) -> None:
    """Check every byte of BUNDLE and show what it holds."""
    opened = open_bundle(bundle)
    if as_json:
        emit_json({"bundle": str(bundle), "digest": opened.digest, "manifest": json.loads(opened.text)})
        return
    for line in _lines(opened):
        click.echo(line)
    next_step(f"aetool verify {bundle}")


def _lines(bundle: Bundle) -> list[str]:
    manifest = bundle.manifest
    parameters = ", ".join(f"{role} {count:,}" for role, count in manifest.parameters.items())
    return [
        f"{manifest.name}  ({bundle.path}, every byte checked, sha256 {bundle.digest})",
        f"parameters     {parameters or 'not told'}",
        f"normalization  {_normalization(manifest)}",
        f"seen           {_span(manifest.input_minimum)} … {_span(manifest.input_maximum)} in training, raw units",
        f"made with      {', '.join(f'{name} {version}' for name, version in manifest.created_with.items())}",
        f"self-test      {', '.join(_cases(manifest))}",
        f"engines here   {', '.join(map(_engine, backend_names()))}",
        "",
        table(_ARTIFACT_HEADER, [_artifact(bundle, artifact) for artifact in manifest.artifacts]),
    ]


def _normalization(manifest: Manifest) -> str:
    if manifest.normalization.is_identity:
        return "none: the network takes raw values"
    return f"(raw - {_span(manifest.normalization.offset)}) / {_span(manifest.normalization.scale)}, inside the graphs"


def _span(values: tuple[float, ...]) -> str:
    """A few values, or how many there are."""
    if len(values) == 1:
        return f"{values[0]:g}"
    shown = ", ".join(f"{value:g}" for value in values[:4])
    return f"[{shown}{', …' if len(values) > 4 else ''}]"


def _cases(manifest: Manifest) -> list[str]:
    return [f"{case.name} ({next(iter(case.tensors.values())).shape[0]})" for case in manifest.golden.cases]


def _engine(name: str) -> str:
    try:
        return f"{name} ({', '.join(load_backend(name).devices())})"
    except UnavailableError:
        return f"{name} (not installed)"


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
