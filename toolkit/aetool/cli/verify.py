"""``aetool verify BUNDLE``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from aetool.cli.checks import echo_checks
from aetool.cli.model_options import model_options
from aetool.cli.output import emit_json, fail, log, next_step
from aetool_runtime.bundle import Bundle, open_bundle
from aetool_runtime.errors import ParityError, UnavailableError, UsageError
from aetool_runtime.report import check_json
from aetool_runtime.selftest import Check, self_test

if TYPE_CHECKING:
    from aetool.model_request import ModelRequest

__all__ = ["command"]


@click.command("verify")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--against", type=click.Path(path_type=Path), help="The checkpoint or Keras file to hold it against.")
@model_options("against")
@click.option("--data", metavar="DATA", help="With --against: real samples. [default: the checkpoint's held-out ones]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def command(bundle: Path, against: ModelRequest | None, data: str | None, as_json: bool) -> None:
    """Check that every graph of BUNDLE computes what Keras computed, on every engine that is installed here.

    Without --against (or --encoder and --decoder, for a model in two files) the bundle's own golden vectors serve, and
    TensorFlow is not needed: this is the device's self-test. Exit code 5 when a check fails, 7 when a byte of the
    bundle is wrong.
    """
    if against is None and data is not None:
        raise UsageError("--data needs --against MODEL: samples alone have no expected outputs")
    opened = open_bundle(bundle)
    checks = self_test(opened) if against is None else _against(opened, against, data)
    untried = [a for a in opened.manifest.artifacts if a not in [check.artifact for check in checks]]
    if not checks:
        raise UnavailableError(
            "no engine is installed that runs any artifact of this bundle",
            where=str(bundle),
            hint="pip install 'aetool[cpu]' for ONNX, 'aetool[litert]' for TFLite",
        )
    failed = [check for check in checks if not check.passed]
    document = {"bundle": str(bundle), "digest": opened.digest, "checks": list(map(check_json, checks))}
    if not as_json:
        echo_checks(checks)
    for artifact in untried:
        log(f"not tried, for want of an engine: {artifact}")
    if failed:
        error = ParityError(
            f"{len(failed)} of {len(checks)} checks failed, the first: {failed[0].artifact} on {failed[0].backend}",
            where=str(bundle),
            hint="see the table; `aetool verify BUNDLE --against MODEL` tries more cases",
        )
        fail(error, document, as_json=as_json)
    if as_json:
        emit_json(document)
    else:
        click.echo(f"all {len(checks)} checks passed")
        next_step(f"aetool encode {bundle} DATA -o latents.npy")


def _against(bundle: Bundle, request: ModelRequest, data: str | None) -> list[Check]:
    from aetool.model import load_request, read_for
    from aetool_exporters.cases import Samples, synthetic_samples
    from aetool_exporters.verification import check_tensors, verify

    loaded = load_request(request)
    check_tensors(bundle, loaded.reference)  # before samples are made up in the bundle's range
    manifest = bundle.manifest
    samples = loaded.samples
    if data is not None:
        values = read_for(loaded.reference, data, log)
        samples = Samples(values, manifest.input_minimum, manifest.input_maximum)
    elif samples is None:
        log("no real samples were given, so made-up ones serve; better: --data FILE")
        known = (manifest.input_minimum, manifest.input_maximum) if manifest.input_minimum else ()
        samples = synthetic_samples(loaded.reference.given, *known)
    return list(verify(bundle, loaded.reference, samples))
