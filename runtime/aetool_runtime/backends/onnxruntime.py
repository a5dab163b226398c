"""ONNX Runtime: CPU, CUDA and TensorRT."""

from __future__ import annotations

from typing import Any

from aetool_runtime.backends import Graph
from aetool_runtime.backends.onnx_binding import OnnxRuntimeGraph, first_line
from aetool_runtime.backends.onnx_devices import (
    Device,
    check_device,
    devices_here,
    provider_options,
    provider_problem,
)
from aetool_runtime.backends.onnx_gpu import CapturedGraph, GpuGraph
from aetool_runtime.backends.onnx_scan import check_external_data, refuse_external_data
from aetool_runtime.backends.onnx_split import pointing_at_itself
from aetool_runtime.backends.ort_scan import refuse_tensors_elsewhere
from aetool_runtime.errors import BackendError, DependencyError, DeviceError
from aetool_runtime.specs import Artifact

__all__ = ["OnnxRuntimeBackend"]

_FATAL_ONLY = 4
_LARGE = 16 << 20  # bytes of a graph from which on it is not parsed as a whole
_BESIDE = "add_external_initializers_from_files_in_memory"  # of session options; not in older versions
_ITSELF = "this graph"
_NOT_WHOLE = "fallback to CPU EP has been explicitly disabled"  # of the engine's message


class OnnxRuntimeBackend:
    """Runs graphs in ONNX and in ONNX Runtime's own format.

    A session's ``run`` is thread-safe, so one session serves every thread.
    """

    name = "onnxruntime"
    formats = ("onnx", "ort")

    def __init__(self) -> None:
        self._engine = _import_engine()

    def devices(self) -> tuple[str, ...]:
        return devices_here(self._engine)

    def check_device(self, device: str) -> None:
        """See ``Backend``."""
        check_device(self._engine, device)

    def load(
        self,
        data: bytes,
        artifact: Artifact,
        *,
        device: str,
        threads: int,
        beside: bytes | None = None,
        cuda_graph: int = 0,
    ) -> Graph:
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
        place = check_device(self._engine, device)
        if cuda_graph and place.kind == "cpu":
            raise DeviceError("the CPU has no CUDA graphs", where=where, expected="a GPU", hint="device='cuda'")
        told = provider_options(
            place,
            precision=artifact.precision,
            graph=[data] if beside is None else [data, beside],
            cuda_graph=bool(cuda_graph),
            engine=self._engine,
        )
        options = self._options(place, threads, in_own_format)
        if beside is not None:
            self._hand_over(options, location, beside, where)
        elif len(data) >= _LARGE and not in_own_format and hasattr(options, _BESIDE):
            self._hand_over(options, _ITSELF, data, where)
            data = pointing_at_itself(data, _ITSELF)
        session = self._session(data, options, place, told, where)
        if place.kind == "cpu":
            return OnnxRuntimeGraph(session, artifact)
        if cuda_graph:
            return CapturedGraph(session, artifact, place, self._engine, cuda_graph)
        return GpuGraph(session, artifact, place, self._engine)

    def _options(self, device: Device, threads: int, in_own_format: bool) -> Any:
        options = self._engine.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _FATAL_ONLY
        # Else ONNX Runtime takes either format, whichever was looked through for external tensors.
        options.add_session_config_entry("session.load_model_format", "ORT" if in_own_format else "ONNX")
        if device.kind != "cpu":
            # Without this ONNX Runtime quietly runs on the CPU what the device does not take.
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        return options

    def _session(self, data: bytes, options: Any, device: Device, told: dict[str, str], where: str) -> Any:
        try:
            # With its "fallback" ONNX Runtime would print what went wrong, and go on with the CPU; while it runs, too.
            session = self._engine.InferenceSession(
                data, options, providers=[(device.provider, told)], enable_fallback=0
            )
        except Exception as error:
            if _NOT_WHOLE in str(error):
                raise self._not_whole(data, device, told, where) from error
            raise BackendError(
                f"ONNX Runtime {self._engine.__version__} cannot load the graph ({first_line(error)})",
                where=where,
                hint="update onnxruntime, or export with a lower --opset",
            ) from error
        if session.get_providers()[0] != device.provider:
            raise DeviceError(
                f"ONNX Runtime ran on {session.get_providers()} instead of {device.provider}",
                where=where,
                hint="check the driver and the CUDA and cuDNN libraries, or use device='cpu'",
            )
        return session

    def _not_whole(self, data: bytes, device: Device, told: dict[str, str], where: str) -> DeviceError:
        """All or part of the graph would have run on the CPU: because the provider did not start, or left it there?"""
        problem = provider_problem(self._engine, device)
        if not problem and not self._starts(data, device, told):
            problem = "its provider did not start; ONNX Runtime's log on stderr says why"
        if problem:
            return DeviceError(
                f"{device} cannot be used: {problem}",
                where=where,
                hint="check the driver and the CUDA and cuDNN libraries, or use device='cpu'",
            )
        other = "cuda" if device.kind == "tensorrt" else "cpu"
        return DeviceError(f"{device} does not take the whole graph", where=where, hint=f"use device={other!r}")

    def _starts(self, data: bytes, device: Device, told: dict[str, str]) -> bool:
        """Whether a session that may run elsewhere has the provider; taken for granted where that cannot be told."""
        options = self._options(Device("cpu"), 1, False)
        try:
            session = self._engine.InferenceSession(
                data, options, providers=[(device.provider, told)], enable_fallback=0
            )
        except Exception:
            return True
        return device.provider in session.get_providers()

    def _hand_over(self, options: Any, location: str, content: bytes, where: str) -> None:
        """Give the engine the content of the file that the graph names, so that it looks for none."""
        if not hasattr(options, _BESIDE):
            raise BackendError(
                f"ONNX Runtime {self._engine.__version__} cannot be given weights that stand beside a graph",
                where=where,
                hint="update onnxruntime",
            )
        getattr(options, _BESIDE)([location], [content], [len(content)])


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
