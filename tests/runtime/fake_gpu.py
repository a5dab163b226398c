"""A GPU that is not there: ONNX Runtime with its CPU in the place of CUDA and TensorRT, a driver, tensors.

Only names of devices are exchanged: sessions, bindings and tensors are ONNX Runtime's own, in host memory.
"""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from aetool_runtime.backends import cuda_driver, onnx_devices, onnx_gpu
from aetool_runtime.backends.onnxruntime import OnnxRuntimeBackend
from aetool_runtime.specs import Array

__all__ = ["Driver", "Engine", "Tensor", "use_driver", "use_gpu"]

CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"


class Driver:
    """libcuda, as far as it is called."""

    def __init__(self, *, version: int = 13000, gpus: int = 1, init: int = 0) -> None:
        self.version, self.gpus, self.init = version, gpus, init
        self.waited: list[int] = []
        self.contexts = 0

    def cuDriverGetVersion(self, place: Any) -> int:  # noqa: N802
        place._obj.value = self.version
        return 0

    def cuInit(self, flags: int) -> int:  # noqa: N802
        return self.init

    def cuDeviceGetCount(self, place: Any) -> int:  # noqa: N802
        place._obj.value = self.gpus
        return 0

    def cuGetErrorName(self, code: int, place: Any) -> int:  # noqa: N802
        place._obj.value = {803: b"CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", 700: b"CUDA_ERROR_ILLEGAL_ADDRESS"}.get(code)
        return 0

    def cuDeviceGet(self, place: Any, index: int) -> int:  # noqa: N802
        place._obj.value = index
        return 0

    def cuDevicePrimaryCtxRetain(self, place: Any, device: Any) -> int:  # noqa: N802
        self.contexts += 1
        return 0

    def cuCtxPushCurrent_v2(self, context: Any) -> int:  # noqa: N802
        return 0

    def cuCtxPopCurrent_v2(self, place: Any) -> int:  # noqa: N802
        return 0

    def cuStreamSynchronize(self, stream: ctypes.c_void_p) -> int:  # noqa: N802
        self.waited.append(stream.value or 0)
        return 0


class Engine:
    """The package ``onnxruntime``."""

    __version__ = onnxruntime.__version__
    __file__ = "/nowhere/onnxruntime/__init__.py"
    cuda_version = "13.0"

    def __init__(self, *providers: str, runs_on: str | None = None, error: str = "") -> None:
        self.providers = providers or (TENSORRT, CUDA)
        self.runs_on, self.error = runs_on, error
        self.sessions: list[Session] = []
        self.OrtValue = Value

    def get_available_providers(self) -> list[str]:
        return [*self.providers, "CPUExecutionProvider"]

    def preload_dlls(self) -> None:
        print("Failed to load libcurand.so.10")  # noqa: T201 (ONNX Runtime does)

    def SessionOptions(self) -> Any:  # noqa: N802
        options = onnxruntime.SessionOptions()
        entries: dict[str, str] = {}
        return SimpleNamespace(real=options, entries=entries, add_session_config_entry=entries.__setitem__)

    def InferenceSession(self, data: bytes, options: Any, *, providers: Any, **others: Any) -> Session:  # noqa: N802
        if self.error and "session.disable_cpu_ep_fallback" in options.entries:
            raise RuntimeError(self.error)
        session = Session(data, options, providers[0], others, self.runs_on)
        self.sessions.append(session)
        return session


class Session:
    """A session on the CPU that says that it is on a GPU, and takes its tensors."""

    def __init__(self, data: bytes, options: Any, provider: Any, others: Any, runs_on: str | None) -> None:
        self._real = onnxruntime.InferenceSession(data, options.real, providers=["CPUExecutionProvider"])
        self.provider, self.told = provider
        self.entries, self.others = options.entries, others
        self._runs_on = runs_on or self.provider
        self.bound: list[int] = []
        self.run = self._real.run

    def get_providers(self) -> list[str]:
        return [self._runs_on, "CPUExecutionProvider"]

    def io_binding(self) -> Any:
        real = self._real.io_binding()

        def bind_ortvalue_input(name: str, value: Any) -> None:
            self.bound.append(value.data_ptr())
            real.bind_ortvalue_input(name, value)

        def bind_input(name: str, memory: str, index: int, kind: Any, shape: Any, pointer: int) -> None:
            self.bound.append(pointer)
            real.bind_input(name, _host(memory), 0, kind, shape, pointer)

        def bind_output(name: str, memory: str, index: int, *place: Any) -> None:
            real.bind_output(name, _host(memory), 0, *place)

        return SimpleNamespace(
            real=real,
            bind_ortvalue_input=bind_ortvalue_input,
            bind_ortvalue_output=real.bind_ortvalue_output,
            bind_input=bind_input,
            bind_output=bind_output,
            get_outputs=real.get_outputs,
            clear_binding_inputs=real.clear_binding_inputs,
            clear_binding_outputs=real.clear_binding_outputs,
        )

    def run_with_iobinding(self, binding: Any) -> None:
        self._real.run_with_iobinding(binding.real)


class Value:
    """Makes tensors of ONNX Runtime in host memory."""

    from_dlpack = staticmethod(onnxruntime.OrtValue.from_dlpack)

    @staticmethod
    def ortvalue_from_shape_and_type(shape: list[int], kind: Any, memory: str, index: int) -> Any:
        return onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, kind, _host(memory), 0)


class Tensor:
    """Another library's tensor, said to be on a GPU."""

    def __init__(self, array: Array, place: tuple[int, int] = (2, 0), error: Exception | None = None) -> None:
        self.array, self.place, self.error = array, place, error
        self.streams: list[int | None] = []

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.place

    def __dlpack__(self, *, stream: int | None = None) -> Any:
        if self.error is not None:
            raise self.error
        self.streams.append(stream)
        return self.array.__dlpack__()

    def __array__(self, *_: object, **__: object) -> Array:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")


def use_driver(monkeypatch: pytest.MonkeyPatch, driver: Driver | Exception) -> None:
    """Let this be the driver, or what loading it raises."""

    def load() -> Driver:
        if isinstance(driver, Exception):
            raise driver
        return driver

    cuda_driver._context.cache_clear()
    monkeypatch.setattr(cuda_driver, "_load", load)


def use_gpu(monkeypatch: pytest.MonkeyPatch, engine: Engine | None = None, driver: Driver | None = None) -> Engine:
    """Let every ONNX Runtime backend that is made from now on have a GPU."""
    made = engine or Engine()
    use_driver(monkeypatch, driver or Driver())
    monkeypatch.setattr(onnx_devices, "missing_library", lambda path: "")
    monkeypatch.setattr("aetool_runtime.backends.onnxruntime._import_engine", lambda: made)
    monkeypatch.setattr(OnnxRuntimeBackend, "formats", ("onnx",))
    assert onnx_gpu.wait_for_producers is cuda_driver.wait_for_producers
    return made


def _host(memory: str) -> str:
    assert memory == "cuda"
    return "cpu"


def same(met: Any, expected: Array) -> None:
    """A result on the GPU has this type, shape and these values."""
    assert (met.dtype, met.shape) == (expected.dtype.name, expected.shape)
    np.testing.assert_allclose(met.numpy(), expected, rtol=1e-5, atol=2e-6)
