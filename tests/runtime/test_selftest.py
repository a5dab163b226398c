"""The self-test lets a right bundle pass and finds every wrong one, on each engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.runtime.tiny import Affine, bundle_of, golden_of, onnx_files, samples, tflite_files, tiny_files, write_bundle
from tests.vectors.bundles import with_manifest

from aetool_runtime import open_bundle, self_test
from aetool_runtime.errors import BackendError, ManifestError
from aetool_runtime.report import check_json, format_report
from aetool_runtime.selftest import Case, Check, Trial, check_artifacts, golden_cases
from aetool_runtime.specs import Array, TensorSpec

pytestmark = pytest.mark.usefixtures("one_engine_each")

RIGHT = Affine()


def changed(array: Array, index: tuple[int, ...], by: float) -> Array:
    copy = array.copy()
    copy[index] += np.float32(by)
    return copy


def mis_folded(weights: Affine) -> Affine:
    """A BatchNorm whose variance was folded into the weights and not into the bias."""
    factor = np.array([0.5, 2.0], np.float32)
    return replace(weights, encoder=weights.encoder * factor)


# damage → (what the artifact computes instead, the roles that must be caught)
DAMAGE: dict[str, tuple[Affine, set[str]]] = {
    "one weight of the encoder": (
        replace(RIGHT, encoder=changed(RIGHT.encoder, (3, 1), 1e-3)), {"encoder", "autoencoder"}
    ),
    "one weight of the decoder": (
        replace(RIGHT, decoder=changed(RIGHT.decoder, (1, 4), 1e-3)), {"decoder", "autoencoder"}
    ),
    "a sign": (replace(RIGHT, decoder=RIGHT.decoder * np.float32([1, 1, -1, 1, 1, 1])), {"decoder", "autoencoder"}),
    "the encoder's bias dropped": (replace(RIGHT, encoder_bias=RIGHT.encoder_bias * 0), {"encoder", "autoencoder"}),
    "the decoder's bias dropped": (replace(RIGHT, decoder_bias=RIGHT.decoder_bias * 0), {"decoder", "autoencoder"}),
    "a BatchNorm folded wrongly": (mis_folded(RIGHT), {"encoder", "autoencoder"}),
    "inputs permuted": (replace(RIGHT, encoder=RIGHT.encoder[[1, 0, 2, 3, 4, 5]]), {"encoder", "autoencoder"}),
    "latents permuted": (replace(RIGHT, decoder=RIGHT.decoder[::-1].copy()), {"decoder", "autoencoder"}),
    "outputs permuted": (
        replace(RIGHT, decoder=RIGHT.decoder[:, ::-1].copy(), decoder_bias=RIGHT.decoder_bias[::-1].copy()),
        {"decoder", "autoencoder"},
    ),
    "normalization applied twice": (replace(RIGHT, encoder=RIGHT.encoder / 2), {"encoder", "autoencoder"}),
    "weights rounded to bfloat16": (
        replace(RIGHT, encoder=(RIGHT.encoder.view("u4") & 0xFFFF0000).view("f4")), {"encoder", "autoencoder"}
    ),
    "a NaN": (replace(RIGHT, decoder_bias=changed(RIGHT.decoder_bias, (0,), np.nan)), {"decoder", "autoencoder"}),
}  # fmt: skip
FORMATS: dict[str, Callable[[Affine], dict[str, bytes]]] = {
    "onnx": lambda weights: bundle_of(*onnx_files(weights)),
    "tflite, batch 1": lambda weights: bundle_of(*tflite_files(weights, 1)),
    "tflite, batch 3": lambda weights: bundle_of(*tflite_files(weights, 3)),
}
EVERY_FORMAT = pytest.mark.parametrize("make", FORMATS.values(), ids=FORMATS)


def failed(checks: list[Check]) -> set[str]:
    return {check.artifact.role for check in checks if not check.passed}


@EVERY_FORMAT
def test_a_right_bundle_passes(tmp_path: Path, make: Callable[[Affine], dict[str, bytes]]) -> None:
    checks = self_test(open_bundle(write_bundle(tmp_path / "b", make(RIGHT))))
    assert [check.artifact.role for check in checks] == ["encoder", "decoder", "autoencoder"]
    assert failed(checks) == set()
    cases = {check.artifact.role: {report.case for report in check.reports} for check in checks}
    assert cases == {"encoder": {"held-out"}, "decoder": {"held-out", "corner"}, "autoencoder": {"held-out"}}


@EVERY_FORMAT
@pytest.mark.parametrize(("wrong", "roles"), DAMAGE.values(), ids=DAMAGE)
def test_a_wrong_artifact_is_caught(
    tmp_path: Path, make: Callable[[Affine], dict[str, bytes]], wrong: Affine, roles: set[str]
) -> None:
    """The bytes are those that were written, so that only the numbers can tell."""
    checks = self_test(open_bundle(write_bundle(tmp_path / "b", make(wrong))))
    assert failed(checks) == roles


def test_every_artifact_runs_on_every_engine_that_takes_it(tmp_path: Path) -> None:
    checks = self_test(open_bundle(write_bundle(tmp_path / "b", tiny_files())))
    assert {(check.artifact.format, check.backend, check.device) for check in checks} == {
        ("onnx", "onnxruntime", "cpu"),
        ("tflite", "litert", "cpu"),
    }
    assert len(checks) == 6


def test_an_artifact_of_a_format_that_nobody_here_runs_is_left_alone(tmp_path: Path) -> None:
    artifacts, files = onnx_files()
    foreign = [replace(artifact, format="core_ml") for artifact in artifacts]
    bundle = open_bundle(write_bundle(tmp_path / "b", bundle_of(artifacts + foreign, files)))
    assert {check.artifact.format for check in self_test(bundle)} == {"onnx"}


def test_an_artifact_to_which_no_case_applies_does_not_pass(tmp_path: Path) -> None:
    latents_only = [case for case in golden_of() if "input" not in case.tensors]
    bundle = open_bundle(write_bundle(tmp_path / "b", bundle_of(*onnx_files(), latents_only)))
    assert failed(self_test(bundle)) == {"encoder", "autoencoder"}
    untried = next(check for check in self_test(bundle) if check.artifact.role == "encoder")
    assert (untried.reports, untried.error, untried.worst) == ((), None, None)


@EVERY_FORMAT
@pytest.mark.parametrize("wide", [5, 7])
def test_golden_vectors_of_another_shape_fail_and_do_not_crash(
    tmp_path: Path, make: Callable[[Affine], dict[str, bytes]], wide: int
) -> None:
    weights = replace(RIGHT, encoder=np.ones((wide, 2), np.float32))
    cases = golden_of(weights, samples(2, wide))
    bundle = open_bundle(write_bundle(tmp_path / "b", make(RIGHT)))
    scales = bundle.manifest.golden.scales
    checks = list(check_artifacts(bundle.manifest.artifacts, bundle.read, lambda _: Trial(cases), scales))
    assert failed(checks) == {"encoder", "autoencoder"}
    assert "expected float32[batch, 6], as the manifest says" in str(checks[0].error)


@pytest.mark.parametrize("shape", [(None, 7), (None, 6, 1), (None, None, None)])
@pytest.mark.parametrize("role", ["encoder", "decoder", "autoencoder"])
def test_an_artifact_that_returns_another_shape_than_it_declares_fails(
    tmp_path: Path, role: str, shape: tuple[int | None, ...]
) -> None:
    """The numbers are right, but callers go by what is declared."""
    bundle = open_bundle(write_bundle(tmp_path / "b", tiny_files()))
    wrong = [
        replace(artifact, outputs=(replace(artifact.outputs[0], shape=shape),)) if artifact.role == role else artifact
        for artifact in bundle.manifest.artifacts
    ]
    trial = Trial(golden_cases(bundle))
    checks = list(check_artifacts(wrong, bundle.read, lambda _: trial, bundle.manifest.golden.scales))
    assert failed(checks) == {role}
    assert {type(check.error) for check in checks if not check.passed} == {BackendError}


def test_an_artifact_that_returns_another_type_than_it_declares_fails(tmp_path: Path) -> None:
    bundle = open_bundle(write_bundle(tmp_path / "b", bundle_of(*onnx_files())))
    encoder = bundle.manifest.artifacts[0]
    wrong = replace(encoder, outputs=(replace(encoder.outputs[0], dtype="float16"),))
    trial = Trial(golden_cases(bundle))
    [check] = check_artifacts([wrong], bundle.read, lambda _: trial, bundle.manifest.golden.scales)
    assert "latent is float32[5, 2]; expected float16[batch, 2]" in str(check.error)


DECLARATIONS = {
    "every input is int8": ("inputs", {"dtype": "int8"}),
    "every output is wider": ("outputs", {"shape": [None, 7]}),
    "every output has one dimension more": ("outputs", {"shape": [None, 2, 1]}),
    "every input is flat": ("inputs", {"shape": [None]}),
}


@pytest.mark.parametrize(("side", "change"), DECLARATIONS.values(), ids=DECLARATIONS)
def test_a_bundle_whose_golden_vectors_fit_no_artifact_is_not_opened(
    tmp_path: Path, side: str, change: dict[str, object]
) -> None:
    def edit(document: dict[str, Any]) -> None:
        for artifact in document["artifacts"]:
            artifact[side][0].update(change)

    path = write_bundle(tmp_path / "b", with_manifest(bundle_of(*onnx_files()), edit))
    with pytest.raises(ManifestError, match="as the artifacts have it"):
        open_bundle(path)


def test_golden_vectors_come_back_as_they_were_written(tmp_path: Path) -> None:
    written = [
        Case("a", {"input": samples(3), "latent": np.arange(6, dtype=np.int16).reshape(3, 2)}),
        Case("b", {"input": samples(1).astype("f2"), "latent": np.array([[2**62]], np.int64)}),
        Case("c", {"latent": np.array([[-128, 127]], np.int8), "reconstruction": np.full((1, 2, 6), 255, np.uint8)}),
    ]
    artifacts, files = onnx_files()
    given = TensorSpec("input", "float16", (None, 6))
    others = [
        replace(artifacts[0], precision=kind, inputs=(given,), outputs=(TensorSpec("latent", kind, (None, None)),))
        for kind in ("int16", "int64", "int8")
    ]
    parts = [artifacts[0], *others]
    bundle = open_bundle(write_bundle(tmp_path / "b", bundle_of(parts, files, [*golden_of(), *written])))
    for one, other in zip(golden_cases(bundle)[2:], written, strict=True):
        assert one.name == other.name
        assert list(one.tensors) == list(other.tensors)
        for name in one.tensors:
            assert one.tensors[name].dtype == other.tensors[name].dtype
            assert np.array_equal(one.tensors[name], other.tensors[name])


def test_a_check_is_json_without_infinities(tmp_path: Path) -> None:
    wrong = DAMAGE["a NaN"][0]
    checks = self_test(open_bundle(write_bundle(tmp_path / "b", FORMATS["onnx"](wrong))))
    document = json.loads(format_report(checks, real=True), parse_constant=pytest.fail)
    assert document["samples"] == "held-out data"
    decoder = document["checks"][1]
    assert (decoder["role"], decoder["passed"]) == ("decoder", False)
    assert decoder["cases"][0]["worst_error"] is None
    assert decoder == check_json(checks[1]) | {"cases": decoder["cases"]}
