"""A format and an engine of somebody else's: registered by entry points, exported, verified and run like ours."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from aetool_exporters import ExportOptions, Reference, Samples, export
from aetool_exporters.request import Exported, ExportRequest
from aetool_runtime import Autoencoder, self_test
from aetool_runtime.backends import _plugins
from aetool_runtime.errors import BackendError
from aetool_runtime.specs import Array, Artifact, Normalization, Tolerance


class MatrixExporter:
    """Linear models as one matrix and one offset."""

    format = "matrix"
    precisions = ("float32",)

    def export(self, reference: Reference, request: ExportRequest) -> Exported:
        artifacts, files = [], {}
        for role in reference.roles:
            interface = reference.interface(role)
            given = interface.given
            size = given.sample_shape[0] or 0
            offset = reference.compute(role, np.zeros((1, size), np.float32))
            matrix = reference.compute(role, np.eye(size, dtype=np.float32)) - offset
            stream = io.BytesIO()
            np.savez(stream, matrix=matrix, offset=offset)
            path = f"matrix/{role}.npz"
            files[path] = stream.getvalue()
            tolerance = Tolerance(1e-4, 1e-3)
            artifacts.append(Artifact(role, self.format, "float32", path, (given,), interface.returned, tolerance))
        return Exported(tuple(artifacts), files)


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


@pytest.fixture
def registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Installs distributions: a folder with nothing but entry points is one."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "matrix_plugin", sys.modules[__name__])
    register(tmp_path, "matrix_plugin")
    yield tmp_path
    _plugins.cache_clear()


def register(folder: Path, module: str) -> None:
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[aetool.exporters]\nmatrix = {module}:MatrixExporter\n[aetool.backends]\nmatrix = {module}:MatrixBackend\n"
    )
    _plugins.cache_clear()


@pytest.fixture(scope="module")
def linear() -> Reference:
    import keras

    keras.utils.set_random_seed(2)
    encoder = keras.Sequential([keras.Input((6,)), keras.layers.Dense(2)])
    decoder = keras.Sequential([keras.Input((2,)), keras.layers.Dense(6)])
    return Reference(encoder, decoder, Normalization())


def test_a_plugged_in_format_is_verified_and_run(registered: Path, linear: Reference, tmp_path: Path) -> None:
    samples = Samples.of(np.random.default_rng(1).normal(size=(20, 6)).astype(np.float32))
    options = ExportOptions(formats=("onnx", "matrix"))
    bundle = export(linear.encoder, linear.decoder, tmp_path / "out.aepkg", samples=samples, options=options)
    assert {(check.backend, check.passed) for check in self_test(bundle)} == {("onnxruntime", True), ("matrix", True)}
    with Autoencoder.open(bundle, backend="matrix") as ours, Autoencoder.open(bundle, backend="onnxruntime") as onnx:
        np.testing.assert_allclose(ours.encode(samples.values), onnx.encode(samples.values), atol=1e-5)


def test_a_name_claimed_twice_is_an_error(registered: Path, linear: Reference, tmp_path: Path) -> None:
    register(registered, "other_plugin")
    with pytest.raises(BackendError, match="claimed twice"):
        export(linear.encoder, linear.decoder, tmp_path / "out.aepkg", options=ExportOptions(formats=("matrix",)))
