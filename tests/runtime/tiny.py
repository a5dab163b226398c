"""The smallest autoencoder that can be told from a wrong one, as ONNX and as TFLite, made without TensorFlow.

encoder: latent[batch, 2] = input[batch, 6] · E + e; decoder: reconstruction[batch, 6] = latent · D + d. Every number
differs from every other, so that a swapped, dropped or transposed one shows.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as tflite
from onnx import TensorProto, helper, numpy_helper

from aetool_exporters.bundle_writer import GOLDEN_PATH, GoldenFile, bundle_files, write_folder
from aetool_runtime.manifest import Golden, Manifest
from aetool_runtime.parity import DEFAULT_TOLERANCES, output_scale
from aetool_runtime.selftest import Case
from aetool_runtime.specs import Array, Artifact, Normalization, Role, TensorSpec

__all__ = [
    "OPENVINO",
    "SIZES",
    "Affine",
    "bundle_of",
    "model_of",
    "onnx_graph",
    "tflite_file",
    "tiny_files",
    "write_bundle",
]

OPENVINO = importlib.util.find_spec("openvino") is not None  # where it is installed, the contracts hold for it too
SIZES = {"input": 6, "latent": 2, "reconstruction": 6}
NAMES: dict[Role, tuple[str, str]] = {
    "encoder": ("input", "latent"),
    "decoder": ("latent", "reconstruction"),
    "autoencoder": ("input", "reconstruction"),
}
SIGNATURES: dict[Role, str] = {"encoder": "encode", "decoder": "decode", "autoencoder": "reconstruct"}


def _grid(rows: int, columns: int, start: float) -> Array:
    return (start + np.arange(rows * columns, dtype=np.float32).reshape(rows, columns) * 0.37 % 1.9 - 0.8).astype("f4")


@dataclass(frozen=True)
class Affine:
    """The weights, and what NumPy computes with them."""

    encoder: Array = field(default_factory=lambda: _grid(6, 2, 0.05))
    encoder_bias: Array = field(default_factory=lambda: np.array([0.25, -1.5], np.float32))
    decoder: Array = field(default_factory=lambda: _grid(2, 6, 0.11))
    decoder_bias: Array = field(default_factory=lambda: np.array([3.0, -2.0, 0.5, 7.0, -0.25, 1.0], np.float32))

    def encode(self, samples: Array) -> Array:
        return (samples.astype("f8") @ self.encoder + self.encoder_bias).astype("f4")

    def decode(self, latents: Array) -> Array:
        return (latents.astype("f8") @ self.decoder + self.decoder_bias).astype("f4")

    def layers(self, role: Role) -> list[tuple[Array, Array]]:
        encoder, decoder = (self.encoder, self.encoder_bias), (self.decoder, self.decoder_bias)
        return {"encoder": [encoder], "decoder": [decoder], "autoencoder": [encoder, decoder]}[role]


def samples(count: int, width: int = 6, seed: int = 0) -> Array:
    """[count, width] float32 in -3 … 3."""
    return np.random.default_rng(seed).uniform(-3, 3, (count, width)).astype(np.float32)


# --- graphs ---


def onnx_graph(role: Role, weights: Affine | None = None) -> onnx.ModelProto:
    """A role as one or two Gemm nodes."""
    given, returned = NAMES[role]
    nodes, initializers, at = [], [], given
    layers = (weights or Affine()).layers(role)
    for i, (matrix, bias) in enumerate(layers):
        output = returned if i == len(layers) - 1 else f"hidden{i}"
        initializers += [numpy_helper.from_array(matrix, f"w{i}"), numpy_helper.from_array(bias, f"b{i}")]
        nodes.append(helper.make_node("Gemm", [at, f"w{i}", f"b{i}"], [output]))
        at = output
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", SIZES[n]]) for n in (given, returned)]
    graph = helper.make_graph(nodes, role, ends[:1], ends[1:], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="tiny")
    model.ir_version = 8
    return model


def tflite_file(weights: Affine | None = None, batch: int = 1) -> bytes:
    """One file with the signatures encode, decode and reconstruct, each of FULLY_CONNECTED operations."""
    model = tflite.ModelT()
    model.version, model.description = 3, "tiny"
    code = tflite.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = tflite.BuiltinOperator.FULLY_CONNECTED
    code.version = 1
    model.operatorCodes, model.buffers = [code], [tflite.BufferT()]
    model.subgraphs = [_subgraph(model, role, weights or Affine(), batch) for role in NAMES]
    model.signatureDefs = [_signature(index, role) for index, role in enumerate(NAMES)]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _subgraph(model: Any, role: Role, weights: Affine, batch: int) -> Any:
    given, returned = NAMES[role]
    graph = tflite.SubGraphT()
    graph.name, graph.tensors, graph.operators = role, [_tensor(given, (batch, SIZES[given]))], []
    layers, at = weights.layers(role), 0
    for i, (matrix, bias) in enumerate(layers):
        constants = [_constant(model, graph, f"w{i}", matrix.T), _constant(model, graph, f"b{i}", bias)]
        name = returned if i == len(layers) - 1 else f"hidden{i}"
        graph.tensors.append(_tensor(name, (batch, len(bias))))
        operator = tflite.OperatorT()
        operator.opcodeIndex, operator.inputs = 0, [at, *constants]
        operator.outputs = [at := len(graph.tensors) - 1]
        operator.builtinOptionsType = tflite.BuiltinOptions.FullyConnectedOptions
        operator.builtinOptions = tflite.FullyConnectedOptionsT()
        graph.operators.append(operator)
    graph.inputs, graph.outputs = [0], [at]
    return graph


def _tensor(name: str, shape: tuple[int, ...], buffer: int = 0) -> Any:
    tensor = tflite.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name, list(shape), tflite.TensorType.FLOAT32, buffer
    return tensor


def _constant(model: Any, graph: Any, name: str, values: Array) -> int:
    buffer = tflite.BufferT()
    buffer.data = np.frombuffer(np.ascontiguousarray(values, "<f4").tobytes(), np.uint8)
    model.buffers.append(buffer)
    graph.tensors.append(_tensor(name, values.shape, len(model.buffers) - 1))
    return len(graph.tensors) - 1


def _signature(index: int, role: Role) -> Any:
    given, returned = NAMES[role]
    signature = tflite.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = SIGNATURES[role], index
    signature.inputs, signature.outputs = [_mapping(given, 0)], [_mapping(returned, 3 * len(Affine().layers(role)))]
    return signature


def _mapping(name: str, index: int) -> Any:
    mapping = tflite.TensorMapT()
    mapping.name, mapping.tensorIndex = name, index
    return mapping


# --- bundles ---


def artifact_of(role: Role, format_name: str, path: str, batch: int | None) -> Artifact:
    given, returned = (TensorSpec(name, "float32", (batch, SIZES[name])) for name in NAMES[role])
    return Artifact(
        role=role,
        format=format_name,
        precision="float32",
        path=path,
        inputs=(given,),
        outputs=(returned,),
        tolerance=DEFAULT_TOLERANCES["float32"],
        opset=17 if format_name == "onnx" else None,
        signature=SIGNATURES[role] if format_name == "tflite" else None,
    )


def onnx_files(weights: Affine | None = None) -> tuple[list[Artifact], dict[str, bytes]]:
    artifacts = [artifact_of(role, "onnx", f"{role}.onnx", None) for role in NAMES]
    return artifacts, {a.path: onnx_graph(a.role, weights).SerializeToString(deterministic=True) for a in artifacts}


def tflite_files(weights: Affine | None = None, batch: int = 1) -> tuple[list[Artifact], dict[str, bytes]]:
    path = "model.tflite"
    return [artifact_of(role, "tflite", path, batch) for role in NAMES], {path: tflite_file(weights, batch)}


def golden_of(weights: Affine | None = None, inputs: Array | None = None) -> list[Case]:
    """A case of samples and a case of latents alone, computed by NumPy."""
    weights = weights or Affine()
    given = samples(5) if inputs is None else inputs
    latent = weights.encode(given)
    corner = np.array([[1.0, -1.0]], np.float32)
    return [
        Case("held-out", {"input": given, "latent": latent, "reconstruction": weights.decode(latent)}),
        Case("corner", {"latent": corner, "reconstruction": weights.decode(corner)}),
    ]


def model_of(artifacts: list[Artifact], cases: list[Case]) -> tuple[Manifest, bytes]:
    """A manifest without its files, and the golden file."""
    held = {name: array for name, array in cases[0].tensors.items() if name != "input"}
    per_channel = {"latent": 1, "reconstruction": 6}
    outputs = {name: output_scale(array, zero=[0.0] * per_channel[name]) for name, array in held.items()}
    golden_file = GoldenFile()
    golden = Golden(GOLDEN_PATH, outputs, tuple(map(golden_file.place, cases)))
    manifest = Manifest(
        name="tiny",
        artifacts=tuple(artifacts),
        files={},
        golden=golden,
        normalization=Normalization((0.5,), (2.0,)),
        input_minimum=(-3.0,),
        input_maximum=(3.0,),
        parameters={"encoder": 14, "decoder": 18},
        created_with={"numpy": "2"},
    )
    return manifest, golden_file.data


def bundle_of(
    artifacts: list[Artifact], files: Mapping[str, bytes], cases: list[Case] | None = None
) -> dict[str, bytes]:
    """Every file of a bundle with these graphs."""
    manifest, data = model_of(artifacts, cases or golden_of())
    return bundle_files(replace(manifest, files={}), {**files, manifest.golden.path: data})


def tiny_files() -> dict[str, bytes]:
    """A bundle in both formats."""
    onnx_parts, tflite_parts = onnx_files(), tflite_files()
    return bundle_of(onnx_parts[0] + tflite_parts[0], {**onnx_parts[1], **tflite_parts[1]})


def write_bundle(folder: Path, files: Mapping[str, bytes]) -> Path:
    write_folder(folder, files)
    return folder
