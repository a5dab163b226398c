"""Tensors in the memory of a GPU, of whatever library: what is said of them by DLPack, and what comes back.

DLPack is the protocol by which PyTorch, CuPy, JAX and others hand over tensors without copying them: an object tells
where it lies (``__dlpack_device__``) and gives a capsule (``__dlpack__``). Source: the Python array API standard,
"Data interchange mechanisms", and dlpack.h.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from aetool_runtime.specs import Array

__all__ = ["CPU", "CUDA", "DeviceTensor", "OnDevice", "place_name", "place_of"]

CPU, CUDA = 1, 2  # DLDeviceType
_IN_HOST_MEMORY = (CPU, 3, 11)  # 3, 11: pinned by CUDA, by ROCm
_NAMES = {2: "cuda", 7: "vulkan", 8: "metal", 10: "rocm", 13: "cuda managed memory", 14: "oneapi"}


class OnDevice(Protocol):
    """Any object of DLPack's protocol: a ``torch.Tensor``, a ``cupy.ndarray``, a ``DeviceTensor``."""

    def __dlpack__(self, *, stream: int | None = None) -> Any: ...

    def __dlpack_device__(self) -> tuple[int, int]: ...


class _Value(Protocol):
    """What an engine must be able to do with a tensor of its own, as ONNX Runtime's ``OrtValue`` can."""

    def __dlpack__(self, *, stream: int | None = None) -> Any: ...

    def shape(self) -> Sequence[int]: ...

    def numpy(self) -> Array: ...


class DeviceTensor:
    """A result in the memory of the device that computed it: ``torch.from_dlpack(result)`` takes it without a copy.

    It is complete: whoever reads it, on any stream, need not wait. Its memory goes back to the engine when this object
    and everything made of it are gone, and may then be written by the next call of any thread: what still waits on a
    stream to read it must be done before, or be queued on the stream that is current in the only thread that calls.
    With ``out=`` the memory is the caller's, and that does not arise.

    Attributes:
        shape: [batch, …].
        dtype: NumPy's name.
        device: such as ``cuda:0``.
    """

    def __init__(self, value: _Value, dtype: str, place: tuple[int, int]) -> None:
        self._value = value
        self._place = place
        self.shape = tuple(value.shape())
        self.dtype = dtype
        self.device = place_name(place)

    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """A capsule, of DLPack's first layout, which every version reads.

        Raises:
            BufferError: a copy, or another device, is asked for.
        """
        if copy or (dl_device is not None and tuple(dl_device) != self._place):
            raise BufferError("the tensor is handed over where it lies, and not copied")
        return self._value.__dlpack__(stream=stream)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._place

    def numpy(self) -> Array:
        """A copy in host memory."""
        return np.array(self._value.numpy())

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"<DeviceTensor {self.dtype}{list(self.shape)} on {self.device}>"


def place_of(given: object) -> tuple[int, int] | None:
    """Device type and index, as DLPack numbers them, of what lies outside host memory; ``None`` for all else."""
    if isinstance(given, np.ndarray) or getattr(given, "is_cpu", None) is True:  # PyTorch's, quicker than asking it
        return None
    ask = getattr(given, "__dlpack_device__", None)
    if ask is None:
        return None
    try:
        kind, index = ask()
    except Exception:  # foreign code; whether it is an array at all, others find out
        return None
    return None if int(kind) in _IN_HOST_MEMORY else (int(kind), int(index))


def place_name(place: tuple[int, int]) -> str:
    """Such as ``cuda:0``."""
    return "cpu" if place[0] in _IN_HOST_MEMORY else f"{_NAMES.get(place[0], f'device type {place[0]}')}:{place[1]}"
