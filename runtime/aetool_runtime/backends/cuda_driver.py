"""NVIDIA's driver, asked by ctypes: whether it can be used, what it supports, how many GPUs it sees.

Source: CUDA Driver API reference (initialization, version, device, primary context, stream management).
"""

from __future__ import annotations

import ctypes
import os
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any

__all__ = ["Driver", "ask_driver", "wait_for_producers"]

_NAME = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
_NO_DEVICE = 100
_LEGACY_STREAM = 1  # the handle of the default stream that DLPack calls 1, too


@dataclass(frozen=True)
class Driver:
    """What the driver says.

    Args:
        problem: why it cannot be used; empty where it can.
        cuda: the newest CUDA version that it supports: major, minor.
        gpus: how many it sees.
    """

    problem: str = ""
    cuda: tuple[int, int] = (0, 0)
    gpus: int = 0


def ask_driver() -> Driver:
    """Load the driver and ask it. Nothing is printed or raised."""
    try:
        driver = _load()
    except OSError as error:
        return Driver(f"there is no NVIDIA driver ({error})")
    number, count = ctypes.c_int(0), ctypes.c_int(0)
    driver.cuDriverGetVersion(ctypes.byref(number))
    cuda = (number.value // 1000, number.value % 1000 // 10)
    code = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    if code or not count.value:
        return Driver(_problem(driver, code or _NO_DEVICE), cuda)
    return Driver("", cuda, count.value)


def wait_for_producers(index: int) -> None:
    """Wait until everything queued on a GPU's legacy default stream is done.

    A producer of DLPack that was told ``stream=1`` has made that stream wait for its own, so that afterwards its tensor
    may be read from any stream.

    Raises:
        RuntimeError: the driver reports an error, perhaps one of the work that was waited for.
    """
    driver = _load()
    _check(driver, driver.cuCtxPushCurrent_v2(_context(index)))  # a thread may have none
    try:
        _check(driver, driver.cuStreamSynchronize(ctypes.c_void_p(_LEGACY_STREAM)))
    finally:
        driver.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))


@cache
def _context(index: int) -> ctypes.c_void_p:
    """The context that the CUDA runtime uses, and so every library in this process."""
    driver, device, context = _load(), ctypes.c_int(0), ctypes.c_void_p()
    _check(driver, driver.cuDeviceGet(ctypes.byref(device), index))
    _check(driver, driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device))
    return context


def _load() -> Any:
    return ctypes.CDLL(_NAME)


def _check(driver: Any, code: int) -> None:
    if code:
        raise RuntimeError(f"the NVIDIA driver reports {_name(driver, code)}")


def _problem(driver: Any, code: int) -> str:
    if code != _NO_DEVICE:
        return f"the NVIDIA driver cannot be used: {_name(driver, code)}"
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return "the NVIDIA driver sees no GPU" + ("" if visible is None else f" (CUDA_VISIBLE_DEVICES is {visible!r})")


def _name(driver: Any, code: int) -> str:
    name = ctypes.c_char_p()
    driver.cuGetErrorName(code, ctypes.byref(name))
    return f"{(name.value or b'error').decode()} ({code})"
