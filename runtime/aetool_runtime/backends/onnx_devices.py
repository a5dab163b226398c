"""The devices of ONNX Runtime: their names, why one is not here, and what its provider is told.

``get_available_providers()`` tells what ONNX Runtime was compiled with, not what works: without a driver, or with a
library missing, it goes on with the CPU without a word. So each link of the chain is tried before a session is made.
"""

from __future__ import annotations

import ctypes
import hashlib
import io
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from aetool_runtime.backends.cuda_driver import ask_driver
from aetool_runtime.backends.shared_libraries import missing_library, needed_by
from aetool_runtime.device_tensors import CPU, CUDA
from aetool_runtime.errors import DeviceError

__all__ = ["Device", "check_device", "devices_here", "provider_options", "provider_problem"]

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
_CHANGE = "pip uninstall -y onnxruntime onnxruntime-gpu, then pip install 'aetool[gpu]'"
_NO_TF32 = "NVIDIA_TF32_OVERRIDE"
_TENSORRT = ("libnvinfer.so.*", "libnvinfer_plugin.so.*", "libnvonnxparser.so.*")
_TENSORRT_FOLDERS = ("tensorrt_libs",)  # of TensorRT's wheels


@dataclass(frozen=True)
class Device:
    """Where a session runs.

    Args:
        kind: ``cpu``, ``cuda`` or ``tensorrt``.
        index: of the GPU, as the driver counts them.
    """

    kind: str = "cpu"
    index: int = 0

    @property
    def provider(self) -> str:
        """ONNX Runtime's name for it."""
        return _PROVIDERS[self.kind]

    @property
    def memory(self) -> str:
        """ONNX Runtime's name for its memory."""
        return "cpu" if self.kind == "cpu" else "cuda"

    @property
    def place(self) -> tuple[int, int]:
        """DLPack's name for its memory."""
        return (CPU, 0) if self.kind == "cpu" else (CUDA, self.index)

    def __str__(self) -> str:
        return self.kind if self.kind == "cpu" else f"{self.kind}:{self.index}"


@dataclass(frozen=True)
class _Reason:
    what: str
    hint: str


def devices_here(engine: Any) -> tuple[str, ...]:
    """Those that can really be used; a GPU without a number is the first one."""
    return tuple(kind for kind in ("cuda", "tensorrt", "cpu") if _why_not(engine, Device(kind)) is None)


def check_device(engine: Any, name: str) -> Device:
    """The device of that name: ``cpu``, ``cuda``, ``tensorrt``, or with a GPU's number, ``cuda:1``.

    Raises:
        DeviceError: it is not here; says why.
    """
    kind, colon, number = name.partition(":")
    numbered = kind != "cpu" and number.isascii() and number.isdecimal() and len(number) < 4
    if kind not in _PROVIDERS or (colon and not numbered):
        raise DeviceError(
            f"ONNX Runtime has no device {name!r} here",
            expected="one of " + ", ".join(devices_here(engine)),
            hint="choose one of the devices named above",
        )
    device = Device(kind, int(number or 0))
    reason = _why_not(engine, device)
    if reason is not None:
        raise DeviceError(f"the device {name!r} cannot be used: {reason.what}", hint=reason.hint)
    return device


def provider_options(
    device: Device, *, precision: str, graph: Sequence[bytes], cuda_graph: bool, engine: Any
) -> dict[str, str]:
    """What the device's provider is told; nothing for the CPU.

    Args:
        precision: of the artifact: TensorRT uses no integers, and no float16, without being told.
        graph: the files that it is made of, for the place of TensorRT's cache.
        cuda_graph: whether calls are to be captured and replayed.
    """
    if device.kind == "cpu":
        return {}
    if device.kind == "cuda":
        return {
            "device_id": str(device.index),
            "use_tf32": "0",  # else products are rounded to 10 bits, and float32 is none
            "cudnn_conv_algo_search": "HEURISTIC",  # else every new batch size is tried out, each time anew
            "enable_cuda_graph": str(int(cuda_graph)),
        }
    return {
        "device_id": str(device.index),
        "trt_fp16_enable": str(precision == "float16"),
        "trt_int8_enable": str(precision == "int8"),
        "trt_cuda_graph_enable": str(cuda_graph),
        **_engine_cache(graph, device, engine),
    }


def provider_problem(engine: Any, device: Device) -> str:
    """What the loader says of the provider itself; empty where it can be loaded.

    Only to be asked when ONNX Runtime has tried to load it: loaded before, it would crash.
    """
    path = _library(engine, device.kind)
    try:
        if path.is_file():
            ctypes.CDLL(str(path))
    except OSError as error:
        return str(error)
    return ""


def _engine_cache(graph: Sequence[bytes], device: Device, engine: Any) -> dict[str, str]:
    """Building TensorRT's engine takes from seconds to minutes: it is kept in the user's cache folder."""
    from aetool_runtime.choosing.cache import cache_folder

    top = cache_folder()
    if top is None:
        return {}
    question = {
        "graph": [hashlib.sha256(file).hexdigest() for file in graph],
        "onnxruntime": engine.__version__,
        "needs": needed_by(_library(engine, "tensorrt")),
        "tensorrt": [_version(name) for name in ("tensorrt", "tensorrt-cu12", "tensorrt-cu13")],
        "driver": ask_driver().cuda,
        "gpu": device.index,
    }
    folder = top / "tensorrt" / hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:32]
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return {}
    return {
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": str(folder),
    }


def _why_not(engine: Any, device: Device) -> _Reason | None:
    """The first link of the chain that is broken; ``None`` for a device that can be used."""
    if device.kind == "cpu":
        return None
    return next((reason for reason in _reasons(engine, device) if reason is not None), None)


def _reasons(engine: Any, device: Device) -> Iterator[_Reason | None]:
    yield _package(engine, device)
    yield _driver(engine, device)
    _preload(engine)
    if device.kind == "tensorrt":
        yield _tf32()
        _preload_tensorrt()
    yield _libraries(engine, "cuda")
    if device.kind == "tensorrt":
        yield _libraries(engine, "tensorrt")


def _package(engine: Any, device: Device) -> _Reason | None:
    if device.provider in engine.get_available_providers():
        return None
    cpu, gpu = _version("onnxruntime"), _version("onnxruntime-gpu")
    what = f"onnxruntime {engine.__version__} is installed, which is made for the CPU"
    if cpu and gpu:
        what = f"onnxruntime {cpu} and onnxruntime-gpu {gpu} are both installed and have overwritten each other"
    elif gpu:
        what = f"onnxruntime-gpu {gpu} was made without {device.provider}, or is damaged"
    return _Reason(what, _CHANGE)


def _driver(engine: Any, device: Device) -> _Reason | None:
    driver = ask_driver()
    if driver.problem:
        return _Reason(driver.problem, "install NVIDIA's driver, or make the GPU visible (`nvidia-smi` shows it)")
    needed = str(getattr(engine, "cuda_version", "") or "").partition(".")[0]
    if needed.isdecimal() and driver.cuda[0] < int(needed):
        what = f"the NVIDIA driver supports CUDA {driver.cuda[0]}.{driver.cuda[1]}"
        return _Reason(f"{what}, onnxruntime {engine.__version__} needs CUDA {needed}", "update NVIDIA's driver")
    if device.index >= driver.gpus:
        return _Reason(
            f"the NVIDIA driver sees {driver.gpus} GPU{'s' * (driver.gpus > 1)}",
            f"choose {device.kind}:0" + (f" to {device.kind}:{driver.gpus - 1}" if driver.gpus > 1 else ""),
        )
    return None


def _tf32() -> _Reason | None:
    """TensorRT's provider has no option for it, and the libraries read this variable only once, when they start."""
    if os.environ.get(_NO_TF32) == "0":
        return None
    return _Reason(
        f"TensorRT rounds float32 to TF32 unless {_NO_TF32} is 0", f"export {_NO_TF32}=0 before the program starts"
    )


def _libraries(engine: Any, kind: str) -> _Reason | None:
    path = _library(engine, kind)
    if path.parent.is_dir() and not path.is_file():
        return _Reason(f"{path.name} is not in the onnxruntime package", _CHANGE)
    problem = missing_library(path)
    if not problem:
        return None
    hint = "pip install 'aetool[gpu]', which brings CUDA and cuDNN; or put the library where the loader looks"
    if "nvinfer" in problem or "nvonnxparser" in problem:
        hint = "pip install tensorrt (the major version that the message names), or use device='cuda'"
    return _Reason(f"a library of {path.name} cannot be loaded: {problem}", hint)


def _library(engine: Any, kind: str) -> Path:
    stem, ending = ("", "dll") if os.name == "nt" else ("lib", "so")
    return Path(engine.__file__).parent / "capi" / f"{stem}onnxruntime_providers_{kind}.{ending}"


@cache
def _preload(engine: Any) -> None:
    """Let ONNX Runtime load CUDA and cuDNN from their wheels. It prints what it misses, which we find out ourselves."""
    preload = getattr(engine, "preload_dlls", None)
    if preload is not None:
        with redirect_stdout(io.StringIO()), suppress(Exception):
            preload()


@cache
def _preload_tensorrt() -> None:
    """Load TensorRT from its wheels, in whose folders no loader looks."""
    for folder in _TENSORRT_FOLDERS:
        spec = find_spec(folder)
        for place in (spec.submodule_search_locations or []) if spec else []:
            for pattern in _TENSORRT:
                for path in sorted(Path(place).glob(pattern)):
                    with suppress(OSError):
                        ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
