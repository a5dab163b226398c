"""Ranges of the tensors of float graphs, measured on a stream of samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx

from aetool_exporters.quantization.affine import Range
from aetool_exporters.quantization.ranges import RangeObserver, make_observer
from aetool_exporters.request import Calibration
from aetool_runtime.errors import DependencyError, InputError
from aetool_runtime.specs import Array, Role

__all__ = ["measure"]

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
    observed = {role: _Observed(graph, wanted[role], calibration.method) for role, graph in graphs.items()}
    for samples in _pieces(calibration):
        latent = None
        for role, graph in observed.items():
            made = graph.update(samples if latent is None or role != "decoder" else latent)
            latent = made if role == "encoder" else latent
    return {role: graph.ranges() for role, graph in observed.items()}


def _pieces(calibration: Calibration) -> Iterator[Array]:
    for batch in calibration.batches():
        for start in range(0, len(batch), _BATCH):
            yield batch[start : start + _BATCH]


class _Observed:
    """A graph that shows its inner tensors."""

    def __init__(self, model: onnx.ModelProto, names: Sequence[str], method: str) -> None:
        self._given = model.graph.input[0]
        self._outputs = [tensor.name for tensor in model.graph.output]
        self._observers: dict[str, RangeObserver] = {name: make_observer(method) for name in names}
        self._session = _session(model, [name for name in names if name not in (*self._outputs, self._given.name)])

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
        for name, observer in self._observers.items():
            observer.update((fed | made)[name])
        first: Array = made[self._outputs[0]]
        return first

    def ranges(self) -> dict[str, Range]:
        return {name: observer.range() for name, observer in self._observers.items()}


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
