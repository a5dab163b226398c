"""Ranges of the tensors of float graphs, measured on a stream of samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import onnx
from numpy.typing import NDArray

from aetool_exporters.quantization.affine import Range
from aetool_exporters.quantization.ranges import make_observer
from aetool_exporters.request import Calibration
from aetool_runtime.errors import DependencyError, InputError
from aetool_runtime.specs import Array, Role

__all__ = ["measure", "measure_channels"]

_BATCH = 32
"""Samples at a time: every tensor of every graph is in memory for so many."""


def measure(
    graphs: Mapping[Role, onnx.ModelProto], wanted: Mapping[Role, Sequence[str]], calibration: Calibration
) -> dict[Role, dict[str, Range]]:
    """Run float graphs on the samples.

    Args:
        graphs: by role. A decoder beside an encoder is fed with the latents that the encoder makes.
        wanted: by role, the tensors whose ranges are asked for.

    Returns:
        The ranges by role and tensor.

    Raises:
        InputError: no samples, or not such as the graphs take.
        DependencyError: ONNX Runtime is not installed.
    """
    watchers = {role: {name: make_observer(calibration.method) for name in wanted[role]} for role in graphs}
    _run(graphs, watchers, calibration)
    return {role: {name: watcher.range() for name, watcher in watching.items()} for role, watching in watchers.items()}


def measure_channels(
    graphs: Mapping[Role, onnx.ModelProto], wanted: Mapping[Role, Sequence[str]], calibration: Calibration
) -> dict[Role, dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]]:
    """The same for each channel of tensors [batch, channels, …]: the smallest and largest of a piece, on average.

    Raises:
        InputError, DependencyError: as for ``measure``.
    """
    watchers = {role: {name: _Channels() for name in wanted[role]} for role in graphs}
    if any(watchers.values()):
        _run(graphs, watchers, calibration)
    return {role: {name: watcher.range() for name, watcher in watching.items()} for role, watching in watchers.items()}


class _Watcher(Protocol):
    def update(self, values: Array) -> None: ...


class _Channels:
    """Smallest and largest value of each channel, averaged over pieces: one outlier in a long stream hardly counts."""

    def __init__(self) -> None:
        self._lowest: NDArray[np.float64] = np.zeros(1)
        self._highest: NDArray[np.float64] = np.zeros(1)
        self._pieces = 0

    def update(self, values: Array) -> None:
        others = tuple(axis for axis in range(values.ndim) if axis != 1)
        self._lowest = self._lowest + values.min(axis=others).astype(np.float64)
        self._highest = self._highest + values.max(axis=others).astype(np.float64)
        self._pieces += 1

    def range(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        pieces = max(self._pieces, 1)
        return self._lowest / pieces, self._highest / pieces


def _run(
    graphs: Mapping[Role, onnx.ModelProto],
    watchers: Mapping[Role, Mapping[str, _Watcher]],
    calibration: Calibration,
) -> None:
    observed = {role: _Observed(graph, watchers[role]) for role, graph in graphs.items()}
    for samples in _pieces(calibration):
        latent = None
        for role, graph in observed.items():
            made = graph.update(samples if latent is None or role != "decoder" else latent)
            latent = made if role == "encoder" else latent


def _pieces(calibration: Calibration) -> Iterator[Array]:
    for batch in calibration.batches():
        for start in range(0, len(batch), _BATCH):
            yield batch[start : start + _BATCH]


class _Observed:
    """A graph that shows its inner tensors."""

    def __init__(self, model: onnx.ModelProto, watchers: Mapping[str, _Watcher]) -> None:
        self._given = model.graph.input[0]
        self._outputs = [tensor.name for tensor in model.graph.output]
        self._watchers = watchers
        self._session = _session(model, [name for name in watchers if name not in (*self._outputs, self._given.name)])

    def update(self, samples: Array) -> Array:
        """Take one batch in; the graph's first output for it."""
        dtype = onnx.helper.tensor_dtype_to_np_dtype(self._given.type.tensor_type.elem_type)
        fed = {self._given.name: np.ascontiguousarray(samples, dtype)}
        names = [output.name for output in self._session.get_outputs()]
        try:
            made = dict(zip(names, self._session.run(names, fed), strict=True))
        except Exception as error:
            raise InputError(
                f"the samples for calibration have shape {list(samples.shape)}, which {self._given.name} does not take",
                hint="pass raw samples, as the encoder takes them",
            ) from error
        for name, watcher in self._watchers.items():
            watcher.update((fed | made)[name])
        first: Array = made[self._outputs[0]]
        return first


def _session(model: onnx.ModelProto, names: Sequence[str]) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise DependencyError(
            f"ranges are measured by ONNX Runtime, which is not here ({error})", hint="pip install 'aetool[cpu]'"
        ) from error
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(shown.SerializeToString(), options, providers=["CPUExecutionProvider"])
