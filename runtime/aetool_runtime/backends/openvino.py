"""OpenVINO: CPU."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from aetool_runtime.backends.onnx_scan import refuse_external_data
from aetool_runtime.backends.pool import Pool
from aetool_runtime.errors import BackendError, DependencyError, DeviceError
from aetool_runtime.specs import Array, Artifact

__all__ = ["OpenVinoBackend"]

_SMALL = 1 << 14  # bytes of an input; below, filling a buffer that is bound is quicker than binding the caller's memory
_TELEMETRY = "openvino_telemetry"


class OpenVinoBackend:
    """Runs ONNX artifacts at the precision that they have: OpenVINO alone would take bfloat16 where the CPU has it."""

    name = "openvino"
    formats = ("onnx",)

    def __init__(self) -> None:
        self._engine = _import_engine()

    def devices(self) -> tuple[str, ...]:
        return ("cpu",)

    def load(self, data: bytes, artifact: Artifact, *, device: str, threads: int) -> OpenVinoGraph:
        where = f"{artifact} ({artifact.path})"
        refuse_external_data(data, where)
        if device not in self.devices():
            raise DeviceError(f"OpenVINO has no device {device!r} here", expected="cpu", hint="use device='cpu'")
        core, every = self._engine.Core(), os.cpu_count() or 1
        options = {
            "INFERENCE_PRECISION_HINT": "f32",
            "EXECUTION_MODE_HINT": "ACCURACY",
            "INFERENCE_NUM_THREADS": threads or every,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
        }
        names = [output.name for output in artifact.outputs]

        def make() -> _Request:
            # A compiled model runs as many calls at once as it has streams, and with one it is quickest for one call.
            compiled = core.compile_model(model, "CPU", options)
            return _Request(self._engine.Tensor, compiled, artifact.inputs[0].name, names)

        try:
            model = core.read_model(model=data)
            first = make()
        except Exception as error:
            raise BackendError(
                f"OpenVINO {self._engine.__version__} cannot load the graph ({_reason(error)})",
                where=where,
                hint="update openvino, or use backend='onnxruntime'",
            ) from error
        return OpenVinoGraph(Pool(first, make, every), artifact)


class OpenVinoGraph:
    """A graph, compiled once for each thread that runs it at the same time."""

    def __init__(self, requests: Pool[_Request], artifact: Artifact) -> None:
        self._requests = requests
        self._where = str(artifact)

    def run(self, array: Array) -> tuple[Array, ...]:
        try:
            request = self._requests.take()
            try:
                return request.run(array)
            finally:
                self._requests.give(request)
        except Exception as error:
            raise BackendError(f"OpenVINO failed ({_reason(error)})", where=self._where) from error

    def close(self) -> None:
        self._requests.close()


class _Request:
    """One compiled model, ready to run; for one thread at a time."""

    def __init__(self, tensor: Any, compiled: Any, name: str, names: Sequence[str]) -> None:
        self._tensor = tensor
        self._request = compiled.create_infer_request()
        self._input = compiled.input(name)
        self._outputs = [compiled.output(output) for output in names]
        self._buffer: Array | None = None

    def run(self, array: Array) -> tuple[Array, ...]:
        if array.nbytes <= _SMALL or not array.flags.writeable:
            self._fill(array)
            self._request.infer()
        else:
            self._bind(array)
            try:
                self._request.infer()
            finally:  # else it would keep the caller's array alive, and all that it is a part of
                self._bind(np.zeros((1, *array.shape[1:]), array.dtype))
        return tuple([self._request.get_tensor(output).data.copy() for output in self._outputs])

    def _fill(self, array: Array) -> None:
        if self._buffer is None or (self._buffer.shape, self._buffer.dtype) != (array.shape, array.dtype):
            buffer = np.empty(array.shape, array.dtype)
            self._bind(buffer)
            self._buffer = buffer
        self._buffer[...] = array

    def _bind(self, array: Array) -> None:
        self._buffer = None
        self._request.set_tensor(self._input, self._tensor(array, shared_memory=True))


def _import_engine() -> Any:
    """Import OpenVINO without what reports the import to its makers: nothing of ours reports anything.

    Where that package is missing OpenVINO goes on without it, so it is made to look missing.
    """
    silenced = _TELEMETRY not in sys.modules
    if silenced:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        import openvino
    except ImportError as error:
        raise DependencyError(
            f"OpenVINO cannot be imported ({error})", hint="pip install 'aetool[openvino]'"
        ) from error
    finally:
        if silenced:
            sys.modules.pop(_TELEMETRY, None)
    return openvino


def _reason(error: Exception) -> str:
    """The last line of those that do not only tell the place in OpenVINO's own code: the first ones do."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = [line for line in lines if line and not line.startswith(("Exception from ", "Check '"))]
    return (told[-1] if told else next(filter(None, lines), type(error).__name__))[:300]
