"""The flow from a Keras model to a bundle: what is written, when, and what is not."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import aetool_exporters.pipeline as flow
from aetool_exporters import ExportOptions, Reference, Samples, export
from aetool_exporters.request import Exported, ExportRequest
from aetool_runtime import Autoencoder, open_bundle, self_test
from aetool_runtime.errors import ConversionError, DependencyError, InputError, ParityError, UsageError
from aetool_runtime.selftest import golden_cases
from aetool_runtime.specs import Normalization

ONNX = ExportOptions(formats=("onnx",))


def run_export(reference: Reference, output: Path, samples: Samples | None, options: ExportOptions = ONNX) -> Path:
    export(
        reference.encoder,
        reference.decoder,
        output,
        normalization=reference.normalization,
        samples=samples,
        options=options,
    )
    return output


@pytest.fixture(scope="module")
def both(reference: Reference, samples: Samples, tmp_path_factory: pytest.TempPathFactory) -> Path:
    options = ExportOptions(license="free for all")
    return run_export(reference, tmp_path_factory.mktemp("both") / "model.aepkg", samples, options)


def test_the_bundle_holds_what_the_format_says(both: Path) -> None:
    assert sorted(str(path.relative_to(both)) for path in both.rglob("*") if path.is_file()) == [
        "LICENSE",
        "README.md",
        "golden.bin",
        "manifest.json",
        "manifest.sha256",
        "onnx/autoencoder.float32.onnx",
        "onnx/decoder.float32.onnx",
        "onnx/encoder.float32.onnx",
        "report.json",
        "tflite/model.float32.tflite",
    ]
    names = {(a.role, a.format): (a.inputs[0].name, a.outputs[0].name) for a in open_bundle(both).manifest.artifacts}
    assert names == {
        (role, format_name): tensors
        for format_name in ("onnx", "tflite")
        for role, tensors in {
            "encoder": ("input", "latent"),
            "decoder": ("latent", "reconstruction"),
            "autoencoder": ("input", "reconstruction"),
        }.items()
    }


def test_the_manifest_counts_operations(both: Path) -> None:
    counts = {(a.role, a.format): dict(a.operators) for a in open_bundle(both).manifest.artifacts}
    assert counts["encoder", "onnx"] == {
        "Add": 1, "Conv": 1, "MatMul": 1, "Mul": 1, "Relu": 1, "Reshape": 1, "Sub": 1, "Transpose": 1, "Unsqueeze": 1
    }  # fmt: skip
    assert counts["decoder", "tflite"] == {"FULLY_CONNECTED": 1, "RESHAPE": 2, "TRANSPOSE_CONV": 1}


def test_raw_values_go_in_and_come_out(both: Path, reference: Reference, samples: Samples) -> None:
    for backend in ("onnxruntime", "litert"):
        with Autoencoder.open(both, backend=backend) as model:
            latent = model.encode(samples.values)
            np.testing.assert_allclose(latent, reference.compute("encoder", samples.values), atol=1e-4)
            wanted = reference.compute("decoder", latent)
            np.testing.assert_allclose(model.decode(latent), wanted, atol=1e-2)
            assert abs(wanted.mean() - 1000) < 100, "reconstructions are in raw units"


def test_the_self_test_needs_no_keras(both: Path) -> None:
    checks = self_test(open_bundle(both))
    assert len(checks) == 6
    assert all(check.passed for check in checks)


def test_the_report_names_every_check(both: Path) -> None:
    report = json.loads((both / "report.json").read_text())
    assert report["samples"] == "held-out data"
    assert len(report["checks"]) == 6
    assert all(case["passed"] for check in report["checks"] for case in check["cases"])


def test_real_samples_stay_private_when_asked(reference: Reference, samples: Samples, tmp_path: Path) -> None:
    def golden_inputs(golden: str) -> np.ndarray:
        options = replace(ONNX, golden=golden)
        bundle = open_bundle(run_export(reference, tmp_path / golden, samples, options))
        return golden_cases(bundle)[0].tensors["input"]

    assert np.array_equal(golden_inputs("real"), samples.values[:16])
    made_up = golden_inputs("synthetic")
    assert not any(np.allclose(made, real) for made in made_up for real in samples.values)
    assert made_up.min() >= samples.minimum[0]
    assert made_up.max() <= samples.maximum[0]


def test_the_encoder_alone(reference: Reference, samples: Samples, tmp_path: Path) -> None:
    bundle = export(
        reference.encoder,
        None,
        tmp_path / "encoder.aepkg",
        normalization=reference.normalization,
        samples=samples,
    )
    assert {artifact.role for artifact in bundle.manifest.artifacts} == {"encoder"}
    assert all(check.passed for check in self_test(bundle))


def test_without_samples_the_report_says_so(reference: Reference, tmp_path: Path) -> None:
    bundle = run_export(reference, tmp_path / "model.aepkg", None)
    assert json.loads((bundle / "report.json").read_text())["samples"] == "synthetic"


def test_zip_and_folder_hold_the_same_bundle(
    both: Path, reference: Reference, samples: Samples, tmp_path: Path
) -> None:
    options = ExportOptions(license="free for all", zip=True)
    zipped = run_export(reference, tmp_path / "model.aepkg", samples, options)
    assert zipped.is_file()
    assert open_bundle(zipped).digest == open_bundle(both).digest


class TestFailures:
    def test_an_existing_bundle_is_kept(self, reference: Reference, samples: Samples, tmp_path: Path) -> None:
        (tmp_path / "model.aepkg").write_text("mine")
        with pytest.raises(UsageError, match="already exists"):
            run_export(reference, tmp_path / "model.aepkg", samples)
        assert (tmp_path / "model.aepkg").read_text() == "mine"

    @pytest.mark.parametrize("name", ["folder", "file", "link"])
    def test_overwrite_replaces_nothing_but_bundles(
        self, reference: Reference, samples: Samples, tmp_path: Path, name: str
    ) -> None:
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder/thesis.txt").write_text("mine")
        (tmp_path / "file").write_text("mine")
        (tmp_path / "link").symlink_to("folder")
        with pytest.raises(UsageError, match="is not a bundle, so it is not replaced"):
            run_export(reference, tmp_path / name, samples, replace(ONNX, overwrite=True))
        assert (tmp_path / "folder/thesis.txt").read_text() == (tmp_path / "file").read_text() == "mine"

    def test_an_unknown_format_lists_the_known(self, reference: Reference, samples: Samples, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="one of onnx, ort, tflite"):
            run_export(reference, tmp_path / "m", samples, ExportOptions(formats=("onx",)))

    def test_samples_of_another_shape_are_refused(self, reference: Reference, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"shape \[3, 5\].*expected"):
            run_export(reference, tmp_path / "m", Samples.of(np.zeros((3, 5), np.float32)))

    def test_nothing_is_shipped_unverified(
        self, reference: Reference, samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
        with pytest.raises(DependencyError, match="nothing is shipped unverified"):
            run_export(reference, tmp_path / "m", samples, ExportOptions(formats=("tflite",)))
        assert list(tmp_path.iterdir()) == []

    def test_a_converter_that_fails_leaves_nothing(
        self, reference: Reference, samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(flow, "_exporter", lambda name: Failing())
        with pytest.raises(ConversionError):
            run_export(reference, tmp_path / "m", samples)
        assert list(tmp_path.iterdir()) == []

    def test_what_fails_parity_is_set_aside(
        self, reference: Reference, samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sound = flow._exporter
        monkeypatch.setattr(flow, "_exporter", lambda name: Damaging(sound(name)) if name == "onnx" else sound(name))
        output = tmp_path / "model.aepkg"
        with pytest.raises(ParityError, match=r"(?s)checks failed.*\.rejected"):
            run_export(reference, output, samples, ExportOptions())
        assert {artifact.format for artifact in open_bundle(output).manifest.artifacts} == {"tflite"}
        assert (tmp_path / "model.aepkg.rejected/onnx/encoder.float32.onnx").is_file()
        rejected = json.loads((tmp_path / "model.aepkg.rejected/report.json").read_text())
        assert not all(check["passed"] for check in rejected["checks"])

    def test_a_bundle_that_stands_survives_a_run_in_which_nothing_passes(
        self, reference: Reference, samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        output = run_export(reference, tmp_path / "model.aepkg", samples)
        before = open_bundle(output).digest
        sound = flow._exporter
        monkeypatch.setattr(flow, "_exporter", lambda name: Damaging(sound(name)))
        with pytest.raises(ParityError, match="no bundle was written"):
            run_export(reference, output, samples, replace(ONNX, overwrite=True))
        assert open_bundle(output).digest == before


class Failing:
    """An exporter whose converter gives up."""

    format = "onnx"
    precisions = ("float32",)

    def export(self, reference: Reference, request: ExportRequest) -> Exported:
        raise ConversionError("the converter gave up")


class Damaging:
    """An exporter that exports a model with another normalization than it was given."""

    format = "onnx"
    precisions = ("float32",)

    def __init__(self, sound: flow.Exporter) -> None:
        self._sound = sound

    def export(self, reference: Reference, request: ExportRequest) -> Exported:
        return self._sound.export(Reference(reference.encoder, reference.decoder, Normalization((999.0,))), request)


def test_repeated_exports_are_byte_identical(
    both: Path, reference: Reference, samples: Samples, tmp_path: Path
) -> None:
    again = run_export(
        reference, tmp_path / "elsewhere" / "again.aepkg", samples, ExportOptions(license="free for all")
    )
    assert _digests(again) == _digests(both)


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }
