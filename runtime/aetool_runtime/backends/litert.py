"""LiteRT (TensorFlow Lite): CPU."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from aetool_runtime.backends.litert_batch import MOST_ROWS, Pieces, takes_any_batch
from aetool_runtime.backends.litert_signature import Signature
from aetool_runtime.backends.pool import Pool
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
        given, outputs = artifact.inputs[0], [output.name for output in artifact.outputs]
        row_by_row, every = takes_any_batch(data), os.cpu_count() or 1

        def make() -> Signature:
            interpreter = self._interpreter(model_content=data, num_threads=threads or every)
            return Signature(interpreter, artifact.signature, given.name, outputs, stateful=not row_by_row)

        try:
            first = make()
            held = first.inputs
        except Exception as error:
            raise BackendError(
                f"LiteRT cannot load the graph ({error})",
                where=where,
                hint="update ai-edge-litert, or export the model again",
            ) from error
        _refuse_other(held, given, where)
        free = given.shape[0] is None
        resized = Pool(first if free else None, make, every) if free or row_by_row else None
        return LiteRtGraph(Pool(first, make, every), resized, artifact)


class LiteRtGraph:
    """A signature in as many interpreters as threads run it at once.

    Args:
        fixed: interpreters for the batch that the graph has.
        resized: others, whose input is resized to the batch that comes; ``None`` where the graph does not bear that.
        artifact: what the manifest says.
    """

    def __init__(self, fixed: Pool[Signature], resized: Pool[Signature] | None, artifact: Artifact) -> None:
        self._fixed, self._resized = fixed, resized
        self._batch = artifact.inputs[0].shape[0]
        self._where = str(artifact)
        self._own = Pieces(fixed, Signature.run, self._batch or 1, fill=True)
        self._any = Pieces(resized, Signature.run_any, MOST_ROWS, fill=False) if resized is not None else self._own

    def run(self, array: Array) -> tuple[Array, ...]:
        try:
            own = len(array) == self._batch
            pool = self._fixed if own else self._resized
            if pool is None or (len(array) > MOST_ROWS and not own):
                return self._any.run(array)
            signature = pool.take()
            try:
                outputs = signature.run(array) if own else signature.run_any(array)
            finally:
                pool.give(signature)
            for output in outputs:
                if len(output) != len(array):
                    return self._any.run(array)  # which says what is wrong
            return outputs
        except Exception as error:
            raise BackendError(f"LiteRT failed ({error})", where=self._where) from error

    def run_into(self, array: Array, out: Array) -> None:
        try:
            self._pieces(array).run(array, out)
        except Exception as error:
            raise BackendError(f"LiteRT failed ({error})", where=self._where) from error

    def close(self) -> None:
        self._fixed.close()
        if self._resized is not None:
            self._resized.close()

    def _pieces(self, array: Array) -> Pieces:
        return self._own if len(array) == self._batch else self._any


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
