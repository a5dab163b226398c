"""LiteRT (TensorFlow Lite): CPU."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from aetool_runtime.errors import BackendError, DependencyError, DeviceError
from aetool_runtime.specs import Array, Artifact, TensorSpec

__all__ = ["LiteRtBackend"]


class LiteRtBackend:
    """Runs TFLite artifacts through their signature."""

    name = "litert"
    formats = ("tflite",)

    def __init__(self) -> None:
        self._interpreter = _import_engine()

    def devices(self) -> tuple[str, ...]:
        return ("cpu",)

    def load(self, data: bytes, artifact: Artifact, *, device: str, threads: int) -> LiteRtGraph:
        where = f"{artifact} ({artifact.path})"
        if device not in self.devices():
            raise DeviceError(f"LiteRT has no device {device!r} here", expected="cpu", hint="use device='cpu'")
        try:
            interpreter = self._interpreter(model_content=data, num_threads=threads or os.cpu_count())
            runner = interpreter.get_signature_runner(artifact.signature)
            held = runner.get_input_details()
        except Exception as error:
            raise BackendError(
                f"LiteRT cannot load the graph ({error})",
                where=where,
                hint="update ai-edge-litert, or export the model again",
            ) from error
        _refuse_other(held, artifact.inputs[0], where)
        return LiteRtGraph(interpreter, runner, artifact)


class LiteRtGraph:
    """One signature of an interpreter, whose graph takes a fixed number of samples a call.

    An interpreter used from two threads at once gives wrong results without a word, hence the lock.
    """

    def __init__(self, interpreter: Any, runner: Any, artifact: Artifact) -> None:
        self._interpreter = interpreter
        self._runner = runner
        self._input = artifact.inputs[0].name
        self._outputs = [output.name for output in artifact.outputs]
        self._batch = artifact.inputs[0].shape[0]
        self._where = str(artifact)
        self._lock = threading.Lock()

    def run(self, array: Array) -> tuple[Array, ...]:
        batch = self._batch or len(array)
        if len(array) == batch:
            return self._call(array)
        whole = len(array) // batch * batch
        pieces = [self._call(array[start : start + batch]) for start in range(0, whole, batch)]
        if whole < len(array):
            pieces.append(self._padded(array[whole:], batch))
        return tuple(np.concatenate(parts) for parts in zip(*pieces, strict=True))

    def _padded(self, rest: Array, batch: int) -> tuple[Array, ...]:
        """Fill a last, smaller batch with zeros and drop what comes out for them."""
        filler = np.zeros((batch - len(rest), *rest.shape[1:]), rest.dtype)
        return tuple(output[: len(rest)] for output in self._call(np.concatenate([rest, filler])))

    def _call(self, array: Array) -> tuple[Array, ...]:
        try:
            with self._lock:
                if self._interpreter is None:
                    raise ValueError("the graph is closed")
                # A fused LSTM would otherwise start from the state that the last sample left.
                self._interpreter.reset_all_variables()
                results = self._runner(**{self._input: array})
            return tuple(results[name] for name in self._outputs)
        except Exception as error:
            raise BackendError(f"LiteRT failed ({error})", where=self._where) from error

    def close(self) -> None:
        with self._lock:
            self._runner = self._interpreter = None


def _refuse_other(held: Mapping[str, Mapping[str, Any]], spec: TensorSpec, where: str) -> None:
    """The manifest's batch is what a smaller one is filled up to, so a wrong one could ask for any amount of memory."""
    met = {name: TensorSpec(name, np.dtype(d["dtype"]).name, tuple(map(int, d["shape"]))) for name, d in held.items()}
    graph = met.get(spec.name)
    fits = (
        graph is not None
        and (graph.dtype, len(graph.shape)) == (spec.dtype, len(spec.shape))
        and all(want in (None, size) for want, size in zip(spec.shape, graph.shape, strict=True))
    )
    if not fits:
        raise BackendError(
            f"the graph takes {', '.join(map(str, met.values())) or 'nothing'}",
            where=where,
            expected=f"{spec}, as the manifest says",
            hint="export the model again",
        )


def _import_engine() -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise DependencyError(f"LiteRT cannot be imported ({error})", hint="pip install 'aetool[litert]'") from error
    return Interpreter
