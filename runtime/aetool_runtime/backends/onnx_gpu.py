"""A session on a GPU: arrays of the host copied there and back, tensors of the device taken and returned where they
lie, calls captured as CUDA graphs.

No input in host memory stays bound from call to call: ONNX Runtime copies it to the device when it is bound, not when
it runs.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from aetool_runtime.backends.cuda_driver import wait_for_producers
from aetool_runtime.backends.onnx_binding import engine_failed
from aetool_runtime.backends.onnx_devices import Device
from aetool_runtime.device_tensors import CUDA, DeviceTensor, OnDevice, place_name
from aetool_runtime.errors import AetoolError, BackendError, InputError
from aetool_runtime.specs import Array, Artifact, TensorSpec, format_shape

__all__ = ["CapturedGraph", "GpuGraph"]

_READY = 1  # DLPack's number of the legacy default stream, which ``wait_for_producers`` waits for
_ELEMENT_TYPES = {1: "float32", 2: "uint8", 3: "int8", 5: "int16", 6: "int32", 7: "int64", 10: "float16"}  # onnx.proto


class GpuGraph:
    """A session on a device. Any device: on the CPU it does the same, which is how it is tested without a GPU."""

    def __init__(self, session: Any, artifact: Artifact, device: Device, engine: Any) -> None:
        self._session = session
        self._run = session.run
        self._artifact = artifact
        self._input = artifact.inputs[0].name
        self._outputs = [output.name for output in artifact.outputs]
        self._device = device
        self._values = _Values(engine, device)
        self._where = str(artifact)
        self._thread = threading.local()

    def run(self, array: Array) -> tuple[Array, ...]:
        try:
            return tuple(self._run(self._outputs, {self._input: array}))
        except Exception as error:
            raise engine_failed(error, self._where) from error

    def run_on_device(self, tensor: OnDevice, out: OnDevice | None = None) -> tuple[DeviceTensor, ...]:
        """See ``Graph``."""
        artifact = self._artifact
        given = self._values.taken(tensor, artifact.inputs[0])
        returned = None if out is None else self._values.taken_for(out, artifact.outputs[0], given)
        try:
            values = self._computed(given, returned)
        except AetoolError:
            raise
        except Exception as error:
            raise engine_failed(error, self._where) from error
        return self._values.given_out(values, artifact.outputs)

    def close(self) -> None:
        self._run = _closed
        self._session = None
        self._thread = threading.local()

    def _computed(self, given: Any, returned: Any) -> list[Any]:
        if not given.shape()[0]:
            return self._values.empty_outputs(self._artifact.outputs)
        binding = getattr(self._thread, "binding", None)
        if binding is None:
            if self._session is None:
                _closed()
            binding = self._thread.binding = self._session.io_binding()
        session, device = self._session, self._device
        try:
            # By address: versions differ in whose GPU's memory they take another library's tensor to be in.
            binding.bind_input(*self._place(self._artifact.inputs[0], given))
            for i, spec in enumerate(self._artifact.outputs):
                if returned is not None and i == 0:
                    binding.bind_output(*self._place(spec, returned))
                else:  # bound anew for each call: else the next one would write over what this one returned
                    binding.bind_output(spec.name, device.memory, device.index)
            session.run_with_iobinding(binding)  # returns when the device is done
            return list(binding.get_outputs())
        finally:  # what it is bound to is the caller's, and may soon be gone
            binding.clear_binding_inputs()
            binding.clear_binding_outputs()

    def _place(self, spec: TensorSpec, value: Any) -> tuple[Any, ...]:
        """What a binding is told of a tensor."""
        device, kind = self._device, np.dtype(spec.dtype).type
        return spec.name, device.memory, device.index, kind, value.shape(), value.data_ptr()


class CapturedGraph:
    """A session that replays a captured CUDA graph: one batch size, inputs and outputs at fixed addresses.

    Calls take turns, since there is one set of buffers. ONNX Runtime captures for each thread that calls, at its first
    call; while one captures, no other thread of the process may allocate memory on the GPU.

    Args:
        batch: the samples of every call.

    Raises:
        BackendError: the engine cannot capture the graph, such as one with loops.
    """

    def __init__(self, session: Any, artifact: Artifact, device: Device, engine: Any, batch: int) -> None:
        specs = (*artifact.inputs, *artifact.outputs)
        self._where = str(artifact)
        if any(None in spec.sample_shape for spec in specs):
            raise BackendError("a graph with free dimensions cannot be captured", where=self._where)
        self._session, self._artifact, self._batch = session, artifact, batch
        self._values = _Values(engine, device)
        self._lock = threading.Lock()
        try:
            self._given = self._values.new(artifact.inputs[0], batch)
            self._returned = [self._values.new(spec, batch) for spec in artifact.outputs]
            self._binding = session.io_binding()
            self._binding.bind_ortvalue_input(artifact.inputs[0].name, self._given)
            for spec, value in zip(artifact.outputs, self._returned, strict=True):
                self._binding.bind_ortvalue_output(spec.name, value)
            self._given.update_inplace(np.zeros(self._given.shape(), artifact.inputs[0].dtype))
            session.run_with_iobinding(self._binding)
        except Exception as error:
            raise engine_failed(error, self._where) from error

    def run(self, array: Array) -> tuple[Array, ...]:
        self._refuse_other(len(array))
        with self._lock:
            try:
                self._replay(array)
                return tuple([np.array(value.numpy()) for value in self._returned])
            except Exception as error:
                raise engine_failed(error, self._where) from error

    def run_on_device(self, tensor: OnDevice, out: OnDevice | None = None) -> tuple[DeviceTensor, ...]:
        """See ``Graph``. Tensors are copied to the graph's buffers and from them, on the device."""
        given = self._values.taken(tensor, self._artifact.inputs[0])
        self._refuse_other(given.shape()[0])
        first = None if out is None else self._values.taken_for(out, self._artifact.outputs[0], given)
        with self._lock:
            try:
                values = [self._values.new(spec, self._batch) for spec in self._artifact.outputs]
                values[0] = values[0] if first is None else first
                self._replay(given)
                for value, returned in zip(values, self._returned, strict=True):
                    value.update_inplace(returned)
                self._values.wait()
            except Exception as error:
                raise engine_failed(error, self._where) from error
        return self._values.given_out(values, self._artifact.outputs)

    def close(self) -> None:
        with self._lock:
            self._session = self._binding = self._given = None
            self._returned = []

    def _replay(self, given: Any) -> None:
        if self._session is None:
            _closed()
        self._given.update_inplace(given)
        self._values.wait()
        self._session.run_with_iobinding(self._binding)

    def _refuse_other(self, batch: int) -> None:
        if batch != self._batch:
            raise InputError(
                f"the batch has {batch} sample{'s' * (batch != 1)}",
                where=self._where,
                expected=f"{self._batch}, for which the CUDA graph was captured",
                hint="open the bundle a second time, without cuda_graph, for other batches",
            )


class _Values:
    """The engine's tensors on a device, and the way to and from other libraries'."""

    def __init__(self, engine: Any, device: Device) -> None:
        self._make = engine.OrtValue
        self._device = device

    def new(self, spec: TensorSpec, batch: int) -> Any:
        """An uninitialized tensor; free dimensions are empty."""
        shape = [batch, *(size or 0 for size in spec.sample_shape)]
        device = self._device
        return self._make.ortvalue_from_shape_and_type(shape, np.dtype(spec.dtype).type, device.memory, device.index)

    def empty_outputs(self, specs: Sequence[TensorSpec]) -> list[Any]:
        return [self.new(spec, 0) for spec in specs]

    def taken(self, tensor: OnDevice, spec: TensorSpec) -> Any:
        """A caller's tensor, not copied, when it may be read.

        Raises:
            InputError: it lies elsewhere, or is not what the graph takes.
        """
        value = self._value(tensor, spec.name)
        dtype, shape = _ELEMENT_TYPES.get(value.element_type(), value.data_type()), value.shape()
        if not spec.takes(dtype, shape):
            raise InputError(
                f"{spec.name} is {dtype}{format_shape(shape)} on {self._device}",
                expected=f"{spec.dtype}{format_shape((None, *spec.sample_shape))}: nothing is converted there",
                hint="convert it before, or give an array in host memory",
            )
        return value

    def taken_for(self, out: OnDevice, spec: TensorSpec, given: Any) -> Any:
        """A caller's tensor to write to.

        Raises:
            InputError: it lies elsewhere, is not what comes out, or shares memory with ``given``.
        """
        if getattr(out, "__dlpack__", None) is None:
            raise InputError(f"out is {type(out).__name__}", expected=f"a tensor on {self._device}, like the input")
        value = self.taken(out, TensorSpec("out", spec.dtype, spec.shape))
        if value.shape()[0] != given.shape()[0]:
            raise InputError(
                f"out has {value.shape()[0]} samples", expected=f"as many as the input, {given.shape()[0]}"
            )
        (a, b), (c, d) = ((one.data_ptr(), one.data_ptr() + one.tensor_size_in_bytes()) for one in (value, given))
        if max(a, c) < min(b, d):
            raise InputError("out shares memory with the input", expected="memory of its own")
        return value

    def given_out(self, values: Sequence[Any], specs: Sequence[TensorSpec]) -> tuple[DeviceTensor, ...]:
        return tuple(
            DeviceTensor(value, spec.dtype, self._device.place) for value, spec in zip(values, specs, strict=True)
        )

    def wait(self) -> None:
        """Until copies on the default stream are done."""
        if self._device.place[0] == CUDA:
            wait_for_producers(self._device.index)

    def _value(self, tensor: OnDevice, name: str) -> Any:
        try:
            kind, index = tensor.__dlpack_device__()
        except Exception as error:
            raise InputError(f"{name} is no tensor that DLPack hands over ({error})") from error
        if (int(kind), int(index)) != self._device.place:
            raise InputError(
                f"{name} lies on {place_name((int(kind), int(index)))}",
                expected=f"{self._device}, where the graph runs",
                hint=f"copy it there, or open the bundle with device={place_name((int(kind), int(index)))!r}",
            )
        if not hasattr(self._make, "from_dlpack"):
            raise BackendError("this ONNX Runtime takes no tensors of other libraries", hint="update onnxruntime-gpu")
        try:
            capsule = tensor.__dlpack__() if self._device.kind == "cpu" else tensor.__dlpack__(stream=_READY)
            value = self._make.from_dlpack(capsule)
            self.wait()
        except Exception as error:
            raise InputError(
                f"{name} cannot be handed over ({_reason(error)})",
                expected=f"a contiguous tensor on {self._device} without gradient",
                hint="tensor.detach().contiguous()",
            ) from error
        return value


def _reason(error: Exception) -> str:
    """ONNX Runtime puts the place in its own source before what it has to say."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return text.rpartition(" was false. ")[2][:200]


def _closed(*_: object) -> None:
    raise ValueError("the graph is closed")
