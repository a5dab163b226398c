"""A model, a format and an engine whose bytes and errors are known in closed form; no Keras.

Every layer adds its own squared error while it is quantized, and takes a quarter of its float32 bytes. The model's own
error and that of quantization point in orthogonal directions, so that squared errors add up exactly.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aetool_exporters.request import Exported, ExportRequest
from aetool_runtime.backends import _plugins
from aetool_runtime.errors import ConversionError
from aetool_runtime.specs import Array, Artifact, Normalization, TensorSpec, Tolerance

OWN = 0.01  # the model's own mean squared error
FORMAT = "fake"
_OWN_DIRECTION = np.array([1, 1, -1, -1], np.float32)
_NOISE_DIRECTION = np.array([1, -1, 1, -1], np.float32)
FACTORS = {"minmax": 1.0, "mse": 0.5, "percentile": 0.8, "entropy": 2.0}
PER_TENSOR = 1.5
BASE_BYTES = 200


@dataclass(frozen=True)
class Layer:
    """As much of a Keras layer as the search looks at."""

    name: str
    parameters: int
    error: float

    @property
    def weights(self) -> list[Any]:
        return [np.zeros((self.parameters, 1))]

    def count_params(self) -> int:
        return self.parameters


@dataclass(frozen=True)
class Model:
    layers: Sequence[Layer]


@dataclass(frozen=True)
class FakeReference:
    """Returns what it is given with an error of ``OWN``; the latent is the sample."""

    layers: Sequence[Layer]
    roles: tuple[str, ...] = ("encoder", "decoder", "autoencoder")
    normalization: Normalization = field(default_factory=Normalization)
    encoder: object = "here"
    decoder: object = "here"

    @property
    def models(self) -> tuple[Model, ...]:
        return (Model(self.layers),)

    input = given = TensorSpec("input", "float32", (None, 4))
    latent = TensorSpec("latent", "float32", (None, 4))
    reconstruction = TensorSpec("reconstruction", "float32", (None, 4))

    def compute(self, role: str, array: Array) -> Array:
        return array if role == "encoder" else array + np.float32(np.sqrt(OWN)) * _OWN_DIRECTION

    def compute_all(self, role: str, array: Array) -> dict[str, Array]:
        return {"latent" if role == "encoder" else "reconstruction": self.compute(role, array)}


class FakeExporter:
    """Counts what it makes; refuses the precisions it is told to."""

    format = FORMAT
    precisions = ("float32", "float16", "dynamic_range", "int8")

    def __init__(self, refused: Sequence[str] = ()) -> None:
        self.made: list[ExportRequest] = []
        self._refused = refused

    def export(self, reference: Any, request: ExportRequest) -> Exported:
        self.made.append(request)
        if request.precision in self._refused:
            raise ConversionError(f"no {request.precision} today")
        size, error = cost(reference.layers, request)
        text = json.dumps({"error": error}).encode()
        data = text + b" " * (BASE_BYTES + size - len(text))
        specs = (reference.input, reference.latent, reference.reconstruction)
        ends = {"encoder": (specs[0], specs[1]), "decoder": (specs[1], specs[2]), "autoencoder": (specs[0], specs[2])}
        artifacts = tuple(
            Artifact(role, FORMAT, request.precision, "fake/model", (given,), (made,), Tolerance(1e-3, 1e-3))
            for role, (given, made) in ends.items()
        )
        return Exported(artifacts, {"fake/model": data})


def cost(layers: Sequence[Layer], request: ExportRequest) -> tuple[int, float]:
    """Bytes and squared error, as the fake exporter has them."""
    options = request.quantization
    if request.precision in ("float32", "float16"):
        width, share = (4, 0.0) if request.precision == "float32" else (2, 1e-6)
        return sum(width * layer.parameters for layer in layers), share
    quantized = [layer for layer in layers if layer.name not in options.float_layers]
    size = sum(layer.parameters for layer in quantized)
    size += sum(4 * layer.parameters for layer in layers if layer.name in options.float_layers)
    if request.precision == "dynamic_range":
        return size + len(layers), 0.6 * sum(layer.error for layer in quantized)
    factor = FACTORS[options.calibration.method] if options.calibration else 1.0
    factor *= 1.0 if options.per_channel else PER_TENSOR
    return size + (len(layers) if options.per_channel else 0), factor * sum(layer.error for layer in quantized)


class FakeBackend:
    """Runs the fake format."""

    name = FORMAT
    formats = (FORMAT,)

    def devices(self) -> tuple[str, ...]:
        return ("cpu",)

    def load(self, data: bytes, artifact: Artifact, *, device: str, threads: int) -> FakeGraph:
        return FakeGraph(artifact.role, json.loads(data)["error"])


class FakeGraph:
    def __init__(self, role: str, error: float) -> None:
        self._role, self._error = role, error

    def run(self, array: Array) -> tuple[Array, ...]:
        """The error of quantization is the decoder's."""
        if self._role == "encoder":
            return (array,)
        own = np.sqrt(OWN) * _OWN_DIRECTION
        return ((array + own + np.sqrt(self._error) * _NOISE_DIRECTION).astype(np.float32),)

    def close(self) -> None:
        pass


SAMPLES = np.random.default_rng(0).uniform(-1, 1, (32, 4)).astype(np.float32)


@contextmanager
def registered_engine(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The fake engine, found as any other: by its entry point."""
    info = folder / "site" / "budget_fakes-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: budget_fakes\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[aetool.backends]\nfake = budget_fakes:FakeBackend\n")
    monkeypatch.syspath_prepend(folder / "site")
    monkeypatch.setitem(sys.modules, "budget_fakes", sys.modules[__name__])
    _plugins.cache_clear()
    yield
    _plugins.cache_clear()
