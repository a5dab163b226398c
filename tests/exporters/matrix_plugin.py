"""A format and an engine of somebody else's: matrices in .npz files, run by NumPy."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np

from aetool_exporters import Reference
from aetool_exporters.request import Exported, ExportRequest
from aetool_runtime.backends import _plugins
from aetool_runtime.parity import DEFAULT_TOLERANCES
from aetool_runtime.specs import Array, Artifact, Tolerance

__all__ = ["MatrixBackend", "MatrixExporter", "MatrixGraph", "register"]


def rounded(matrix: Array) -> Array:
    """To as many steps as an int8 has."""
    step = np.abs(matrix).max() / 127
    return np.rint(matrix / step) * step


class MatrixExporter:
    """Linear models as one matrix and one offset."""

    format = "matrix"
    precisions = ("float32", "int8")
    make_int8: ClassVar[Callable[[Array], Array]] = staticmethod(rounded)

    def export(self, reference: Reference, request: ExportRequest) -> Exported:
        artifacts, files = [], {}
        for role in reference.roles:
            interface = reference.interface(role)
            given = interface.given
            size = given.sample_shape[0] or 0
            offset = reference.compute(role, np.zeros((1, size), np.float32))
            matrix = reference.compute(role, np.eye(size, dtype=np.float32)) - offset
            if request.precision == "int8":
                matrix = type(self).make_int8(matrix)
            stream = io.BytesIO()
            np.savez(stream, matrix=matrix, offset=offset)
            path = f"matrix/{role}.{request.precision}.npz"
            files[path] = stream.getvalue()
            tolerance = Tolerance(1e-4, 1e-3) if request.precision == "float32" else DEFAULT_TOLERANCES["int8"]
            artifacts.append(
                Artifact(role, self.format, request.precision, path, (given,), interface.returned, tolerance)
            )
        return Exported(tuple(artifacts), files, ("it is rounded",) if request.precision == "int8" else ())


class MatrixBackend:
    """Runs them with NumPy."""

    name = "matrix"
    formats = ("matrix",)

    def devices(self) -> tuple[str, ...]:
        return ("cpu",)

    def load(self, data: bytes, artifact: Artifact, *, device: str, threads: int) -> MatrixGraph:
        return MatrixGraph(data)


class MatrixGraph:
    def __init__(self, data: bytes) -> None:
        stored = np.load(io.BytesIO(data))
        self._matrix, self._offset = stored["matrix"], stored["offset"]

    def run(self, array: Array) -> tuple[Array, ...]:
        return (array @ self._matrix + self._offset,)

    def close(self) -> None:
        pass


def register(folder: Path, module: str) -> None:
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[aetool.exporters]\nmatrix = {module}:MatrixExporter\n[aetool.backends]\nmatrix = {module}:MatrixBackend\n"
    )
    _plugins.cache_clear()
