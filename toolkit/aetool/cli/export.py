"""``aetool export MODEL``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aetool.cli.budget_options import BudgetFlags, budget_options, budgets_json, echo_frontiers
from aetool.cli.checks import echo_checks
from aetool.cli.compression_options import CompressionFlags, compression_options
from aetool.cli.model_options import check_name, model_options
from aetool.cli.output import emit_json, fail, log, next_step
from aetool.cli.reduced import Reduced, reduced_options
from aetool_runtime.errors import BudgetError, InputError, ParityError, UsageError
from aetool_runtime.report import check_json

if TYPE_CHECKING:
    from aetool.model import Model
    from aetool.model_request import ModelRequest
    from aetool_exporters.budget import Frontier
    from aetool_exporters.cases import Samples
    from aetool_exporters.pipeline import ExportOptions
    from aetool_runtime.bundle import Bundle
    from aetool_runtime.selftest import Check

__all__ = ["command"]


@click.command("export")
@click.argument("model", required=False, type=click.Path(path_type=Path))
@model_options("model")
@click.option("--onnx", is_flag=True, help="Write ONNX graphs.")
@click.option("--tflite", is_flag=True, help="Write a TFLite file. Without --onnx or --tflite both are written.")
@click.option("--ort", is_flag=True, help="Write ONNX graphs in ONNX Runtime's own format, too, for its small builds.")
@click.option("--format", "formats", multiple=True, metavar="NAME", help="Write a format that a plug-in brings.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The bundle. [default: MODEL.aepkg]")
@click.option("--name", help="The model's name in the bundle. [default: its family, or the Keras file's name]")
@click.option(
    "--data", metavar="DATA", help="Real samples to verify with. [default: the checkpoint's held-out samples]"
)
@reduced_options
@budget_options
@compression_options
@click.option("--opset", type=int, default=17, show_default=True, help="ONNX operator set.")
@click.option(
    "--triton", type=click.Path(path_type=Path), metavar="DIR", help="Write a Triton model repository as well."
)
@click.option(
    "--c", "c_folder", type=click.Path(path_type=Path), metavar="DIR", help="Write the int8 encoder as C99 as well."
)
@click.option("--zip", "as_zip", is_flag=True, help="Write one file instead of a folder.")
@click.option(
    "--golden",
    type=click.Choice(["real", "synthetic"]),
    default="real",
    show_default=True,
    help="Samples in the bundle's self-test: a few held-out ones, or made-up ones that give nothing away.",
)
@click.option("--license", "license_file", type=click.Path(path_type=Path), help="A text to carry as the licence.")
@click.option("--overwrite", is_flag=True, help="Replace the bundle that stands there.")
@click.option("--dry-run", is_flag=True, help="Read the model and say what would be written; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def command(
    model: ModelRequest,
    onnx: bool,
    tflite: bool,
    ort: bool,
    formats: tuple[str, ...],
    output: Path | None,
    name: str | None,
    data: str | None,
    reduced: Reduced,
    budget: BudgetFlags,
    compression: CompressionFlags,
    opset: int,
    triton: Path | None,
    c_folder: Path | None,
    as_zip: bool,
    golden: str,
    license_file: Path | None,
    overwrite: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Turn MODEL, a checkpoint, a Keras file or a SavedModel folder, into a verified bundle.

    Every graph is held against Keras on real held-out samples and on edge cases, on every engine that is installed;
    one that fails is not in the bundle, and the command ends with exit code 5. With --max-drop the smallest artifacts
    are searched for that lose no more quality than that; where there are none, the command ends with exit code 6.

    \b
    aetool export model --onnx
    aetool export model --precision float32,int8
    aetool export model --mcu --c sensor_code
    aetool export autoencoder.keras --data windows.npy -o sensor.aepkg
    aetool export --encoder encoder.h5 --decoder decoder.h5
    aetool export model --tflite --max-drop psnr:0.5
    aetool export model --compression --calibration recordings.npy
    """
    from aetool_exporters.frugal import give_memory_back
    from aetool_exporters.pipeline import ExportOptions, check_output
    from aetool_exporters.triton import check_repository

    give_memory_back()
    target = output or Path(f"{model.stem}.aepkg")
    check_name(name or model.stem)
    options = ExportOptions(
        formats=_formats(onnx or ort, tflite or reduced.microcontroller, (*(["ort"] if ort else []), *formats)),
        precisions=reduced.precisions,
        opset=opset,
        zip=as_zip,
        golden=golden,
        license=_read_license(license_file),
        microcontroller=reduced.microcontroller,
        overwrite=overwrite,
    )
    check_output(target, overwrite=overwrite or dry_run)
    if triton is not None:
        check_repository(triton, overwrite=overwrite or dry_run)
    if c_folder is not None:
        _check_c(c_folder, options, reduced, overwrite=overwrite or dry_run)
    if not dry_run:
        log(f"reading {model.shown}")
    loaded = _load(model)
    samples = _samples(loaded, data, budget.labels)
    if samples is None or not samples.real:
        log("no real samples were given, so parity is checked on made-up ones; better: --data FILE")
    options = replace(options, quantization=reduced.quantization(loaded, log))
    options = compression.applied(budget.applied(options, loaded, samples, data, reduced), loaded, reduced)
    if dry_run:
        _tell_plan(loaded, target, options, as_json)
    else:
        _export(loaded, name or loaded.name, target, samples, options, triton, c_folder, as_json)


def _formats(onnx: bool, tflite: bool, others: tuple[str, ...]) -> tuple[str, ...]:
    from aetool_exporters.pipeline import DEFAULT_FORMATS

    flags = (*(["onnx"] if onnx else []), *(["tflite"] if tflite else []), *others)
    return tuple(dict.fromkeys(flags)) or DEFAULT_FORMATS


def _load(request: ModelRequest) -> Model:
    from aetool.model import load_request

    loaded = load_request(request)
    if loaded.notice:
        log(loaded.notice)
    return loaded


def _samples(loaded: Model, data: str | None, label: str) -> Samples | None:
    from aetool.model import read_for
    from aetool_exporters.cases import Samples

    if data is None:
        return loaded.samples
    values = read_for(loaded.reference, data, log, label)
    if loaded.samples is None or not loaded.samples.real:
        return Samples.of(values)
    return Samples(values, loaded.samples.minimum, loaded.samples.maximum)


def _read_license(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read ({error})", where=str(path), expected="a text file in UTF-8") from error


def _export(
    loaded: Model,
    name: str,
    target: Path,
    samples: Samples | None,
    options: ExportOptions,
    triton: Path | None,
    c_folder: Path | None,
    as_json: bool,
) -> None:
    from aetool_exporters.pipeline import export_reference
    from aetool_exporters.triton import write_triton

    log(f"converting to {' and '.join(options.formats)} at {_precisions(options)}, then verifying")
    checks: list[Check] = []
    frontiers: list[Frontier] = []
    try:
        bundle = export_reference(
            loaded.reference, target, name, samples, options, checks.append, log, frontiers.append
        )
    except (ParityError, BudgetError) as error:
        if not as_json:
            echo_frontiers(frontiers)
            if checks:
                echo_checks(checks)
        failed = {"bundle": str(target), "checks": list(map(check_json, checks)), **budgets_json(frontiers)}
        fail(error, failed, as_json=as_json)
    if triton is not None:
        models = write_triton(bundle, triton, overwrite=options.overwrite)
        log(f"Triton model repository {triton}: {', '.join(models)}")
    if c_folder is not None:
        _write_c(bundle, c_folder, overwrite=options.overwrite)
    if as_json:
        emit_json({**_document(bundle, checks), **budgets_json(frontiers)})
        return
    echo_frontiers(frontiers)
    echo_checks(checks)
    click.echo()
    _echo_files(bundle)
    click.echo(f"sha256 of the bundle {bundle.digest}")
    next_step(f"aetool inspect {target}, or aetool verify {target} on the device")


def _check_c(target: Path, options: ExportOptions, reduced: Reduced, *, overwrite: bool) -> None:
    from aetool_exporters.c import check_c_folder

    if "int8" not in options.precisions or "tflite" not in options.formats or not reduced.integer_io:
        raise UsageError("--c is made from an int8 TFLite graph that takes and returns integers", hint="add --mcu")
    check_c_folder(target, overwrite=overwrite)


def _write_c(bundle: Bundle, target: Path, *, overwrite: bool) -> None:
    from aetool_exporters.c import write_c

    program = write_c(bundle, target, overwrite=overwrite)
    log(
        f"C99 in {target}: {program.name}_{program.function}(), constants {program.constants:,} bytes, "
        f"static arena {program.arena:,} bytes; how to build it is in {target}/README.md"
    )


def _precisions(options: ExportOptions) -> str:
    if options.budget is None:
        return " and ".join(options.precisions)
    return f"{' or '.join(options.precisions) or 'reduced precision'} such that {options.budget.budget} is kept"


def _echo_files(bundle: Bundle) -> None:
    for path, entry in bundle.manifest.files.items():
        click.echo(f"{entry.sha256}  {entry.bytes:>9,} bytes  {bundle.path}/{path}")


def _document(bundle: Bundle, checks: list[Check]) -> dict[str, object]:
    return {
        "bundle": str(bundle.path),
        "digest": bundle.digest,
        "files": {p: {"sha256": e.sha256, "bytes": e.bytes} for p, e in bundle.manifest.files.items()},
        "checks": list(map(check_json, checks)),
    }


def _tell_plan(loaded: Model, target: Path, options: ExportOptions, as_json: bool) -> None:
    reference = loaded.reference
    tensors = reference.tensors
    if as_json:
        plan = {"bundle": str(target), "formats": options.formats, "tensors": list(map(str, tensors))}
        emit_json({**plan, "parameters": reference.parameters})
        return
    click.echo(f"would write {target} with {' and '.join(options.formats)}: " + " → ".join(map(str, tensors)))
    click.echo("parameters: " + ", ".join(f"{role} {count:,}" for role, count in reference.parameters.items()))
