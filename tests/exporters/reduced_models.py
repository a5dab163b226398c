"""Models whose parts eight bits treat differently, and the reading of what became of them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from keras import layers
from tests.exporters.keras_models import MODELS, compose, sample

from aetool_exporters.reference import Reference
from aetool_exporters.request import Calibration, Exported, ExportRequest, QuantizationOptions
from aetool_exporters.tflite import TfliteExporter
from aetool_exporters.tflite.editing import operator_name
from aetool_exporters.tflite.flatbuffer import read, tensor_dtype
from aetool_runtime.specs import Artifact, Normalization

Array = np.ndarray[Any, Any]
SAMPLES = 300


def wide_latent() -> Reference:
    """A latent from −50 to 50 and outputs that saturate."""
    return compose(
        (20,),
        [layers.Dense(16, "relu"), layers.Dense(4), layers.Rescaling(25.0)],
        [layers.Rescaling(0.04), layers.Dense(16, "tanh"), layers.Dense(20, "sigmoid")],
    )


def channels_of_different_size() -> Reference:
    """No normalization in the model, and one of the sensors is a thousand times larger than the others."""
    reference = compose(
        (32, 3), [layers.Conv1D(8, 3, activation="relu", name="first"), layers.Flatten(), layers.Dense(4)], None
    )
    kernel, bias = reference.encoder.get_layer("first").get_weights()  # type: ignore[union-attr]
    kernel[:, 0] /= 1000
    reference.encoder.get_layer("first").set_weights([kernel, bias])  # type: ignore[union-attr]
    return reference


def large_offset() -> Reference:
    """Raw values around 1000 that vary by one, and no normalization."""
    reference = compose((16,), [layers.Dense(8, name="first"), layers.Dense(3)], None)
    kernel, _ = reference.encoder.get_layer("first").get_weights()  # type: ignore[union-attr]
    reference.encoder.get_layer("first").set_weights([kernel, -1000 * kernel.sum(axis=0)])  # type: ignore[union-attr]
    return reference


def depthwise() -> Reference:
    return compose(
        (12, 12, 2),
        [
            layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2),
            layers.BatchNormalization(),
            layers.ReLU(6.0),
            layers.AveragePooling2D(2),
            layers.Conv2D(3, 1),
        ],
        [layers.UpSampling2D(2, interpolation="bilinear"), layers.SeparableConv2D(2, 3, padding="same")],
    )


REDUCED = {**MODELS, **{f.__name__: f for f in (wide_latent, channels_of_different_size, large_offset, depthwise)}}


@cache
def made(name: str) -> tuple[Reference, TfliteExporter]:
    """A reference and its exporter, which asks TensorFlow once."""
    return REDUCED[name](), TfliteExporter()


def data_for(name: str, seed: int = 1, count: int = SAMPLES) -> Array:
    reference, _ = made(name)
    if reference.encoder is None:
        shape = (count, *reference.given.sample_shape)
        return np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    raw = sample(reference, count, seed)
    if name == "channels_of_different_size":
        raw[..., 0] *= 1000
    return raw + np.float32(1000) if name == "large_offset" else raw


@cache
def reduced(name: str, precision: str, **options: Any) -> Exported:
    reference, exporter = made(name)
    method = options.pop("method", "minmax")

    def batches() -> Iterator[Array]:
        yield from np.array_split(data_for(name), 5)

    quantization = QuantizationOptions(calibration=Calibration(batches, method), **options)
    return exporter.export(reference, ExportRequest(name, precision, quantization=quantization))


def run(exported: Exported, artifact: Artifact, values: Array, resolver: Any = OpResolverType.AUTO) -> dict[str, Array]:
    """Real values in and out."""
    interpreter = Interpreter(
        model_content=exported.files[artifact.path], experimental_op_resolver_type=resolver, num_threads=1
    )
    runner = interpreter.get_signature_runner(artifact.signature)
    stored = artifact.inputs[0].stored(values)
    pieces = [runner(**{artifact.inputs[0].name: stored[i : i + 1]}) for i in range(len(stored))]
    return {spec.name: spec.real(np.concatenate([piece[spec.name] for piece in pieces])) for spec in artifact.outputs}


def decibels(expected: Array, met: Array, normalization: Normalization | None = None) -> float:
    """Signal-to-noise ratio, in the units that the network works in."""
    if normalization is not None:
        expected, met = (
            (values.astype(np.float64) - np.array(normalization.offset)) / np.array(normalization.scale)
            for values in (expected, met)
        )
    signal = float(np.mean((expected - expected.mean()) ** 2))
    noise = float(np.mean((expected.astype(np.float64) - met) ** 2))
    return 200.0 if noise == 0 else 10 * np.log10(signal / noise)


def least_decibels(name: str, exported: Exported) -> float:
    """Of all outputs of all roles, on data like the calibration's."""
    reference, _ = made(name)
    held_out = data_for(name)[::15]
    found = []
    for artifact in exported.artifacts:
        given = held_out
        if artifact.inputs[0].name != reference.given.name:
            given = reference.compute("encoder", held_out)
        wanted = reference.compute_all(artifact.role, given)
        met = run(exported, artifact, given)
        units = {"reconstruction": reference.normalization}
        found += [decibels(wanted[output], met[output], units.get(output)) for output in wanted]
    return min(found)


def operations(exported: Exported, signature: str = "") -> list[tuple[str, str]]:
    """Operation and the dtype of what it makes, in order; of one signature or of all graphs."""
    model = read(next(iter(exported.files.values())))
    return [
        (operator_name(model, operator), tensor_dtype(graph.tensors[int(operator.outputs[0])].type))
        for graph in model.subgraphs
        if signature in ("", graph.name.decode())
        for operator in graph.operators
    ]
