"""One small Keras encoder and its ONNX graph, written by hand in float and with quantization, to be broken on purpose.

``conv`` → ``norm`` → ``relu`` → ``second`` (with ReLU) → ``flatten`` → ``latent``. In the graph every constant is named
``LAYER/WHAT``, and every tensor after the layer whose output it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from aetool_exporters import Reference, Samples
from aetool_exporters.bundle_writer import GOLDEN_PATH, GoldenFile, bundle_files, write_folder
from aetool_exporters.cases import golden_subset, make_suite
from aetool_runtime.bundle import Bundle, open_bundle
from aetool_runtime.manifest import Golden, Manifest
from aetool_runtime.parity import DEFAULT_TOLERANCES
from aetool_runtime.specs import Array, Artifact, Normalization

__all__ = [
    "CHANNELS",
    "Edit",
    "bundle_of",
    "constant",
    "drop",
    "encoder",
    "graph_of",
    "samples",
    "scale",
    "set_constant",
]

SIZE, CHANNELS, LATENT = 6, 4, 5
Edit = Callable[[onnx.ModelProto], None]


def encoder(outlier: float = 1.0) -> Reference:
    """The same weights in every process.

    Args:
        outlier: what channel 1 of ``second`` is multiplied by; ``latent`` does not read it then.
    """
    import keras
    from keras import layers

    given = keras.Input((SIZE, SIZE, 3), name="given")
    x = layers.Conv2D(CHANNELS, 3, padding="same", name="conv")(given)
    x = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(x))
    x = layers.Conv2D(CHANNELS, 3, padding="same", activation="relu", name="second")(x)
    latent = layers.Dense(LATENT, name="latent")(layers.Flatten(name="flatten")(x))
    model = keras.Model(given, latent)
    rng = np.random.default_rng(4)
    for variable in model.variables:
        values = rng.normal(0, 0.3, variable.shape)
        variable.assign(
            values if variable.name not in ("gamma", "moving_variance") else rng.uniform(0.3, 2, values.shape)
        )
    second, dense = model.get_layer("second"), model.get_layer("latent")
    gain = np.where(np.arange(CHANNELS) == 1, outlier, 1.0)
    second.kernel.assign(second.kernel * gain)
    second.bias.assign(second.bias * gain)
    if outlier != 1.0:
        read = np.where(np.arange(CHANNELS) == 1, 0.0, 1.0)[:, None]
        dense.kernel.assign((dense.kernel.numpy().reshape(-1, CHANNELS, LATENT) * read).reshape(dense.kernel.shape))
    return Reference(model, None, Normalization())


@cache
def samples() -> Samples:
    """64 of them, standard normal."""
    return Samples.of(np.random.default_rng(6).normal(size=(64, SIZE, SIZE, 3)).astype("f4"))


def graph_of(reference: Reference, *, quantized: bool = False, per_channel: bool = True) -> onnx.ModelProto:
    """The encoder as ONNX.

    Args:
        quantized: QDQ, 8 bits: uint8 activations over the range that ``samples`` have, int8 weights.
        per_channel: one scale for each output channel of a kernel.
    """
    return _Writer(reference.encoder, quantized=quantized, per_channel=per_channel).model()


class _Writer:
    def __init__(self, model: Any, *, quantized: bool, per_channel: bool) -> None:
        self._keras, self._quantized, self._per_channel = model, quantized, per_channel
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def model(self) -> onnx.ModelProto:
        at = self._node("Transpose", self._activation("input", "input"), name="first", perm=[0, 3, 1, 2])
        at = self._node("Conv", at, *self._weights("conv"), name="conv", pads=[1] * 4)
        norm = self._keras.get_layer("norm")
        gain = np.asarray(norm.gamma) / np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon)
        shift = np.asarray(norm.beta) - np.asarray(norm.moving_mean) * gain
        at = self._node("Mul", at, self._constant("norm/gain", gain.reshape(1, -1, 1, 1)), name="scaled")
        at = self._node("Add", at, self._constant("norm/shift", shift.reshape(1, -1, 1, 1)), name="norm")
        at = self._activation("relu", self._node("Relu", at, name="relu"))
        at = self._node("Conv", at, *self._weights("second"), name="second/sum", pads=[1] * 4)
        at = self._activation("second", self._node("Relu", at, name="second"))
        at = self._node("Transpose", at, name="back", perm=[0, 2, 3, 1])
        at = self._node("Reshape", at, self._constant("shape", np.array([-1, SIZE * SIZE * CHANNELS])), name="flat")
        kernel, bias = self._weights("latent")
        at = self._node("MatMul", at, kernel, name="latent/product")
        at = self._activation("latent", self._node("Add", at, bias, name="latent/sum"))
        self._node("Identity", at, name="latent")
        ends = [
            helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", SIZE, SIZE, 3]),
            helper.make_tensor_value_info("latent", TensorProto.FLOAT, ["batch", LATENT]),
        ]
        graph = helper.make_graph(self._nodes, "encoder", ends[:1], ends[1:], self._constants)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        made.ir_version = 8
        return made

    def _node(self, kind: str, *inputs: str, name: str, **attributes: Any) -> str:
        self._nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def _constant(self, name: str, values: Any) -> str:
        values = np.asarray(values)
        kept = values.astype("f4") if values.dtype.kind == "f" else values
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(kept), name))
        return name

    def _weights(self, layer: str) -> tuple[str, str]:
        kernel, bias = (np.asarray(value) for value in self._keras.get_layer(layer).weights)
        values = np.transpose(kernel, (3, 2, 0, 1)) if kernel.ndim == 4 else kernel
        axis = 0 if kernel.ndim == 4 else 1
        self._constant(f"{layer}/bias", bias)
        if not self._quantized:
            return self._constant(f"{layer}/kernel", values), f"{layer}/bias"
        others = tuple(other for other in range(values.ndim) if other != axis)
        reach = np.abs(values).max(axis=others if self._per_channel else None)
        step = np.maximum(reach, 1e-9) / 127
        shape = [-1 if place == axis else 1 for place in range(values.ndim)]
        integers = np.clip(np.rint(values / (step.reshape(shape) if step.ndim else step)), -127, 127).astype("i1")
        names = (
            self._constant(f"{layer}/kernel", integers),
            self._constant(f"{layer}/kernel/scale", step),
            self._constant(f"{layer}/kernel/zero", np.zeros(step.shape, "i1")),
        )
        return self._node("DequantizeLinear", *names, name=f"{layer}/kernel/real", axis=axis), f"{layer}/bias"

    def _activation(self, layer: str, tensor: str) -> str:
        if not self._quantized:
            return tensor
        values = samples().values if layer == "input" else _keras_output(self._keras, layer)
        low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
        step = (high - low) / 255
        parameters = (
            self._constant(f"{layer}/scale", np.float32(step)),
            self._constant(f"{layer}/zero", np.uint8(round(-low / step))),
        )
        stored = self._node("QuantizeLinear", tensor, *parameters, name=f"{layer}/stored")
        return self._node("DequantizeLinear", stored, *parameters, name=f"{layer}/real")


def _keras_output(model: Any, layer: str) -> Array:
    import keras

    part = keras.Model(model.input, model.get_layer(layer).output)
    return np.asarray(part(samples().values, training=False))


def bundle_of(reference: Reference, graphs: dict[str, onnx.ModelProto], folder: Path) -> Bundle:
    """A bundle with the encoder at some precisions, judged by nobody.

    Args:
        graphs: precision → graph.
    """
    suite = make_suite(reference, samples())
    golden = GoldenFile()
    cases = tuple(map(golden.place, golden_subset(suite)))
    interface = reference.interface("encoder")
    files = {f"{name}.onnx": graph.SerializeToString(deterministic=True) for name, graph in graphs.items()}
    artifacts = tuple(
        Artifact("encoder", "onnx", name, f"{name}.onnx", (interface.given,), interface.returned, tolerance, 17)
        for name, tolerance in ((name, DEFAULT_TOLERANCES[name]) for name in graphs)
    )
    manifest = Manifest(name="broken", artifacts=artifacts, files={}, golden=Golden(GOLDEN_PATH, suite.scales, cases))
    write_folder(folder, bundle_files(replace(manifest, files={}), {**files, GOLDEN_PATH: golden.data}))
    return open_bundle(folder)


# --- what can be broken ---


def constant(model: onnx.ModelProto, name: str) -> Array:
    return numpy_helper.to_array(next(tensor for tensor in model.graph.initializer if tensor.name == name))


def set_constant(name: str, change: Callable[[Array], Any]) -> Edit:
    """Replace a constant by what a function makes of it."""

    def edit(model: onnx.ModelProto) -> None:
        tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
        old = numpy_helper.to_array(tensor)
        tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(change(old.copy()), old.dtype), name))

    return edit


def scale(name: str, factor: float) -> Edit:
    return set_constant(name, lambda values: values * factor)


def drop(name: str) -> Edit:
    """Take a node away; what reads it reads its first input."""

    def edit(model: onnx.ModelProto) -> None:
        node = next(node for node in model.graph.node if node.name == name)
        model.graph.node.remove(node)
        for other in model.graph.node:
            for place, read in enumerate(other.input):
                if read == name:
                    other.input[place] = node.input[0]

    return edit
