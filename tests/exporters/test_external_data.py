"""Weights beside an ONNX graph: for models that a protobuf is too small for; here from 1 MiB on, which is as good."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from keras import layers
from tests.exporters.keras_models import compose, sample

import aetool_exporters.pipeline as flow
from aetool_exporters import ExportOptions, Samples, export
from aetool_exporters.budget import Budget, HeldOut
from aetool_exporters.budget.latency import measure_latency
from aetool_exporters.budget.meter import Meter
from aetool_exporters.drift import find_drift
from aetool_exporters.onnx import OnnxExporter
from aetool_exporters.ort import OrtExporter
from aetool_exporters.reference import Reference
from aetool_exporters.request import Exported, ExportRequest
from aetool_exporters.tflite import TfliteExporter
from aetool_runtime import Autoencoder, open_bundle
from aetool_runtime.backends import load_backend, load_graph
from aetool_runtime.bundle import Bundle
from aetool_runtime.errors import BackendError, ConversionError, DigestError, UnsafeError
from aetool_runtime.specs import Array, Artifact

TINY = 1 << 20
GRAPH, BESIDE = "onnx/encoder.float32.onnx", "onnx/encoder.float32.data"


@cache
def reference() -> Reference:
    """Two weights of more than 1 MiB, a transposed one among them, and small ones."""
    return compose(
        (20, 20, 1),
        [
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(120, "relu"),
            layers.Dense(4),
        ],
        [layers.Dense(800, "relu"), layers.Dense(400), layers.BatchNormalization(), layers.Reshape((20, 20, 1))],
    )


@cache
def exported(limit: int) -> Exported:
    return OnnxExporter(limit).export(reference(), ExportRequest("m"))


def encoder() -> Artifact:
    return exported(TINY).artifacts[0]


def test_weights_are_beside_from_the_limit_on() -> None:
    beside, whole = exported(TINY), exported(1 << 30)
    assert [artifact.external_data for artifact in whole.artifacts] == [None] * 3
    assert [artifact.external_data for artifact in beside.artifacts] == [
        f"onnx/{artifact.role}.float32.data" for artifact in beside.artifacts
    ]
    assert len(beside.files[GRAPH]) < 20_000
    assert len(beside.files[BESIDE]) >= 3200 * 120 * 4


def test_both_hold_the_same_tensors() -> None:
    beside = onnx.load_from_string(exported(TINY).files[GRAPH])
    whole = onnx.load_from_string(exported(1 << 30).files[GRAPH])
    data = exported(TINY).files[BESIDE]
    assert beside.graph.node == whole.graph.node
    for one, other in zip(beside.graph.initializer, whole.graph.initializer, strict=True):
        entries = {entry.key: entry.value for entry in one.external_data}
        if entries:
            assert int(entries["offset"]) % 4096 == 0
            end = int(entries["offset"]) + int(entries["length"])
            assert data[int(entries["offset"]) : end] == other.raw_data
        else:
            assert one == other


def test_a_whole_file_is_what_protobuf_would_write() -> None:
    data = exported(1 << 30).files["onnx/autoencoder.float32.onnx"]
    assert onnx.load_from_string(data).SerializeToString(deterministic=True) == data


@pytest.mark.parametrize("as_zip", [False, True])
def test_a_bundle_with_weights_beside(as_zip: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "_exporter", lambda name: OnnxExporter(TINY))
    monkeypatch.chdir(tmp_path)
    Path(Path(BESIDE).name).write_bytes(b"a trap: an engine that looks for a file finds this one")
    samples = sample(reference(), 32)
    export(
        reference().encoder,
        reference().decoder,
        tmp_path / "b.aepkg",
        samples=Samples.of(samples),
        options=ExportOptions(formats=("onnx",), zip=as_zip),
    )
    bundle = open_bundle(tmp_path / "b.aepkg")
    assert BESIDE in bundle.manifest.files
    with Autoencoder.open(bundle.path) as model:
        np.testing.assert_allclose(model.encode(samples), reference().compute("encoder", samples), atol=1e-4)
    document = json.loads(bundle.text)
    assert document["artifacts"][0]["external_data"] == BESIDE


def test_damage_beside_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "_exporter", lambda name: OnnxExporter(TINY))
    options = ExportOptions(formats=("onnx",))
    export(reference().encoder, None, tmp_path / "b", samples=Samples.of(sample(reference(), 4)), options=options)
    data = bytearray((tmp_path / "b" / BESIDE).read_bytes())
    data[-1] ^= 1
    (tmp_path / "b" / BESIDE).write_bytes(data)
    with pytest.raises(DigestError):
        open_bundle(tmp_path / "b")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """With weights beside every graph."""
    options = ExportOptions(formats=("onnx",))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flow, "_exporter", lambda name: OnnxExporter(TINY))
        samples = Samples.of(sample(reference(), 32))
        target = tmp_path_factory.mktemp("external") / "b"
        return export(reference().encoder, reference().decoder, target, samples=samples, options=options)


def test_its_layers_can_be_walked(bundle: Bundle) -> None:
    artifact = bundle.manifest.artifacts[0]
    assert artifact.external_data
    report = find_drift(bundle, reference(), artifact, Samples.of(sample(reference(), 8)))
    assert [row.name for row in report.layers] == [
        layer.name for layer in reference().encoder.layers if type(layer) in (layers.Conv2D, layers.Dense)
    ]
    assert report.first is None
    assert report.engine_snr > 90


def test_a_budget_can_be_measured_on_it() -> None:
    samples = sample(reference(), 8)
    meter = Meter(reference(), Budget.parse("psnr:0.1"), HeldOut(samples, peak=4.0))
    beside, whole = exported(TINY), exported(1 << 30)
    assert meter.measure(beside) == meter.measure(whole)
    assert meter.measure(beside).loss == pytest.approx(0.0, abs=1e-3)
    assert set(measure_latency({"beside": beside}, samples[:1])) == {"beside"}


def load(artifact: Artifact, files: dict[str, bytes]) -> Array:
    graph = load_graph(load_backend("onnxruntime"), artifact, files.__getitem__, device="cpu", threads=1)
    return graph.run(sample(reference(), 2))[0]


def changed(change: Callable[[onnx.ModelProto, onnx.TensorProto], None]) -> dict[str, bytes]:
    model = onnx.load_from_string(exported(TINY).files[GRAPH])
    change(model, next(tensor for tensor in model.graph.initializer if tensor.external_data))
    return {GRAPH: model.SerializeToString(), BESIDE: exported(TINY).files[BESIDE]}


def entry(tensor: onnx.TensorProto, key: str, value: str) -> None:
    next(entry for entry in tensor.external_data if entry.key == key).value = value


def deeper(model: onnx.ModelProto, tensor: onnx.TensorProto) -> None:
    model.graph.node.append(onnx.helper.make_node("Constant", [], ["c"], value=tensor))


STRANGE: dict[str, Callable[[onnx.ModelProto, onnx.TensorProto], None]] = {
    "another file": lambda model, tensor: entry(tensor, "location", "other.data"),
    "a path": lambda model, tensor: entry(tensor, "location", f"./{Path(BESIDE).name}"),
    "a path from the root": lambda model, tensor: entry(tensor, "location", "/etc/passwd"),
    "an address in memory": lambda model, tensor: entry(tensor, "location", "*/_ORT_MEM_ADDR_/*"),
    "past the end": lambda model, tensor: entry(tensor, "offset", str(1 << 30)),
    "a length past the end": lambda model, tensor: entry(tensor, "length", str(1 << 30)),
    "a negative offset": lambda model, tensor: entry(tensor, "offset", "-4096"),
    "an offset that is no number": lambda model, tensor: entry(tensor, "offset", "0x0"),
    "a digit of another script": lambda model, tensor: entry(tensor, "offset", "٠"),
    "no length": lambda model, tensor: tensor.external_data.pop(),
    "a location twice": lambda model, tensor: tensor.external_data.add(key="location", value="x"),
    "one more entry": lambda model, tensor: tensor.external_data.add(key="checksum", value="x"),
    "entries alone": lambda model, tensor: tensor.ClearField("data_location"),
    "data of its own": lambda model, tensor: setattr(tensor, "raw_data", b"1234"),
    "in a Constant": deeper,
    "a sparse one": lambda model, tensor: model.graph.sparse_initializer.add().values.CopyFrom(tensor),
}


@pytest.mark.parametrize("strange", STRANGE)
def test_what_points_elsewhere_is_refused(strange: str) -> None:
    with pytest.raises(UnsafeError, match="keeps a tensor in another file"):
        load(encoder(), changed(STRANGE[strange]))


def test_what_is_as_it_should_be_runs() -> None:
    expected = reference().compute("encoder", sample(reference(), 2))
    np.testing.assert_allclose(load(encoder(), changed(lambda model, tensor: None)), expected, atol=1e-4)


def test_a_manifest_that_does_not_name_the_file_is_refused() -> None:
    with pytest.raises(UnsafeError):
        load(replace(encoder(), external_data=None), changed(lambda model, tensor: None))


def test_what_holds_less_than_2_gib_is_refused_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ort = OrtExporter()
    ort.derive_from(OnnxExporter(TINY))
    with pytest.raises(ConversionError, match="which is what an ORT file holds"):
        ort.export(reference(), ExportRequest("m"))
    monkeypatch.setattr("aetool_exporters.tflite.exporter.LARGEST", TINY)
    with pytest.raises(ConversionError, match=r"(?s)which is what a TFLite file holds.*--onnx"):
        TfliteExporter().export(reference(), ExportRequest("m"))
    monkeypatch.setattr("aetool_exporters.onnx.build.LIMIT", TINY)
    with pytest.raises(ConversionError, match=r"(?s)for any other precision.*float32 only"):
        OnnxExporter().export(reference(), ExportRequest("m", "float16"))


def test_an_engine_that_takes_no_file_beside_says_so() -> None:
    class Plain:
        name, formats = "plain", ("onnx",)

        def load(self, data: bytes, artifact: Artifact, *, device: str, threads: int) -> None: ...

    with pytest.raises(BackendError, match="plain takes no graph whose weights stand beside it"):
        load_graph(Plain(), encoder(), dict(exported(TINY).files).__getitem__, device="cpu", threads=1)  # type: ignore[arg-type]
