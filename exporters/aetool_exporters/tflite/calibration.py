"""What values the tensors of a float graph take on calibration data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from aetool_exporters.quantization.affine import Range
from aetool_exporters.quantization.ranges import RangeObserver, make_observer
from aetool_exporters.reference import Reference
from aetool_exporters.request import Calibration
from aetool_exporters.tflite.editing import GraphEditor, operator_name
from aetool_exporters.tflite.flatbuffer import read
from aetool_exporters.tflite.kernels import WEIGHTED
from aetool_exporters.tflite.meetings import meetings_of
from aetool_runtime.errors import InputError
from aetool_runtime.specs import Array

__all__ = ["Calibrated", "Statistics", "calibrate"]

_MOST_SAMPLES = 1000
_MOST_BYTES = 1 << 28
_TOGETHER = 1 << 18  # values that are handed to an observer at once


@dataclass(frozen=True)
class Statistics:
    """Of one tensor.

    Args:
        range: what its integers should cover.
        mean, variance: [channels], of each index of the last axis.
    """

    range: Range
    mean: Array
    variance: Array


@dataclass(frozen=True)
class Calibrated:
    """What was learned of a file.

    Args:
        statistics: signature → tensor → its statistics; computed float32 tensors that had values.
        rows: a kernel's buffer → [rows, inputs] that it was multiplied with.
    """

    statistics: dict[str, dict[int, Statistics]]
    rows: dict[int, Array]


def calibrate(data: bytes, reference: Reference, calibration: Calibration, dtype: str) -> Calibrated:
    """Run the float graph sample by sample and watch every tensor.

    Args:
        data: the file, without the normalization.
        reference: says how raw samples are normalized, and whether it begins with an encoder.
        dtype: the integers that the ranges are for: ``int8``, or ``int16`` with zero in the middle.

    Raises:
        InputError: no samples, or some that do not fit, or NaN.
    """
    samples = _evenly(calibration.batches(), reference)
    interpreter = Interpreter(
        model_content=data,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    model = read(data)
    latents: list[Array] = []
    result = {}
    rows: dict[int, list[Array]] = {}
    for entry in sorted(model.signatureDefs, key=lambda entry: entry.signatureKey != b"encode"):
        if entry.signatureKey == b"reconstruct":  # both others in turn
            continue
        key = entry.signatureKey.decode()
        watched = _watched(model, model.subgraphs[entry.subgraphIndex])
        observers = {index: Observer(calibration.method, dtype) for index in watched}
        kernels = Kernels(model, entry.subgraphIndex, len(samples))
        runner = interpreter.get_signature_runner(key)
        name = entry.inputs[0].name.decode()
        for sample in latents if key == "decode" and latents else samples:
            outputs = _finite(runner(**{name: sample}))
            if key == "encode":
                latents.append(outputs["latent"])
            values = {index: _value(interpreter, index, entry.subgraphIndex) for index in watched}
            for index, observer in observers.items():
                observer.add(values[index])
            kernels.add(values)
        result[key] = {
            index: found for index, observer in observers.items() if (found := observer.result()) is not None
        }
        for buffer, held in kernels.rows():
            rows.setdefault(buffer, []).append(held)
    return Calibrated(result, {buffer: np.concatenate(held) for buffer, held in rows.items()})


def _evenly(batches: Iterator[Array], reference: Reference) -> list[Array]:
    """Normalized samples [1, …], at most 1000 and 256 MiB: each of the stream is as likely to be among them."""
    generator = np.random.default_rng(0)
    kept: list[Array] = []
    seen = 0
    for batch in batches:
        for sample in batch:
            most = max(1, min(_MOST_SAMPLES, _MOST_BYTES // max(1, 4 * sample.size)))
            seen += 1
            if len(kept) < most:
                kept.append(sample)
            elif (place := int(generator.integers(seen))) < most:
                kept[place] = sample
    if not kept:
        raise InputError("no samples to calibrate with", hint="pass at least one")
    return [_normalized(np.asarray(sample)[np.newaxis], reference) for sample in kept]


def _normalized(sample: Array, reference: Reference) -> Array:
    spec = reference.given
    if not spec.takes(spec.dtype, sample.shape):
        raise InputError(
            f"a sample to calibrate with has the shape {list(sample.shape[1:])}",
            expected=f"{list(spec.sample_shape)}, as the model takes them",
        )
    raw = reference.encoder is None or reference.normalization.is_identity
    return np.ascontiguousarray(sample if raw else reference.normalization.apply(sample), spec.dtype)


def _watched(model: Any, subgraph: Any) -> list[int]:
    """Float tensors that are computed."""
    return [
        index
        for index, tensor in enumerate(subgraph.tensors)
        if tensor.type == 0 and model.buffers[tensor.buffer].data is None
    ]


def _value(interpreter: Interpreter, index: int, subgraph: int) -> Array:
    try:
        value: Array = interpreter.get_tensor(index, subgraph)
    except ValueError:  # of a loop's state the engine keeps nothing
        return np.zeros(0, np.float32)
    return value


def _finite(outputs: dict[str, Array]) -> dict[str, Array]:
    for name, values in outputs.items():
        if not np.isfinite(values).all():
            raise InputError(
                f"the model makes a {name} of it that is not finite (NaN or infinity)",
                where="the data for calibration",
                hint="leave such samples out",
            )
    return outputs


class Kernels:
    """Collects what the kernels of one graph meet."""

    def __init__(self, model: Any, subgraph: int, samples: int) -> None:
        self._editor = GraphEditor(model, model.subgraphs[subgraph])
        self._meetings = meetings_of(self._editor, samples)

    def add(self, values: Mapping[int, Array]) -> None:
        """Of one sample: tensor → its value."""
        for place, meetings in self._meetings.items():
            operator = self._editor.subgraph.operators[place]
            data = int(operator.inputs[WEIGHTED[operator_name(self._editor.model, operator)].data])
            made = values.get(int(operator.outputs[0]))
            if data in values and made is not None and values[data].size:
                meetings.add(values[data], made.shape)

    def rows(self) -> Iterator[tuple[int, Array]]:
        """A kernel's buffer and its rows."""
        for place, meetings in self._meetings.items():
            operator = self._editor.subgraph.operators[place]
            kernel = int(operator.inputs[WEIGHTED[operator_name(self._editor.model, operator)].kernel])
            if meetings.rows is not None:
                yield self._editor.subgraph.tensors[kernel].buffer, meetings.rows


class Observer:
    """Collects values, so that an observer is called seldom, and the spread of each channel."""

    def __init__(self, method: str, dtype: str) -> None:
        self._range: RangeObserver = make_observer(method, dtype=dtype, symmetric=dtype == "int16")
        self._waiting: list[Array] = []
        self._size = 0
        self._count = 0
        self._sum = self._squares = np.zeros(1)
        self._junk = False

    def add(self, value: Array) -> None:
        """Of loops the engine does not fill every tensor: some hold what lay in memory, and count for nothing."""
        self._junk = self._junk or not np.isfinite(value).all()
        if not value.size or self._junk:
            return
        self._waiting.append(np.array(value))
        self._size += value.size
        if self._size >= _TOGETHER:
            self._hand_over()

    def result(self) -> Statistics | None:
        self._hand_over()
        if self._junk or not self._count:
            return None
        mean = self._sum / self._count
        variance = np.maximum(self._squares / self._count - mean**2, 0.0)
        return Statistics(self._range.range(), mean, variance)

    def _hand_over(self) -> None:
        if not self._waiting:
            return
        channels = self._waiting[0].shape[-1] if self._waiting[0].ndim else 1
        values = np.concatenate([value.reshape(-1, channels) for value in self._waiting]).astype(np.float64)
        self._waiting, self._size = [], 0
        self._range.update(values.astype(np.float32))
        self._count += len(values)
        self._sum = self._sum + values.sum(axis=0)
        self._squares = self._squares + (values**2).sum(axis=0)
