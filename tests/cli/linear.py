"""Bundles that multiply by a matrix, made without TensorFlow: of any shapes, with floats or integers between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tests.runtime.tiny import NAMES

from aetool_exporters.bundle_writer import GOLDEN_PATH, GoldenFile, bundle_files, write_folder
from aetool_runtime.manifest import Golden, Manifest
from aetool_runtime.parity import DEFAULT_TOLERANCES, output_scale
from aetool_runtime.selftest import Case
from aetool_runtime.specs import Array, Artifact, Role, TensorSpec

__all__ = ["orthogonal", "write_linear"]

SCALE = 100  # integer latents are the hundredfold, rounded


def write_linear(
    folder: Path,
    matrix: Array,
    shape: Sequence[int],
    *,
    returned: Sequence[int] = (),
    integers: bool = False,
    golden: int = 16,
    **members: Any,
) -> Path:
    """A bundle: latent = input · matrix, reconstruction = latent · pseudo-inverse of it.

    Args:
        matrix: [values, latent].
        shape: of a sample.
        returned: of a reconstruction, where it is another.
        integers: the latent is int32.
        golden: samples in the bundle.
        members: of the manifest.
    """
    values, latent = matrix.shape
    samples = np.random.default_rng(1).uniform(0, 1, (golden, *shape)).astype("f4")
    encoded = samples.reshape(golden, values) @ matrix
    inverse = np.linalg.pinv(matrix).astype("f4") / (SCALE if integers else 1)
    if integers:
        encoded = np.rint(encoded * SCALE).astype("i4")
    decoded = (encoded.astype("f4") @ inverse).reshape(golden, *(returned or shape))
    cases = [Case("held-out", {"input": samples, "latent": encoded, "reconstruction": decoded})]
    outputs = {name: output_scale(cases[0].tensors[name]) for name in ("latent", "reconstruction")}
    golden_file = GoldenFile()
    vectors = Golden(GOLDEN_PATH, outputs, tuple(map(golden_file.place, cases)))
    kind = "int32" if integers else "float32"
    specs = {
        "input": TensorSpec("input", "float32", (None, *shape)),
        "latent": TensorSpec("latent", kind, (None, latent)),
        "reconstruction": TensorSpec("reconstruction", "float32", (None, *(returned or shape))),
    }
    files = {
        f"{role}.onnx": _graph(role, matrix.astype("f4"), inverse, specs).SerializeToString(deterministic=True)
        for role in NAMES
    }
    manifest = Manifest(
        name="linear",
        artifacts=tuple(_artifact(role, specs) for role in NAMES),
        files={},
        golden=vectors,
        **members,
    )
    write_folder(folder, bundle_files(replace(manifest, files={}), {**files, vectors.path: golden_file.data}))
    return folder


def _artifact(role: Role, specs: dict[str, TensorSpec]) -> Artifact:
    given, returned = NAMES[role]
    return Artifact(
        role, "onnx", "float32", f"{role}.onnx", (specs[given],), (specs[returned],), DEFAULT_TOLERANCES["float32"], 17
    )


def _graph(role: Role, matrix: Array, inverse: Array, specs: dict[str, TensorSpec]) -> onnx.ModelProto:
    graph = _Graph()
    given, returned = NAMES[role]
    at = given
    if role != "decoder":
        at = graph.reshape(at, [-1, len(matrix)])
        at = graph.product(at, matrix)
        at = graph.integers(at) if specs["latent"].dtype == "int32" else at
    if role != "encoder":
        at = graph.node("Cast", at, to=TensorProto.FLOAT)
        at = graph.product(at, inverse)
        at = graph.reshape(at, [-1, *(size or 0 for size in specs["reconstruction"].sample_shape)])
    graph.node("Identity", at, name=returned)
    ends = [_value(specs[name]) for name in (given, returned)]
    whole = helper.make_graph(graph.nodes, role, ends[:1], ends[1:], graph.constants)
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)], producer_name="linear")
    model.ir_version = 8
    return model


def _value(spec: TensorSpec) -> Any:
    kind = TensorProto.INT32 if spec.dtype == "int32" else TensorProto.FLOAT
    return helper.make_tensor_value_info(spec.name, kind, ["batch", *spec.sample_shape])


class _Graph:
    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def node(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        name = name or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, values: Array) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def reshape(self, at: str, shape: list[int]) -> str:
        return self.node("Reshape", at, self.constant(np.array(shape, np.int64)))

    def product(self, at: str, matrix: Array) -> str:
        return self.node("MatMul", at, self.constant(matrix))

    def integers(self, at: str) -> str:
        larger = self.node("Mul", at, self.constant(np.array(SCALE, "f4")))
        return self.node("Cast", self.node("Round", larger), to=TensorProto.INT32)


def orthogonal(values: int, latent: int) -> Array:
    """[values, latent] with orthonormal columns, always the same."""
    assert latent <= values
    return np.linalg.qr(np.random.default_rng(0).normal(size=(values, latent)))[0].astype("f4")
