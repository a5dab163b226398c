"""Walks an artifact's layers beside Keras's, and says where they part and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from aetool_exporters.cases import Samples
from aetool_exporters.drift.alignment import align
from aetool_exporters.drift.judging import Judge
from aetool_exporters.drift.measure import best_fit, ratio
from aetool_exporters.drift.program import Program, as_array, build_program
from aetool_exporters.drift.progress import Match
from aetool_exporters.drift.report import Cause, DriftReport
from aetool_exporters.drift.trace import Trace
from aetool_exporters.judgement import EXACT
from aetool_exporters.reference import Reference
from aetool_exporters.verification import check_tensors
from aetool_runtime.backends import available_backends, load_graph
from aetool_runtime.bundle import Bundle
from aetool_runtime.errors import DependencyError, UsageError
from aetool_runtime.parity import MAX_SNR
from aetool_runtime.specs import Array, Artifact

__all__ = ["find_drift"]

_CONFIDENT: Mapping[str, float] = {"float32": 70.0, "float16": 40.0, "int16x8": 30.0}
_CONFIDENT_OTHERWISE = 22.0
_DOUBTFUL = 0.5  # of that
_SAMPLES = 31  # a prime: no other dimension is taken for the batch
_MOST_BYTES = 512 << 20
_ROUNDING = 10.0
_ENGINE = 20.0  # dB between the walk and the engine's own way, from which integers must have saturated


@dataclass(frozen=True)
class _Side:
    """One artifact, traced and matched."""

    trace: Trace
    matches: list[Match]


def find_drift(
    bundle: Bundle, reference: Reference, artifact: Artifact, samples: Samples, tolerance: float | None = None
) -> DriftReport:
    """Hold an artifact against the model it was exported from, layer by layer.

    Args:
        bundle: whose float32 artifact of the same role and format is walked too, for comparison.
        samples: real ones; at most 31 are used, fewer where the layers' outputs are large.
        tolerance: dB that every layer must keep, alone and with those before it; ``None`` for what its precision
            usually keeps.

    Raises:
        ModelError: the model has other tensors than the bundle.
        UsageError: a format that cannot be walked.
        DependencyError: what runs the format is not installed.
        BackendError: the engine cannot load or run the graph.
    """
    check_tensors(bundle, reference)
    program = build_program(reference, artifact.role)
    array = _few(program, np.asarray(samples.values, reference.given.dtype), artifact, reference)
    truth = {slot: as_array(value) for slot, value in program.run(array).items()}
    judge = Judge(
        program,
        truth,
        artifact,
        reference.normalization,
        bundle.manifest.golden.scales,
        tolerance,
        _confident(artifact),
    )
    side = _walk(bundle, program, artifact, array)
    exact = _exact_sibling(bundle, artifact)
    beside = [] if exact is None else _walk(bundle, program, exact, array).matches
    sound = {match.layer: judge.ratio(program.operations[match.layer].output, match.met) for match in beside}
    rows = [judge.row(side.trace, match, sound.get(match.layer)) for match in side.matches]
    rows = judge.with_contributions(side.trace, side.matches, rows)
    if side.trace.tensors[0].grid is not None:
        rows.insert(0, judge.input_row(array, side.trace.tensors[0]))
    engine, notes = _engine(bundle, artifact, array, side.trace, judge)
    return DriftReport(
        artifact, judge.limit, judge.limit_so_far, len(array), tuple(rows), judge.by_value, engine, notes
    )


def _few(program: Program, values: Array, artifact: Artifact, reference: Reference) -> Array:
    """As many samples as fit; latents, where the artifact is a decoder that stands behind an encoder."""
    if artifact.role == "decoder" and reference.encoder is not None:
        values = reference.compute("encoder", values[:_SAMPLES])
    one = sum(as_array(value).nbytes for value in program.run(values[:1]).values())
    return values[: max(1, min(_SAMPLES, _MOST_BYTES // max(1, 4 * one)))]


def _walk(bundle: Bundle, program: Program, artifact: Artifact, array: Array) -> _Side:
    trace = _trace(bundle, artifact, array)
    confident = _confident(artifact)
    return _Side(trace, align(program, trace, array, confident=confident, doubtful=_DOUBTFUL * confident))


def _confident(artifact: Artifact) -> float:
    return _CONFIDENT.get(artifact.precision, _CONFIDENT_OTHERWISE)


def _trace(bundle: Bundle, artifact: Artifact, array: Array) -> Trace:
    data = bundle.read(artifact.path)
    beside = bundle.read(artifact.external_data) if artifact.external_data else None
    try:
        if artifact.format == "onnx":
            from aetool_exporters.drift.onnx_trace import trace_onnx

            return trace_onnx(data, artifact, array, beside)
        if artifact.format == "tflite":
            from aetool_exporters.drift.tflite_trace import trace_tflite

            return trace_tflite(data, artifact, array)
    except ImportError as error:
        raise DependencyError(
            f"{artifact.format} cannot be walked here ({error})", hint="pip install 'aetool[export,cpu,litert]'"
        ) from error
    raise UsageError(f"the layers of {artifact.format} cannot be walked", expected="an artifact in onnx or tflite")


def _exact_sibling(bundle: Bundle, artifact: Artifact) -> Artifact | None:
    if artifact.precision == EXACT:
        return None
    key = (artifact.role, artifact.format, EXACT)
    return next((a for a in bundle.manifest.artifacts if (a.role, a.format, a.precision) == key), None)


def _engine(
    bundle: Bundle, artifact: Artifact, array: Array, trace: Trace, judge: Judge
) -> tuple[float, tuple[Cause, ...]]:
    """The first output of every engine here, run as a device does, against the walk, which goes node by node."""
    spec, given = artifact.outputs[0], artifact.inputs[0]
    walked = trace.tensors[trace.returned[spec.name]].values
    slot = judge.program.returned[spec.name]
    truth, least, notes = judge.truth[slot], MAX_SNR, []
    fit = best_fit(truth, walked)
    if fit is None:
        return least, ()
    # Engines may round differently, which is worth as much as the steps are coarse.
    wanted = min(_ENGINE, judge.ratio(slot, fit.values) - _ROUNDING)
    for backend in available_backends(artifact.format):
        graph = load_graph(backend, artifact, bundle.read, device="cpu", threads=1)
        try:
            met = spec.real(graph.run(given.stored(array))[0])
        finally:
            graph.close()
        reached = ratio(fit.values, met.reshape(fit.values.shape), judge.scales[spec.name])
        least = min(least, reached)
        if reached < wanted and not judge.holds(fit.values, met, reached, wanted, spec.name):
            notes.append(_engine_note(backend.name, reached))
    return least, tuple(notes)


def _engine_note(name: str, reached: float) -> Cause:
    what = (
        f"{name} returns something else when it may fuse nodes ({reached:.1f} dB against the graph, node by node): "
        "sums of 8-bit products saturate on processors without VNNI, and a bias counts in steps of input times weight"
    )
    return Cause(
        "engine", what, "export again with weights of reduced range or unsigned ones, or run on another engine"
    )
