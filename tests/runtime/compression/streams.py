"""Bundles on disk that compress, and signals to compress with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tests.runtime.tiny import artifact_of, golden_of, model_of, onnx_files

from aetool_exporters.bundle_writer import bundle_files
from aetool_runtime.bundle import Bundle, open_bundle
from aetool_runtime.compression.description import Compression
from aetool_runtime.compression.reading import DATA_PATH, format_compression
from aetool_runtime.selftest import Case
from aetool_runtime.specs import Array, Artifact, TensorSpec
from aetool_runtime.zip_layout import zip_chunks

__all__ = ["SIGNALS", "archive_with", "bundle_with", "linear_only"]

COMPRESSION_PATH = "compression.json"
ENCODER = (np.arange(48, dtype=np.float32).reshape(16, 3) * 7 % 5 - 2) / 16  # samples [8, 2] → latent [3]


def linear_only(made: Compression) -> Compression:
    """Without the codecs that need the bundle's encoder."""
    return replace(made, codecs=tuple(codec for codec in made.codecs if codec.encoder == "adjoint"))


def _encoder() -> tuple[Artifact, bytes]:
    """latent = flattened input · ENCODER, as ONNX."""
    nodes = [helper.make_node("Flatten", ["input"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["latent"])]
    ends = [
        helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 8, 2]),
        helper.make_tensor_value_info("latent", TensorProto.FLOAT, ["batch", 3]),
    ]
    graph = helper.make_graph(nodes, "encoder", ends[:1], ends[1:], [numpy_helper.from_array(ENCODER, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="tiny")
    model.ir_version = 8
    onnx.checker.check_model(model)
    tensors = TensorSpec("input", "float32", (None, 8, 2)), TensorSpec("latent", "float32", (None, 3))
    artifact = replace(artifact_of("encoder", "onnx", "encoder.onnx", None), inputs=tensors[:1], outputs=tensors[1:])
    return artifact, model.SerializeToString(deterministic=True)


def files_with(compression: Compression) -> Mapping[str, bytes]:
    """The files of a bundle that brings this; samples [8, 2] have an encoder that fits them."""
    text, data = format_compression(compression)
    if compression.sample_shape == (8, 2):
        artifact, graph = _encoder()
        given = np.arange(32, dtype=np.float32).reshape(2, 8, 2) - 9
        cases = [Case("held-out", {"input": given, "latent": given.reshape(2, 16) @ ENCODER})]
        artifacts, files = [artifact], {artifact.path: graph}
    else:
        (artifacts, files), cases = onnx_files(), golden_of()
    manifest, golden = model_of(artifacts, cases)
    files = {**files, manifest.golden.path: golden, COMPRESSION_PATH: text, DATA_PATH: data}
    return bundle_files(replace(manifest, compression=COMPRESSION_PATH), files)


def archive_with(compression: Compression) -> bytes:
    return b"".join(zip_chunks(files_with(compression)))


def bundle_with(path: Path, compression: Compression) -> Bundle:
    path.write_bytes(archive_with(compression))
    return open_bundle(path)


# --- signals [n], int16: what a sensor may send ---


def _noise(scale: float, count: int = 16_384) -> Array:
    return np.rint(np.random.default_rng(round(scale * 10)).normal(0, scale, count)).clip(-32768, 32767)


def _walk(count: int = 16_384) -> Array:
    return np.cumsum(np.random.default_rng(3).integers(-40, 41, count)).clip(-32768, 32767)


_TIME = np.arange(16_384)
_BEAT = np.cumsum(np.random.default_rng(1).integers(-90, 91, 300))
_RANDOM = np.random.default_rng(2)
_ALL: dict[str, Array] = {
    **{f"noise of {scale:g}": _noise(scale) for scale in (0.3, 1, 10, 100, 3000)},
    "noise of all 16 bits": _RANDOM.integers(-32768, 32768, 16_384),
    "a random walk": _walk(),
    "silence": np.zeros(16_384),
    "a constant": np.full(16_384, -1234),
    "a sine": 20_000 * np.sin(_TIME * 0.02),
    "a clipped sine": np.clip(30_000 * np.sin(_TIME * 0.01) + _noise(3), -20_000, 20_000),
    "clipped noise": np.clip(_noise(200), -100, 100),
    "a square wave": np.where(_TIME % 100 < 50, -9_999, 10_000),
    "a random telegraph": np.where(_RANDOM.random(16_384) < 0.5, -9_999, 10_000),
    "a beat, repeated": np.tile(_BEAT, 60)[:16_384],
    "twelve bits, shifted left": 16 * _noise(100),
    "extremes in turn": np.where(_TIME % 2, -32768, 32767),
    "spikes": np.where(_RANDOM.random(16_384) < 0.001, 30_000, 5),
}
SIGNALS: Mapping[str, Array] = {name: np.asarray(np.rint(signal), np.int16) for name, signal in _ALL.items()}
