"""A session on the CPU, with its names and small buffers bound."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from aetool_runtime.errors import BackendError
from aetool_runtime.specs import Array, Artifact

__all__ = ["OnnxRuntimeGraph", "engine_failed", "first_line"]

_SMALL = 1 << 14  # bytes of a tensor; above, a copy costs more than it saves (benchmarks/overhead.py)


def engine_failed(error: Exception, where: str) -> BackendError:
    """What ONNX Runtime raised while it ran, as our error."""
    return BackendError(f"ONNX Runtime failed ({first_line(error)})", where=where)


def first_line(error: Exception) -> str:
    """Of the engine's message, which goes on with its own source files."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


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
            raise engine_failed(error, self._where) from error

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
            raise engine_failed(error, self._where) from error

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
