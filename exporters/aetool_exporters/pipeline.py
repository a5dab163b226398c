"""Keras model in, verified bundle out."""

from __future__ import annotations

import shutil
from collections import ChainMap
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, cast

from aetool_exporters.budget import BudgetOptions, Frontier, Keeper, frontier_json
from aetool_exporters.bundle_writer import GOLDEN_PATH, GoldenFile, bundle_files, write_folder
from aetool_exporters.cases import Samples, Suite, golden_subset, make_suite, synthetic_samples
from aetool_exporters.complexity import count_reference
from aetool_exporters.compression import COMPRESSION_PATH, CompressionOptions, bring_compression, split_samples
from aetool_exporters.conditioning import reconsider
from aetool_exporters.guide import GUIDE_PATH, format_guide
from aetool_exporters.judgement import EXACT, Judge, Verdict, key_of
from aetool_exporters.operators import count_operators
from aetool_exporters.precision import check_precision
from aetool_exporters.reference import Reference
from aetool_exporters.request import DerivedExporter, Exported, Exporter, ExportRequest, QuantizationOptions
from aetool_exporters.subclassed import with_inputs
from aetool_runtime.atomic import check_target
from aetool_runtime.backends import load_plugin, plugin_names
from aetool_runtime.bundle import Bundle, looks_like_bundle, open_bundle
from aetool_runtime.errors import InputError, ParityError, UsageError
from aetool_runtime.manifest import Golden, Manifest
from aetool_runtime.pack import write_zip
from aetool_runtime.report import REPORT_PATH, format_report
from aetool_runtime.selftest import Check
from aetool_runtime.specs import Artifact, Normalization

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
        precisions: see ``aetool_runtime.specs.PRECISIONS``; every format is written at each that it has.
        quantization: how the reduced ones are reached.
        opset: of ONNX's default domain.
        zip: one file instead of a folder.
        golden: ``real`` to let a few of the held-out samples travel in the bundle, ``synthetic`` to keep them private.
        license: the text that the bundle carries as its licence.
        microcontroller: refuse TFLite files that an engine without floating point does not run.
        overwrite: replace what stands at the output.
        budget: of quality that may be lost: of each format the smallest artifacts that keep it are searched for among
            the reduced ``precisions`` (all that there are, where none is named) and delivered, beside ``float32`` where
            that is named. ``None`` to write every precision as it is.
        compression: what the bundle shall bring for compression; ``None`` for nothing.
    """

    formats: tuple[str, ...] = DEFAULT_FORMATS
    precisions: tuple[str, ...] = (EXACT,)
    quantization: QuantizationOptions = field(default_factory=QuantizationOptions)
    opset: int = 17
    zip: bool = False
    golden: str = "real"
    license: str | None = None
    microcontroller: bool = False
    overwrite: bool = False
    budget: BudgetOptions | None = None
    compression: CompressionOptions | None = None


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
        BudgetError: nothing of a format keeps ``options.budget``; nothing is written.
        ConversionError: a converter failed; nothing is written.
        ModelError: a subclassed model without samples, from which it would have its input's shape.
        UsageError: ``output`` exists and ``options.overwrite`` is false, or an unknown format.
        DependencyError: no backend is here to verify a format with.
    """
    encoder, decoder = with_inputs(encoder, decoder, samples)
    reference = Reference(encoder, decoder, normalization or Normalization())
    return export_reference(reference, Path(output), name, samples, options or ExportOptions())


def export_reference(
    reference: Reference,
    output: Path,
    name: str,
    samples: Samples | None,
    options: ExportOptions,
    on_check: Callable[[Check], None] = lambda check: None,
    on_notice: Callable[[str], None] = lambda notice: None,
    on_frontier: Callable[[Frontier], None] = lambda frontier: None,
) -> Bundle:
    """``export`` for a reference.

    Told are every check as it is done, what the user should know, in sentences, and what the search for a budget found.
    """
    check_output(output, overwrite=options.overwrite)
    exporters = _exporters(options.formats)
    jobs = _jobs(exporters, options)
    samples = _checked(samples, reference) if samples is not None else synthetic_samples(reference.given)
    suite = make_suite(reference, samples)
    golden = _golden_suite(reference, samples, suite, options)
    judge, verdict = _judge(suite, golden, options, on_check), Verdict()
    request = ExportRequest(name, EXACT, options.opset, samples.values.shape[1:], options.quantization)
    keeper = None
    if options.budget is not None:
        keeper = Keeper(options.budget, reference, request, options.precisions, judge, on_frontier, on_notice)
    for exporter, precision in jobs:
        exported = exporter.export(reference, replace(request, precision=precision))
        notices = [*exported.notices, *(_for_microcontroller(exported) if options.microcontroller else [])]
        for notice in notices:
            on_notice(f"{exporter.format} {precision}: {notice}")
        judge.judge(exported, verdict)
    golden, verdict = _settled(reference, judge, verdict, options, on_check, on_notice)
    frontiers = keeper.keep(exporters, verdict) if keeper else []
    if keeper and options.microcontroller:
        for notice in (sentence for exported in verdict.passed for sentence in _for_microcontroller(exported)):
            on_notice(notice)
    compression = _compression(reference, samples, verdict, options, on_notice)
    files = _contents(reference, name, samples, golden, verdict, options, frontiers, compression)
    if files:
        (write_zip if options.zip else write_folder)(output, files)
    _set_aside(_rejected(output), verdict, samples)
    if verdict.failed:
        raise _parity_error(verdict, output, bool(files))
    return open_bundle(output)


def _judge(suite: Suite, golden: Suite, options: ExportOptions, on_check: Callable[[Check], None]) -> Judge:
    """One that tells of checks at once only where none of them is made again; see ``_settled``."""
    return Judge(suite, golden, on_check) if options.budget is not None else Judge(suite, golden)


def _settled(
    reference: Reference,
    judge: Judge,
    verdict: Verdict,
    options: ExportOptions,
    on_check: Callable[[Check], None],
    on_notice: Callable[[str], None],
) -> tuple[Suite, Verdict]:
    """The cases for the bundle and the verdict, after a second look at what failed, unless a budget is searched for."""
    golden = judge.golden
    if options.budget is not None:
        return golden, verdict
    if verdict.failed:
        golden, verdict = reconsider(reference, judge, verdict, on_notice)
    for check in verdict.checks:
        on_check(check)
    return golden, verdict


def _for_microcontroller(exported: Exported) -> list[str]:
    """What TFLite files need of a microcontroller; refuses those that do not run on one."""
    files = [exported.files[path] for path in exported.files if path.endswith(".tflite")]
    if not files:
        return []
    from aetool_exporters.tflite.microcontroller import activation_arena, refuse_obstacles

    for data in files:
        refuse_obstacles(data)
    arena = max(map(activation_arena, files))
    return [f"runs without floating point; activations take at least {arena:,} bytes beside the weights"]


def check_output(output: Path, *, overwrite: bool) -> None:
    """Refuse early an output that exists, or that is no bundle and so must not be replaced; see ``check_target``."""
    check_target(output, overwrite=overwrite, replaceable=looks_like_bundle, kind="a bundle")
    check_target(_rejected(output), overwrite=True, replaceable=_is_rejected, kind="what an export set aside")


def exporter_names() -> list[str]:
    """The formats that there are exporters for, without importing any."""
    return plugin_names(_GROUP)


def _jobs(exporters: Sequence[Exporter], options: ExportOptions) -> list[tuple[Exporter, str]]:
    """Every format at every precision that it has; each precision must be one of at least one format.

    Where a budget is to be kept, the search decides about reduced ones.
    """
    for precision in options.precisions:
        if not any(precision in exporter.precisions for exporter in exporters):
            known = dict.fromkeys(name for exporter in exporters for name in exporter.precisions)
            check_precision(" or ".join(options.formats), tuple(known), precision)
    wanted = [name for name in options.precisions if options.budget is None or name == EXACT]
    return [(exporter, name) for exporter in exporters for name in wanted if name in exporter.precisions]


def _exporters(formats: Sequence[str]) -> list[Exporter]:
    """One for each format; those that rewrite another's files share its exporter, and so its graphs."""
    exporters = [_exporter(name) for name in formats]
    by_format = {exporter.format: exporter for exporter in exporters}
    for exporter in exporters:
        if isinstance(exporter, DerivedExporter) and exporter.based_on in by_format:
            exporter.derive_from(by_format[exporter.based_on])
    return exporters


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


def _contents(
    reference: Reference,
    name: str,
    samples: Samples,
    golden: Suite,
    verdict: Verdict,
    options: ExportOptions,
    frontiers: Sequence[Frontier],
    compression: Mapping[str, bytes],
) -> Mapping[str, bytes]:
    """Every file of the bundle; none when nothing passed."""
    if not verdict.passed:
        return {}
    graphs = ChainMap({}, *(cast(MutableMapping[str, bytes], exported.files) for exported in verdict.passed))
    golden_file = GoldenFile()
    cases = tuple(map(golden_file.place, golden_subset(golden)))
    artifacts = tuple(_described(a, verdict, golden_file, graphs) for e in verdict.passed for a in e.artifacts)
    manifest = Manifest(
        name=name,
        artifacts=artifacts,
        files={},
        golden=Golden(GOLDEN_PATH, golden.scales, cases),
        normalization=reference.normalization,
        input_minimum=samples.minimum if reference.encoder is not None else (),  # a decoder's samples are latents
        input_maximum=samples.maximum if reference.encoder is not None else (),
        parameters=reference.parameters,
        created_with=_versions(),
        latent_prior=reference.latent_prior,
        tokenizer=reference.tokenizer,
        complexity=count_reference(reference, samples.values.shape[1:]),
        compression=COMPRESSION_PATH if compression else "",
    )
    kept = [check for check in verdict.checks if any(check.artifact in e.artifacts for e in verdict.passed)]
    files = {
        GOLDEN_PATH: golden_file.data,
        REPORT_PATH: format_report(kept, real=samples.real, budgets=[frontier_json(f, timed=False) for f in frontiers]),
        GUIDE_PATH: format_guide(manifest),
    }
    if options.license is not None:
        files[LICENSE_PATH] = options.license.encode()
    return bundle_files(manifest, ChainMap({**files, **compression}, graphs))


def _compression(
    reference: Reference, samples: Samples, verdict: Verdict, options: ExportOptions, on_notice: Callable[[str], None]
) -> Mapping[str, bytes]:
    """The files for compression; none where they are not wanted, or no graph passed."""
    if options.compression is None or not verdict.passed:
        return {}
    calibration = options.quantization.calibration
    training, held_out = split_samples(options.compression, reference.rate, calibration, samples)
    return bring_compression(reference, verdict.passed, held_out, training, options.compression, on_notice)


def _described(artifact: Artifact, verdict: Verdict, golden_file: GoldenFile, files: Mapping[str, bytes]) -> Artifact:
    """With its own golden vectors, and what it is made of."""
    own = verdict.own_cases.get(key_of(artifact), ())
    return replace(
        artifact, cases=tuple(map(golden_file.place, own)), operators=count_operators(artifact, files[artifact.path])
    )


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


def _set_aside(folder: Path, verdict: Verdict, samples: Samples) -> None:
    """Keep what failed beside the bundle for a look; take away what an earlier run left there."""
    if verdict.failed:
        report = {REPORT_PATH: format_report(verdict.checks, real=samples.real)}
        failed = (cast(MutableMapping[str, bytes], exported.files) for exported in verdict.failed)
        write_folder(folder, ChainMap(report, *failed))
    elif _is_rejected(folder):
        shutil.rmtree(folder)


def _rejected(output: Path) -> Path:
    return Path(f"{output}.rejected")


def _is_rejected(folder: Path) -> bool:
    return (folder / REPORT_PATH).is_file()


def _parity_error(verdict: Verdict, output: Path, written: bool) -> ParityError:
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
    missed = [str(outcome) for outcome in check.fidelity if not outcome.passed]
    if missed:
        return missed[0]
    return "nothing could be compared" if check.worst is None else str(check.worst)
