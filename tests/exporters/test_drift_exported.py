"""What the exporters write: every layer finds its tensor at every precision, and damage to a TFLite file is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from aetool_exporters import ExportOptions, Reference, Samples, export
from aetool_exporters.bundle_writer import bundle_files, write_folder
from aetool_exporters.drift import find_drift
from aetool_exporters.request import Calibration, QuantizationOptions
from aetool_exporters.tflite.flatbuffer import read, write
from aetool_runtime.bundle import Bundle, open_bundle
from aetool_runtime.specs import Array, Artifact, Normalization

from .keras_models import MODELS, sample

PRECISIONS = ("float32", "float16", "dynamic_range", "int8")
NORMALIZATION = Normalization((100.0, 90.0, 80.0), (30.0, 30.0, 40.0))


def build() -> Reference:
    """Branches that meet, a normalization that is folded, one that is not, and upsampling."""
    keras.utils.set_random_seed(3)
    given = keras.Input((8, 8, 3))
    stem = layers.Conv2D(8, 3, padding="same", name="stem")(given)
    left = layers.Conv2D(8, 3, padding="same", activation="relu", name="left")(stem)
    right = layers.BatchNormalization(name="norm")(layers.Conv2D(8, 5, padding="same", name="right")(stem))
    right = layers.ReLU(name="rectified")(right)
    joined = layers.Concatenate(name="joined")([layers.Add(name="sum")([left, right]), stem])
    down = layers.Conv2D(4, 3, strides=2, padding="same", name="down")(joined)
    encoder = keras.Model(given, layers.Dense(6, name="latent")(layers.Flatten()(down)))
    code = keras.Input((6,))
    x = layers.Reshape((4, 4, 4))(layers.Dense(64, activation="relu", name="widen")(code))
    x = layers.Conv2D(4, 3, padding="same", name="before")(layers.UpSampling2D(2, name="larger")(x))
    x = layers.LayerNormalization(name="layer_norm")(x)
    decoder = keras.Model(code, layers.Conv2D(3, 3, padding="same", activation="sigmoid", name="last")(x))
    generator = np.random.default_rng(1)
    for model in (encoder, decoder):
        for variable in model.variables:
            if len(variable.shape) == 1:
                variable.assign(generator.uniform(0.3, 1.2, variable.shape))
    return Reference(encoder, decoder, NORMALIZATION)


@pytest.fixture(scope="module")
def branching() -> Reference:
    return build()


@pytest.fixture(scope="module")
def values() -> Array:
    return np.asarray(NORMALIZATION.invert(np.random.default_rng(0).normal(size=(64, 8, 8, 3))))


@pytest.fixture(scope="module")
def exported(branching: Reference, values: Array, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    def batches() -> Iterator[Array]:
        yield values

    options = ExportOptions(precisions=PRECISIONS, quantization=QuantizationOptions(calibration=Calibration(batches)))
    return export(
        branching.encoder,
        branching.decoder,
        tmp_path_factory.mktemp("drift") / "b.aepkg",
        normalization=NORMALIZATION,
        samples=Samples.of(values),
        options=options,
    )


def artifact_of(bundle: Bundle, role: str, kind: str, precision: str) -> Artifact:
    wanted = (role, kind, precision)
    return next(a for a in bundle.manifest.artifacts if (a.role, a.format, a.precision) == wanted)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("kind", ["onnx", "tflite"])
def test_a_sound_artifact_passes_and_its_layers_are_recognized(
    exported: Bundle, branching: Reference, values: Array, kind: str, precision: str
) -> None:
    artifact = artifact_of(exported, "autoencoder", kind, precision)
    report = find_drift(exported, branching, artifact, Samples.of(values))
    assert report.passed, [(row.name, row.snr, row.own) for row in report.layers if row.beyond] + list(report.notes)
    met = {name for row in report.layers for name in (row.name, *row.fused)}
    assert met >= {"stem", "left", "right", "norm", "sum", "joined", "down", "latent", "widen", "before", "last"}
    matched = [row.name for row in report.layers]
    assert {"stem", "left", "sum", "down", "latent"} <= set(matched)
    assert len(matched) == len(set(matched))


@pytest.mark.parametrize("kind", ["onnx", "tflite"])
def test_the_last_ratio_is_the_one_that_the_manifest_has(
    exported: Bundle, branching: Reference, values: Array, kind: str
) -> None:
    artifact = artifact_of(exported, "autoencoder", kind, "int8")
    report = find_drift(exported, branching, artifact, Samples.of(values))
    assert report.layers[-1].snr == pytest.approx(artifact.snr["reconstruction"], abs=1.5)


@pytest.mark.parametrize(("role", "first"), [("encoder", "normalization"), ("decoder", "widen")])
def test_a_half_is_walked_too(exported: Bundle, branching: Reference, values: Array, role: str, first: str) -> None:
    report = find_drift(exported, branching, artifact_of(exported, role, "onnx", "float32"), Samples.of(values))
    assert report.passed
    assert report.layers[0].name == first


# --- damage to a TFLite file ---


def damaged(bundle: Bundle, artifact: Artifact, edit: Callable[[Any, Any], None], folder: Path) -> Bundle:
    """The bundle with another file; the edit is given the model and the signature's subgraph."""
    model = read(bundle.read(artifact.path))
    key = str(artifact.signature).encode()
    entry = next(entry for entry in model.signatureDefs if entry.signatureKey == key)
    edit(model, model.subgraphs[entry.subgraphIndex])
    files = {path: bundle.read(path) for path in bundle.manifest.files}
    files[artifact.path] = write(model)
    write_folder(folder, bundle_files(replace(bundle.manifest, files={}), files))
    return open_bundle(folder)


def buffer(model: Any, tensor: Any, dtype: str, change: Callable[[Array], Array]) -> None:
    """Change a constant, for all who share it."""
    held = model.buffers[tensor.buffer]
    values = np.frombuffer(np.asarray(held.data, np.uint8).tobytes(), dtype).reshape(tensor.shape)
    held.data = np.frombuffer(np.ascontiguousarray(change(values.copy()), dtype).tobytes(), np.uint8)


def stem_kernel(model: Any, graph: Any) -> Any:
    return next(tensor for tensor in graph.tensors if list(tensor.shape) == [8, 3, 3, 3])


def mirror_the_stem(model: Any, graph: Any) -> None:
    buffer(model, stem_kernel(model, graph), "f4", lambda kernel: kernel[:, ::-1, ::-1])


def change_one_weight(model: Any, graph: Any) -> None:
    def change(kernel: Array) -> Array:
        kernel[2, 1, 1, 0] += 1.0
        return kernel

    buffer(model, stem_kernel(model, graph), "f4", change)


def saturate_the_stem(model: Any, graph: Any) -> None:
    index = next(i for i, tensor in enumerate(graph.tensors) if list(tensor.shape) == [8, 3, 3, 3])
    made = next(operator.outputs[0] for operator in graph.operators if index in list(operator.inputs))
    parameters = graph.tensors[made].quantization
    parameters.scale = [float(parameters.scale[0]) / 12]


DAMAGES = [
    (mirror_the_stem, "float32", "wrong_layout"),
    (change_one_weight, "float32", "changed_weights"),
    (saturate_the_stem, "int8", "clipped_activation"),
]


@pytest.mark.parametrize(("damage", "precision", "cause"), DAMAGES, ids=[d[0].__name__ for d in DAMAGES])
def test_damage_to_a_tflite_file(
    exported: Bundle,
    branching: Reference,
    values: Array,
    tmp_path: Path,
    damage: Callable[[Any, Any], None],
    precision: str,
    cause: str,
) -> None:
    artifact = artifact_of(exported, "encoder", "tflite", precision)
    bundle = damaged(exported, artifact, damage, tmp_path / "b")
    report = find_drift(bundle, branching, artifact_of(bundle, "encoder", "tflite", precision), Samples.of(values))
    assert report.first is not None
    assert report.first.name == "stem"
    assert report.first.causes[0].kind == cause


# --- other kinds of models ---

OTHERS = ("variational", "codes", "lstm", "small_signal_on_a_large_offset", "decoder_only")


@pytest.mark.parametrize("name", OTHERS)
def test_other_kinds_of_models_are_walked_from_end_to_end(name: str, tmp_path: Path) -> None:
    """Two outputs, integers between, time before the batch, values that float32 hardly resolves, a half alone."""
    reference = MODELS[name]()
    given = Samples.of(sample(reference, 40))
    bundle = export(
        reference.encoder, reference.decoder, tmp_path / "b", normalization=reference.normalization, samples=given
    )
    for artifact in bundle.manifest.artifacts:
        report = find_drift(bundle, reference, artifact, given)
        assert report.passed, (artifact, [(row.name, row.snr, row.own) for row in report.layers if row.beyond])
        assert report.layers[-1].tensor.endswith(tuple(output.name for output in artifact.outputs))
