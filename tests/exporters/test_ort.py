"""The format ``ort``: the ONNX graphs once more, for builds of ONNX Runtime that read nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from tests.exporters.conftest import build_reference
from tests.exporters.keras_models import MODELS, sample

import aetool_exporters.pipeline as flow
from aetool_exporters import ExportOptions, Reference, Samples, export
from aetool_exporters.budget import Budget, BudgetOptions, HeldOut
from aetool_exporters.onnx import OnnxExporter
from aetool_exporters.operators import count_operators
from aetool_exporters.ort import OrtExporter
from aetool_exporters.ort.conversion import convert
from aetool_exporters.request import Calibration, Exported, ExportRequest, QuantizationOptions
from aetool_runtime import Autoencoder, open_bundle, self_test

ROOT = Path(__file__).parents[2]
PRECISIONS = ("float32", "dynamic_range", "int8")


@cache
def exported(precision: str) -> tuple[Exported, Exported]:
    """ONNX, and ORT made of it."""
    reference = MODELS["conv_2d"]()
    options = QuantizationOptions(calibration=Calibration(lambda: iter([sample(reference, 16)])))
    request = ExportRequest("m", precision, quantization=options)
    exporter = OrtExporter()
    source = OnnxExporter()
    exporter.derive_from(source)
    return source.export(reference, request), exporter.export(reference, request)


@pytest.fixture(scope="module")
def bundle(reference: Reference, samples: Samples, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("ort") / "model.aepkg"
    export(
        reference.encoder,
        reference.decoder,
        target,
        normalization=reference.normalization,
        samples=samples,
        options=ExportOptions(formats=("onnx", "ort")),
    )
    return target


def test_a_bundle_holds_both_and_both_pass(bundle: Path) -> None:
    manifest = open_bundle(bundle).manifest
    assert [path for path in manifest.files if path.startswith("ort/")] == [
        "ort/autoencoder.float32.ort",
        "ort/decoder.float32.ort",
        "ort/encoder.float32.ort",
        "ort/required_operators.float32.config",
    ]
    checks = self_test(open_bundle(bundle))
    assert [check.artifact.format for check in checks] == ["onnx"] * 3 + ["ort"] * 3
    assert all(check.passed for check in checks)


def test_alone_it_runs_as_any_other(
    reference: Reference, samples: Samples, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = ExportOptions(formats=("ort",))
    export(
        reference.encoder, None, tmp_path / "b", normalization=reference.normalization, samples=samples, options=options
    )
    with Autoencoder.open(tmp_path / "b") as model:
        expected = reference.compute("encoder", samples.values)
        np.testing.assert_allclose(model.encode(samples.values), expected, atol=1e-4)
    assert capfd.readouterr() == ("", "")


def test_keras_is_converted_once_for_both(
    reference: Reference, samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import aetool_exporters.onnx.build as build

    asked = []
    convert = build.convert
    monkeypatch.setattr(build, "convert", lambda *given: asked.append(given[1]) or convert(*given))
    options = flow.ExportOptions(formats=("ort", "onnx"))
    export(
        reference.encoder, None, tmp_path / "b", normalization=reference.normalization, samples=samples, options=options
    )
    assert asked == ["encoder"]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_weights_keep_their_precision(precision: str) -> None:
    onnx, ort = exported(precision)
    for one, other in zip(onnx.artifacts, ort.artifacts, strict=True):
        assert (other.role, other.inputs, other.outputs) == (one.role, one.inputs, one.outputs)
        weights = len(onnx.files[one.path])
        assert len(ort.files[other.path]) < 1.2 * weights + 20_000, "descriptions of nodes take more, weights do not"


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_operations_that_a_build_needs_are_listed(precision: str) -> None:
    text = exported(precision)[1].files[f"ort/required_operators.{precision}.config"].decode()
    head, *lines = text.splitlines()
    assert head.startswith("#")
    assert str(Path.home()) not in text
    assert "tmp" not in text
    listed = {}
    for line in lines:
        domain, opset, operations = line.split(";", 2)
        assert domain in ("ai.onnx", "com.microsoft"), "nothing of one processor's own"
        listed[domain, int(opset)] = operations
    assert any("Reshape" in operations for operations in listed.values())
    assert ("com.microsoft", 1) in listed, "fused nodes"


def digests() -> dict[str, str]:
    reference = build_reference()
    files = OrtExporter().export(reference, ExportRequest("m")).files
    return {path: sha256(data).hexdigest() for path, data in files.items()}


@pytest.mark.slow
def test_bytes_are_the_same_in_every_process(tmp_path: Path) -> None:
    """ONNX Runtime's own are not: it writes a table in the order of a hash that each process chooses."""
    script = f"""
import json, sys
sys.path.insert(0, {str(ROOT)!r})
from tests.exporters.test_ort import digests
print(json.dumps(digests()))
"""
    environment = {**os.environ, "PYTHONHASHSEED": "3", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == digests()


def test_converting_again_gives_the_same_bytes() -> None:
    graph = exported("float32")[0].files["onnx/decoder.float32.onnx"]
    assert convert(graph) == convert(graph) == exported("float32")[1].files["ort/decoder.float32.ort"]


def test_operations_are_counted() -> None:
    ort = exported("float32")[1]
    counts = count_operators(ort.artifacts[0], ort.files[ort.artifacts[0].path])
    assert counts["Conv"] + counts.get("FusedConv", 0) >= 1


def test_a_budget_of_quality_is_kept_in_both(reference: Reference, samples: Samples, tmp_path: Path) -> None:
    """The search changes the precision many times, and both formats go through the one ONNX exporter."""
    budget = BudgetOptions(
        Budget.parse("psnr:0.5"), HeldOut(samples.values, peak=float(np.ptp(samples.values))), methods=("minmax",)
    )
    options = ExportOptions(
        formats=("onnx", "ort"),
        precisions=("int8", "float16"),
        quantization=QuantizationOptions(Calibration(lambda: iter([samples.values]))),
        budget=budget,
    )
    made = export(
        reference.encoder,
        reference.decoder,
        tmp_path / "b.aepkg",
        normalization=reference.normalization,
        samples=samples,
        options=options,
    )
    found = [(artifact.format, artifact.role, artifact.precision) for artifact in made.manifest.artifacts]
    chosen = found[0][2]
    assert found == [(kind, role, chosen) for kind in ("onnx", "ort") for role in reference.roles]
    assert f"ort/required_operators.{chosen}.config" in made.manifest.files
    budgets = json.loads(made.read("report.json"))["budgets"]
    assert [told["format"] for told in budgets] == ["onnx", "ort"]
    assert all(check.passed for check in self_test(made))
