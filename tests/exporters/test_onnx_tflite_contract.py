"""One contract for both exporters: what a file of each format is called, says about itself, and computes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers
from tests.exporters.keras_models import MODELS, compose, oddball, sample

from aetool_exporters.metadata import PREFIX
from aetool_exporters.onnx import OnnxExporter
from aetool_exporters.reference import Reference
from aetool_exporters.request import Calibration, Exported, Exporter, ExportRequest, QuantizationOptions
from aetool_exporters.tflite import TfliteExporter
from aetool_exporters.tflite.flatbuffer import read
from aetool_runtime.errors import ConversionError, UnsupportedOperatorError, UsageError
from aetool_runtime.specs import Artifact

ROOT = Path(__file__).parents[2]
EXPORTERS: dict[str, type[Exporter]] = {"onnx": OnnxExporter, "tflite": TfliteExporter}
SHARE_OF_SCALE = 1e-5

both_formats = pytest.mark.parametrize("format_name", EXPORTERS)
every_model = pytest.mark.parametrize("model", MODELS)


@cache
def exported(format_name: str, model: str) -> tuple[Reference, Exported]:
    reference = MODELS[model]()
    return reference, EXPORTERS[format_name]().export(reference, ExportRequest(model))


def run(artifact: Artifact, data: bytes, array: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """The artifact's outputs by its engine, addressed by the names that the artifact gives."""
    given, names = artifact.inputs[0].name, [output.name for output in artifact.outputs]
    if artifact.format == "onnx":
        outputs = onnxruntime.InferenceSession(data).run(names, {given: array})
        return dict(zip(names, outputs, strict=True))
    runner = Interpreter(model_content=data).get_signature_runner(artifact.signature)
    pieces = [runner(**{given: array[i : i + 1]}) for i in range(len(array))]
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in names}


def metadata(format_name: str, data: bytes) -> dict[str, str]:
    if format_name == "onnx":
        return {entry.key: entry.value for entry in onnx.load_from_string(data).metadata_props}
    model = read(data)
    entries = {entry.name.decode(): bytes(model.buffers[entry.buffer].data).decode() for entry in model.metadata}
    return {key: value for key, value in entries.items() if key.startswith(PREFIX)}


@both_formats
@every_model
def test_computes_what_keras_computes(format_name: str, model: str) -> None:
    reference, result = exported(format_name, model)
    for artifact in result.artifacts:
        for seed, batch in ((1, 1), (2, 5)):
            given = sample(reference, batch, seed)
            if artifact.role == "decoder" and reference.encoder is not None:
                given = reference.compute("encoder", given)
            wanted = reference.compute_all(artifact.role, given)
            outputs = run(artifact, result.files[artifact.path], given)
            assert outputs.keys() == wanted.keys()
            for name, expected in wanted.items():
                assert outputs[name].shape == expected.shape
                scale = max(float(expected.std()), 1e-3)
                rounding = 4 * 2.0**-23 * float(np.abs(expected).max())
                error = float(np.abs(outputs[name] - expected).max())
                assert error <= SHARE_OF_SCALE * scale + rounding, f"{artifact} {name} seed {seed}"


@both_formats
@every_model
def test_artifacts_are_named_and_shaped_like_the_reference(format_name: str, model: str) -> None:
    reference, result = exported(format_name, model)
    free: int | None = None if format_name == "onnx" else 1
    assert [artifact.role for artifact in result.artifacts] == list(reference.roles)
    assert {artifact.path for artifact in result.artifacts} == set(result.files)
    for artifact in result.artifacts:
        interface = reference.interface(artifact.role)
        for met, specs in ((artifact.inputs, (interface.given,)), (artifact.outputs, interface.returned)):
            expected = [(spec.name, spec.dtype, (free, *spec.sample_shape)) for spec in specs]
            assert [(tensor.name, tensor.dtype, tensor.shape) for tensor in met] == expected


@both_formats
@every_model
def test_files_describe_themselves(format_name: str, model: str) -> None:
    reference, result = exported(format_name, model)
    for path, data in result.files.items():
        roles = [artifact.role for artifact in result.artifacts if artifact.path == path]
        interfaces = [reference.interface(role) for role in roles]
        entries = metadata(format_name, data)
        assert list(entries) == sorted(entries)
        assert {key: value for key, value in entries.items() if "tensor." not in key} == {
            "aetool.name": model,
            "aetool.role": ",".join(roles),
            "aetool.precision": "float32",
            "aetool.version": "1",
            "aetool.input": ",".join(interface.given.name for interface in interfaces),
            "aetool.output": ",".join(interface.returned[0].name for interface in interfaces),
        }
        assert {key for key in entries if "tensor." in key} == {
            f"aetool.tensor.{spec.name}" for interface in interfaces for spec in (interface.given, *interface.returned)
        }


def test_metadata_gives_dtypes_and_shapes() -> None:
    entries = metadata("onnx", exported("onnx", "tokens")[1].files["onnx/encoder.float32.onnx"])
    assert entries["aetool.tensor.input"] == "int32[batch, 6]"
    assert entries["aetool.tensor.latent"] == "float32[batch, 3]"


def test_paths() -> None:
    assert sorted(exported("onnx", "dense")[1].files) == [
        "onnx/autoencoder.float32.onnx",
        "onnx/decoder.float32.onnx",
        "onnx/encoder.float32.onnx",
    ]
    assert list(exported("onnx", "encoder_only")[1].files) == ["onnx/encoder.float32.onnx"]
    assert list(exported("tflite", "dense")[1].files) == ["tflite/model.float32.tflite"]


# One model for each way in which converters are known to be unstable: loops, fusions, normalization, sharing.
UNSTABLE = ("dense", "variational", "conv_1d", "upsampling", "gelu", "normalized_per_channel", "gru")
PRINT_DIGESTS = f"""
import json, sys, time
now = time.time
time.time = lambda: now() + 400 * 86400
sys.path.insert(0, {str(ROOT)!r})
from tests.exporters.test_onnx_tflite_contract import digests
print(json.dumps(digests()))
"""


def digests() -> dict[str, str]:
    """Of all formats: unstable models at float32, and one at every other precision."""
    files = {
        f"{model} {path}": data
        for format_name in EXPORTERS
        for model in UNSTABLE
        for path, data in exported(format_name, model)[1].files.items()
    }
    for exporter in (kind() for kind in EXPORTERS.values()):
        reference = MODELS["conv_1d"]()
        calibration = Calibration(lambda: iter([sample(reference, 16)]), "entropy")  # noqa: B023
        for precision in exporter.precisions:
            options = QuantizationOptions(calibration)
            files |= exporter.export(reference, ExportRequest("m", precision, quantization=options)).files
    return {path: sha256(data).hexdigest() for path, data in files.items()}


@pytest.mark.slow
def test_bytes_are_the_same_in_every_process(tmp_path: Path) -> None:
    """With another hash seed, working folder, folder for temporary files, time zone and day."""
    environment = {**os.environ, "PYTHONHASHSEED": "1", "TMPDIR": str(tmp_path), "TZ": "Asia/Tokyo"}
    done = subprocess.run(
        [sys.executable, "-c", PRINT_DIGESTS],
        cwd=tmp_path,
        env={**environment, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=True,
    )
    here = digests()
    assert {path.split("/")[-1].split(".")[1] for path in here} >= {"float32", "float16", "dynamic_range", "int8"}
    assert json.loads(done.stdout) == here


@both_formats
def test_bytes_do_not_depend_on_what_the_process_did_before(format_name: str) -> None:
    _, first = exported(format_name, "conv_1d")
    again = EXPORTERS[format_name]().export(MODELS["conv_1d"](), ExportRequest("conv_1d"))
    assert again.files == first.files


@both_formats
def test_an_operation_without_counterpart_is_refused_by_name(format_name: str) -> None:
    with pytest.raises(UnsupportedOperatorError) as refusal:
        EXPORTERS[format_name]().export(oddball(), ExportRequest("oddball"))
    assert "Erfinv" in refusal.value.what
    assert "'oddball'" in refusal.value.where
    assert refusal.value.hint


class Sampling(layers.Layer):
    def call(self, tensor: Any) -> Any:
        import tensorflow as tf

        return tensor + tf.random.normal(tf.shape(tensor))


@both_formats
def test_random_numbers_are_refused(format_name: str) -> None:
    reference = compose((8,), [layers.Dense(4), Sampling()], None)
    with pytest.raises(UnsupportedOperatorError, match=r"(?i)random"):
        EXPORTERS[format_name]().export(reference, ExportRequest("random"))


class Failing(layers.Layer):
    failing = False

    def call(self, tensor: Any) -> Any:
        if self.failing:
            raise LookupError("lost my way")
        return tensor * 2


@both_formats
def test_a_failure_inside_a_layer_comes_out_as_ours(format_name: str) -> None:
    layer = Failing()
    reference = compose((8,), [layer], None)
    layer.failing = True
    with pytest.raises(ConversionError, match="lost my way"):
        EXPORTERS[format_name]().export(reference, ExportRequest("failing"))


class Captured(layers.Layer):
    """Multiplies by an eager tensor, which is neither a weight nor a constant of the graph."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        import tensorflow as tf

        self.factor = tf.constant(np.linspace(1, 2, 4, dtype=np.float32))

    def call(self, tensor: Any) -> Any:
        return tensor * self.factor


@both_formats
def test_captured_tensors_become_constants(format_name: str) -> None:
    reference = compose((8,), [layers.Dense(4), Captured()], None)
    result = EXPORTERS[format_name]().export(reference, ExportRequest("captured"))
    given = sample(reference, 3)
    met = run(result.artifacts[0], next(iter(result.files.values())), given)
    np.testing.assert_allclose(met["latent"], reference.compute("encoder", given), atol=1e-5)


@both_formats
def test_an_unknown_precision_lists_the_known(format_name: str) -> None:
    with pytest.raises(UsageError) as refusal:
        EXPORTERS[format_name]().export(MODELS["encoder_only"](), ExportRequest("m", precision="int3"))
    assert "'int3'" in refusal.value.what
    assert "float32" in refusal.value.expected


@both_formats
def test_nothing_is_left_on_disk_or_on_the_terminal(
    format_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    exporter = EXPORTERS[format_name]()
    exporter.export(MODELS["encoder_only"](), ExportRequest("m"))
    with pytest.raises(UnsupportedOperatorError):
        exporter.export(oddball(), ExportRequest("m"))
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


@both_formats
def test_importing_an_exporter_loads_no_converter(format_name: str) -> None:
    heavy = ("tensorflow", "keras", "tf2onnx", "onnx", "onnxslim", "ai_edge_litert")
    script = f"import sys, aetool_exporters.{format_name}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
