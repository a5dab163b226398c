"""Keras model in, verified bundle out."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, cast

from aetool_exporters.bundle_writer import bundle_files, make_golden, write_folder
from aetool_exporters.cases import Samples, Suite, golden_subset, make_suite, synthetic_samples
from aetool_exporters.complexity import count_reference
from aetool_exporters.guide import GUIDE_PATH, format_guide
from aetool_exporters.reference import Reference
from aetool_exporters.request import Exported, Exporter, ExportRequest
from aetool_runtime.atomic import check_target
from aetool_runtime.backends import load_plugin, plugin_names
from aetool_runtime.bundle import Bundle, looks_like_bundle, open_bundle
from aetool_runtime.errors import DependencyError, InputError, ParityError, UsageError
from aetool_runtime.manifest import Manifest
from aetool_runtime.pack import write_zip
from aetool_runtime.report import REPORT_PATH, format_report
from aetool_runtime.selftest import Check, check_artifacts
from aetool_runtime.specs import Normalization

if TYPE_CHECKING:
    import keras

__all__ = ["DEFAULT_FORMATS", "ExportOptions", "check_output", "export", "export_reference", "exporter_names"]

DEFAULT_FORMATS = ("onnx", "tflite")
LICENSE_PATH = "LICENSE"
_GROUP = "aetool.exporters"
_PACKAGES = ("aetool", "keras", "onnx", "onnxslim", "tensorflow", "tf2onnx")


@dataclass(frozen=True)
class ExportOptions:
    """What to make, and how.

    Args:
        formats: names of exporters.
        precision: see ``aetool_runtime.specs.PRECISIONS``.
        opset: of ONNX's default domain.
        zip: one file instead of a folder.
        golden: ``real`` to let a few of the held-out samples travel in the bundle, ``synthetic`` to keep them private.
        license: the text that the bundle carries as its licence.
        overwrite: replace what stands at the output.
    """

    formats: tuple[str, ...] = DEFAULT_FORMATS
    precision: str = "float32"
    opset: int = 17
    zip: bool = False
    golden: str = "real"
    license: str | None = None
    overwrite: bool = False


@dataclass
class _Verdict:
    """What passed, what did not, and every check on the way."""

    passed: list[Exported] = field(default_factory=list)
    failed: list[Exported] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)


def export(
    encoder: keras.Model | None,
    decoder: keras.Model | None,
    output: str | Path,
    *,
    name: str = "autoencoder",
    normalization: Normalization | None = None,
    samples: Samples | None = None,
    options: ExportOptions | None = None,
) -> Bundle:
    """Export a Keras encoder and decoder as a verified bundle.

    Args:
        encoder: normalized input [batch, …] → latent [batch, …]; ``None`` for the decoder alone.
        decoder: latent → normalized reconstruction; ``None`` for the encoder alone.
        output: the bundle's folder or file, usually ``NAME.aepkg``.
        name: the model's name, for the manifest and the graphs' metadata.
        normalization: becomes part of the graphs; ``None`` for models that take raw values.
        samples: raw held-out samples to verify with; ``None`` for synthetic ones, a weaker proof.

    Raises:
        ParityError: an artifact does not compute what Keras computes. What passed is in the bundle, the rest beside it
            in ``OUTPUT.rejected``.
        ConversionError: a converter failed; nothing is written.
        UsageError: ``output`` exists and ``options.overwrite`` is false, or an unknown format.
        DependencyError: no backend is here to verify a format with.
    """
    reference = Reference(encoder, decoder, normalization or Normalization())
    return export_reference(reference, Path(output), name, samples, options or ExportOptions())


def export_reference(
    reference: Reference,
    output: Path,
    name: str,
    samples: Samples | None,
    options: ExportOptions,
    on_check: Callable[[Check], None] = lambda check: None,
) -> Bundle:
    """``export`` for a reference; ``on_check`` is told of every check as it is done."""
    check_output(output, overwrite=options.overwrite)
    exporters = {name: _exporter(name) for name in options.formats}
    samples = _checked(samples, reference) if samples is not None else synthetic_samples(reference.given)
    suite = make_suite(reference, samples)
    request = ExportRequest(name, options.precision, options.opset, samples.values.shape[1:])
    verdict = _Verdict()
    for exporter in exporters.values():
        _judge(exporter.export(reference, request), suite, verdict, on_check)
    files = _contents(reference, name, samples, suite, verdict, options)
    if files:
        (write_zip if options.zip else write_folder)(output, files)
    _set_aside(_rejected(output), verdict, samples)
    if verdict.failed:
        raise _parity_error(verdict, output, bool(files))
    return open_bundle(output)


def check_output(output: Path, *, overwrite: bool) -> None:
    """Refuse early an output that exists, or that is no bundle and so must not be replaced; see ``check_target``."""
    check_target(output, overwrite=overwrite, replaceable=looks_like_bundle, kind="a bundle")
    check_target(_rejected(output), overwrite=True, replaceable=_is_rejected, kind="what an export set aside")


def exporter_names() -> list[str]:
    """The formats that there are exporters for, without importing any."""
    return plugin_names(_GROUP)


def _exporter(name: str) -> Exporter:
    if name not in exporter_names():
        raise UsageError(f"no exporter for the format {name!r}", expected="one of " + ", ".join(exporter_names()))
    return cast(Exporter, load_plugin(_GROUP, name)())


def _checked(samples: Samples, reference: Reference) -> Samples:
    shape = samples.values.shape[1:]
    wanted = reference.given.sample_shape
    fits = len(shape) == len(wanted) and all(w in (None, s) for w, s in zip(wanted, shape, strict=True))
    if not fits or not len(samples.values):
        raise InputError(
            f"the samples have shape {list(samples.values.shape)}", expected=f"at least one of {list(wanted)}"
        )
    return samples


def _judge(exported: Exported, suite: Suite, verdict: _Verdict, on_check: Callable[[Check], None]) -> None:
    checks = []
    for check in check_artifacts(exported.artifacts, exported.files.__getitem__, suite.cases, suite.scales):
        on_check(check)
        checks.append(check)
    untried = [artifact for artifact in exported.artifacts if artifact not in [check.artifact for check in checks]]
    if untried:
        raise DependencyError(
            f"no backend is here to verify {untried[0].format} with, and nothing is shipped unverified",
            hint="pip install 'aetool[cpu]' for ONNX, 'aetool[litert]' for TFLite, or leave the format out",
        )
    verdict.checks += checks
    (verdict.passed if all(check.passed for check in checks) else verdict.failed).append(exported)


def _contents(
    reference: Reference, name: str, samples: Samples, suite: Suite, verdict: _Verdict, options: ExportOptions
) -> dict[str, bytes]:
    """Every file of the bundle; none when nothing passed."""
    if not verdict.passed:
        return {}
    graphs = {path: data for exported in verdict.passed for path, data in exported.files.items()}
    golden, golden_bytes = make_golden(golden_subset(_golden_suite(reference, samples, suite, options)), suite.scales)
    manifest = Manifest(
        name=name,
        artifacts=tuple(artifact for exported in verdict.passed for artifact in exported.artifacts),
        files={},
        golden=golden,
        normalization=reference.normalization,
        input_minimum=samples.minimum if reference.encoder is not None else (),  # a decoder's samples are latents
        input_maximum=samples.maximum if reference.encoder is not None else (),
        parameters=reference.parameters,
        created_with=_versions(),
        latent_prior=reference.latent_prior,
        tokenizer=reference.tokenizer,
        complexity=count_reference(reference, samples.values.shape[1:]),
    )
    kept = [check for check in verdict.checks if check.artifact in manifest.artifacts]
    files = {
        **graphs,
        golden.path: golden_bytes,
        REPORT_PATH: format_report(kept, real=samples.real),
        GUIDE_PATH: format_guide(manifest),
    }
    if options.license is not None:
        files[LICENSE_PATH] = options.license.encode()
    return bundle_files(manifest, files)


def _golden_suite(reference: Reference, samples: Samples, suite: Suite, options: ExportOptions) -> Suite:
    if options.golden == "real":
        return suite
    return make_suite(reference, synthetic_samples(reference.given, samples.minimum, samples.maximum))


def _versions() -> Mapping[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _set_aside(folder: Path, verdict: _Verdict, samples: Samples) -> None:
    """Keep what failed beside the bundle for a look; take away what an earlier run left there."""
    if verdict.failed:
        files = {path: data for exported in verdict.failed for path, data in exported.files.items()}
        write_folder(folder, {**files, REPORT_PATH: format_report(verdict.checks, real=samples.real)})
    elif _is_rejected(folder):
        shutil.rmtree(folder)


def _rejected(output: Path) -> Path:
    return Path(f"{output}.rejected")


def _is_rejected(folder: Path) -> bool:
    return (folder / REPORT_PATH).is_file()


def _parity_error(verdict: _Verdict, output: Path, written: bool) -> ParityError:
    failed = [check for check in verdict.checks if not check.passed]
    return ParityError(
        f"{len(failed)} of {len(verdict.checks)} checks failed; the first: {failure(failed[0])}",
        where=str(output),
        expected="every artifact to compute what Keras computes",
        hint=f"look into {_rejected(output)}"
        + ("; the bundle holds the formats that passed" if written else "; no bundle was written"),
    )


def failure(check: Check) -> str:
    """One line on why a check failed."""
    return f"{check.artifact} on {check.backend}/{check.device}: " + _reason(check)


def _reason(check: Check) -> str:
    if check.error is not None:
        return check.error.what
    return "nothing could be compared" if check.worst is None else str(check.worst)
