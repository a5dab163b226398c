"""ONNX Runtime: CPU and CUDA."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from aetool_runtime.backends.onnx_scan import check_external_data, refuse_external_data
from aetool_runtime.backends.onnx_split import pointing_at_itself
from aetool_runtime.backends.ort_scan import refuse_tensors_elsewhere
from aetool_runtime.errors import BackendError, DependencyError, DeviceError
from aetool_runtime.specs import Array, Artifact

__all__ = ["OnnxRuntimeBackend"]

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_FATAL_ONLY = 4
_LARGE = 16 << 20  # bytes of a graph from which on it is not parsed as a whole
_BESIDE = "add_external_initializers_from_files_in_memory"  # of session options; not in older versions
_ITSELF = "this graph"
_SMALL = 1 << 14  # bytes of a tensor; above, a copy costs more than it saves (benchmarks/overhead.py)


class OnnxRuntimeBackend:
    """Runs graphs in ONNX and in ONNX Runtime's own format.

    A session's ``run`` is thread-safe, so one session serves every thread.
    """

    name = "onnxruntime"
    formats = ("onnx", "ort")

    def __init__(self) -> None:
        self._engine = _import_engine()

    def devices(self) -> tuple[str, ...]:
        compiled_in = _PROVIDERS["cuda"] in self._engine.get_available_providers()
        return ("cuda", "cpu") if compiled_in and _cuda_devices() else ("cpu",)

    def load(
        self, data: bytes, artifact: Artifact, *, device: str, threads: int, beside: bytes | None = None
    ) -> OnnxRuntimeGraph:
        """See ``Backend``. ``beside``: the content of ``artifact.external_data``."""
        where = f"{artifact} ({artifact.path})"
        in_own_format = artifact.format == "ort"
        location = (artifact.external_data or "").rpartition("/")[2]
        if in_own_format:
            refuse_tensors_elsewhere(data, where)
        elif beside is None:
            refuse_external_data(data, where)
        else:
            check_external_data(data, location, len(beside), where)
        provider = self._provider(device)
        options = self._engine.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _FATAL_ONLY
        # Else ONNX Runtime takes either format, whichever was looked through for external tensors.
        options.add_session_config_entry("session.load_model_format", "ORT" if in_own_format else "ONNX")
        if device != "cpu":
            # Without this ONNX Runtime quietly runs on the CPU what the device does not take.
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        if beside is not None:
            self._hand_over(options, location, beside, where)
        elif len(data) >= _LARGE and not in_own_format and hasattr(options, _BESIDE):
            self._hand_over(options, _ITSELF, data, where)
            data = pointing_at_itself(data, _ITSELF)
        try:
            session = self._engine.InferenceSession(data, options, providers=[provider])
        except Exception as error:
            raise BackendError(
                f"ONNX Runtime {self._engine.__version__} cannot load the graph ({_first_line(error)})",
                where=where,
                hint="update onnxruntime, or export with a lower --opset",
            ) from error
        if provider not in session.get_providers():
            raise DeviceError(
                f"ONNX Runtime ran on {session.get_providers()} instead of {provider}",
                where=where,
                hint="check the driver and the CUDA and cuDNN libraries, or use device='cpu'",
            )
        return OnnxRuntimeGraph(session, artifact)

    def _hand_over(self, options: Any, location: str, content: bytes, where: str) -> None:
        """Give the engine the content of the file that the graph names, so that it looks for none."""
        if not hasattr(options, _BESIDE):
            raise BackendError(
                f"ONNX Runtime {self._engine.__version__} cannot be given weights that stand beside a graph",
                where=where,
                hint="update onnxruntime",
            )
        getattr(options, _BESIDE)([location], [content], [len(content)])

    def _provider(self, device: str) -> str:
        if device not in self.devices():
            raise DeviceError(
                f"ONNX Runtime has no device {device!r} here",
                expected="one of " + ", ".join(self.devices()),
                hint="pip install 'aetool[gpu]' in place of 'aetool[cpu]' on a machine with an NVIDIA driver"
                if device == "cuda"
                else "choose one of the devices named above",
            )
        return _PROVIDERS[device]


class OnnxRuntimeGraph:
    """A session with its names bound.

    Small tensors go through buffers that are bound once for each thread: for a few KiB, filling and emptying those is
    quicker than having the engine look at the caller's memory anew. Larger inputs are read where they lie.
    """

    def __init__(self, session: Any, artifact: Artifact) -> None:
        self._session = session
        self._run = session.run
        self._input = artifact.inputs[0].name
        self._outputs = [output.name for output in artifact.outputs]
        self._where = str(artifact)
        self._thread = _PerThread()

    def run(self, array: Array) -> tuple[Array, ...]:
        try:
            bound = self._thread.bound
            if bound is not None and array.shape == bound.shape and array.dtype == bound.dtype:
                return bound.run(array)
            outputs = self._run(self._outputs, {self._input: array})
            if array.nbytes <= _SMALL:
                self._bind(array, outputs)
            return outputs  # type: ignore[no-any-return]
        except Exception as error:
            raise BackendError(f"ONNX Runtime failed ({_first_line(error)})", where=self._where) from error

    def run_into(self, array: Array, out: Array) -> None:
        if array.nbytes <= _SMALL and out.nbytes <= _SMALL:
            result = self.run(array)[0]
            if (result.shape, result.dtype) != (out.shape, out.dtype):  # else NumPy would repeat or convert it
                raise BackendError(f"{result.dtype}{list(result.shape)} came out", where=self._where)
            out[...] = result
            return
        try:
            into = self._thread.into
            if into is None or into.out is not out:
                if self._session is None:
                    _closed()
                into = self._thread.into = _BoundOutput(self._session, self._input, self._outputs, out)
            into.run(array)
        except Exception as error:
            raise BackendError(f"ONNX Runtime failed ({_first_line(error)})", where=self._where) from error

    def close(self) -> None:
        self._run = _closed
        self._session = None
        self._thread = _PerThread()  # with the old one go every thread's bindings, which hold the session

    def _bind(self, array: Array, outputs: Sequence[Array]) -> None:
        """Bind what the thread now ran with, when it has run with the same shape before: binding costs several runs."""
        thread, session = self._thread, self._session
        if thread.seen != array.shape:
            thread.seen = array.shape
        elif session is not None and sum(output.nbytes for output in outputs) <= _SMALL:
            thread.bound = _BoundBuffers(session, self._input, self._outputs, array, outputs)


class _PerThread(threading.local):
    """What a thread has bound. The classes' values are what a thread begins with."""

    seen: tuple[int, ...] | None = None
    bound: _BoundBuffers | None = None
    into: _BoundOutput | None = None


class _BoundBuffers:
    """Input and outputs of one shape, bound to buffers of our own."""

    def __init__(self, session: Any, name: str, names: Sequence[str], array: Array, outputs: Sequence[Array]) -> None:
        self.shape, self.dtype = array.shape, array.dtype
        self._given = np.empty(array.shape, array.dtype)
        self._returned = [np.empty(output.shape, output.dtype) for output in outputs]
        self._run = session.run_with_iobinding
        self._binding = session.io_binding()
        given = self._given
        self._binding.bind_input(name, "cpu", 0, given.dtype.type, given.shape, given.ctypes.data)
        for output, buffer in zip(names, self._returned, strict=True):
            self._binding.bind_output(output, "cpu", 0, buffer.dtype.type, buffer.shape, buffer.ctypes.data)

    def run(self, array: Array) -> tuple[Array, ...]:
        self._given[...] = array
        self._run(self._binding)
        return tuple([buffer.copy() for buffer in self._returned])


class _BoundOutput:
    """The first output bound to the caller's array, which is kept alive; the others are not looked at."""

    def __init__(self, session: Any, name: str, names: Sequence[str], out: Array) -> None:
        self.out = out
        self._name = name
        self._nothing: Array | None = None
        self._run = session.run_with_iobinding
        self._binding = session.io_binding()
        self._binding.bind_output(names[0], "cpu", 0, out.dtype.type, out.shape, out.ctypes.data)
        for other in names[1:]:
            self._binding.bind_output(other)

    def run(self, array: Array) -> None:
        if self._nothing is None:
            self._nothing = np.zeros((1, *array.shape[1:]), array.dtype)
        self._binding.bind_cpu_input(self._name, array)
        try:
            self._run(self._binding)
        finally:  # else it would keep the caller's array alive, and all that it is a part of
            self._binding.bind_cpu_input(self._name, self._nothing)


def _closed(*_: object) -> None:
    raise ValueError("the graph is closed")


def _import_engine() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise DependencyError(
            f"ONNX Runtime cannot be imported ({error})",
            hint="pip install 'aetool[cpu]', or 'aetool[gpu]' on a machine with an NVIDIA driver",
        ) from error
    if not hasattr(onnxruntime, "InferenceSession"):
        # onnxruntime and onnxruntime-gpu share one import package: uninstalling either empties the other.
        raise DependencyError(
            "the installed onnxruntime package is empty: onnxruntime and onnxruntime-gpu have overwritten each other",
            hint="pip uninstall onnxruntime onnxruntime-gpu, then pip install 'aetool[cpu]' or 'aetool[gpu]'",
        )
    return onnxruntime


def _cuda_devices() -> int:
    """How many CUDA devices the driver sees; ONNX Runtime itself lists CUDA on machines that have none."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
