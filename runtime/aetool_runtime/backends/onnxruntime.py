"""ONNX Runtime: CPU and CUDA."""

from __future__ import annotations

import ctypes
from typing import Any

from aetool_runtime.backends.onnx_scan import refuse_external_data
from aetool_runtime.errors import BackendError, DependencyError, DeviceError
from aetool_runtime.specs import Array, Artifact

__all__ = ["OnnxRuntimeBackend"]

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_FATAL_ONLY = 4


class OnnxRuntimeBackend:
    """Runs ONNX artifacts. A session's ``run`` is thread-safe, so one session serves every thread."""

    name = "onnxruntime"
    formats = ("onnx",)

    def __init__(self) -> None:
        self._engine = _import_engine()

    def devices(self) -> tuple[str, ...]:
        compiled_in = _PROVIDERS["cuda"] in self._engine.get_available_providers()
        return ("cuda", "cpu") if compiled_in and _cuda_devices() else ("cpu",)

    def load(self, data: bytes, artifact: Artifact, *, device: str, threads: int) -> OnnxRuntimeGraph:
        where = f"{artifact} ({artifact.path})"
        refuse_external_data(data, where)
        provider = self._provider(device)
        options = self._engine.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _FATAL_ONLY
        # Else ONNX Runtime also takes its own format, which was not looked through for external tensors.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        if device != "cpu":
            # Without this ONNX Runtime quietly runs on the CPU what the device does not take.
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
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
    """A session with its names bound."""

    def __init__(self, session: Any, artifact: Artifact) -> None:
        self._session = session
        self._run = session.run
        self._input = artifact.inputs[0].name
        self._outputs = [output.name for output in artifact.outputs]
        self._where = str(artifact)

    def run(self, array: Array) -> tuple[Array, ...]:
        try:
            return self._run(self._outputs, {self._input: array})  # type: ignore[no-any-return]
        except Exception as error:
            raise BackendError(f"ONNX Runtime failed ({_first_line(error)})", where=self._where) from error

    def close(self) -> None:
        self._run = _closed
        self._session = None


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
