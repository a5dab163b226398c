"""Artifacts of reduced precision: held against themselves by the self-test, and used with real values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from tests.runtime.tiny import NAMES, Affine, artifact_of, model_of, onnx_files, samples, write_bundle

from aetool_exporters.bundle_writer import GoldenFile, bundle_files
from aetool_runtime import Autoencoder, open_bundle, self_test
from aetool_runtime.errors import ManifestError
from aetool_runtime.manifest import Golden
from aetool_runtime.manifest_reader import parse_manifest
from aetool_runtime.parity import DEFAULT_TOLERANCES, MAX_SNR, signal_to_noise
from aetool_runtime.selftest import Case
from aetool_runtime.specs import Array, Artifact, OutputScale, Quantization, Role

pytestmark = pytest.mark.usefixtures("one_engine_each")

RIGHT = Affine()
STEPS = {  # wide enough for what the tiny model sees and returns
    "input": Quantization((3 / 127,), (0,)),
    "latent": Quantization((0.06,), (-4,)),
    "reconstruction": Quantization((0.11,), (3,)),
}


def integer_graph(role: Role, weights: Affine) -> onnx.ModelProto:
    """int8 → real → the role as Gemm nodes → int8."""
    given_name, returned = NAMES[role]
    graph = helper.make_graph([], role, [], [])
    for name in (given_name, returned):
        graph.initializer.append(numpy_helper.from_array(np.float32(STEPS[name].scale[0]), f"{name}_scale"))
        graph.initializer.append(numpy_helper.from_array(np.int8(STEPS[name].zero_point[0]), f"{name}_zero"))
    at = "real"
    ends = [f"{given_name}_scale", f"{given_name}_zero"], [f"{returned}_scale", f"{returned}_zero"]
    graph.node.append(helper.make_node("DequantizeLinear", [given_name, *ends[0]], [at]))
    for i, (matrix, bias) in enumerate(weights.layers(role)):
        graph.initializer.extend([numpy_helper.from_array(matrix, f"w{i}"), numpy_helper.from_array(bias, f"b{i}")])
        graph.node.append(helper.make_node("Gemm", [at, f"w{i}", f"b{i}"], [f"hidden{i}"]))
        at = f"hidden{i}"
    graph.node.append(helper.make_node("QuantizeLinear", [at, *ends[1]], [returned]))
    sizes = {"input": 6, "latent": 2, "reconstruction": 6}
    for name, values in ((given_name, graph.input), (returned, graph.output)):
        values.append(helper.make_tensor_value_info(name, TensorProto.INT8, ["batch", sizes[name]]))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def integer_artifact(role: Role) -> Artifact:
    plain = artifact_of(role, "onnx", f"{role}.int8.onnx", None)
    specs = [replace(spec, dtype="int8", quantization=STEPS[spec.name]) for spec in (plain.inputs[0], plain.outputs[0])]
    return replace(
        plain, precision="int8", inputs=(specs[0],), outputs=(specs[1],), tolerance=DEFAULT_TOLERANCES["int8"]
    )


def expected(role: Role, integers: Array) -> Array:
    """What the intact graph returns."""
    given_name, returned = NAMES[role]
    real = STEPS[given_name].dequantize(integers)
    for matrix, bias in RIGHT.layers(role):
        real = real @ matrix + bias
    return STEPS[returned].quantize(real, "int8")


def integer_bundle(weights: Affine = RIGHT, *, beside_float: bool = False) -> dict[str, bytes]:
    """A bundle of int8 graphs with golden vectors of their own, computed by NumPy with the right weights."""
    plain, files = onnx_files() if beside_float else ([], {})
    golden_file, artifacts = GoldenFile(), []
    model, _ = model_of(plain or [artifact_of("encoder", "onnx", "x", None)], golden_cases())
    cases = tuple(map(golden_file.place, golden_cases()))
    for role in NAMES:
        name, returned = NAMES[role]
        integers = STEPS[name].quantize(samples(5) if name == "input" else RIGHT.encode(samples(5)), "int8")
        own = golden_file.place(Case("held-out", {name: integers, returned: expected(role, integers)}))
        artifacts.append(replace(integer_artifact(role), cases=(own,), snr={returned: 30.0}))
        files[artifacts[-1].path] = integer_graph(role, weights).SerializeToString(deterministic=True)
    golden = Golden(model.golden.path, model.golden.scales, cases)
    manifest = replace(model, artifacts=(*plain, *artifacts), golden=golden)
    return bundle_files(manifest, {**files, golden.path: golden_file.data})


def golden_cases() -> list[Case]:
    latent = RIGHT.encode(samples(5))
    return [Case("held-out", {"input": samples(5), "latent": latent, "reconstruction": RIGHT.decode(latent)})]


# --- the self-test ---


def test_an_integer_artifact_is_held_against_its_own_outputs(tmp_path: Path) -> None:
    bundle = open_bundle(write_bundle(tmp_path / "b", integer_bundle(beside_float=True)))
    checks = self_test(bundle)
    assert [check.artifact.precision for check in checks] == ["float32"] * 3 + ["int8"] * 3
    assert all(check.passed for check in checks)
    assert checks[3].artifact.snr == {"latent": 30}


def test_a_bundle_may_hold_integers_alone(tmp_path: Path) -> None:
    checks = self_test(open_bundle(write_bundle(tmp_path / "b", integer_bundle())))
    assert [check.passed for check in checks] == [True] * 3


WRONG = {
    "a weight": replace(RIGHT, encoder=RIGHT.encoder + np.eye(6, 2, dtype=np.float32)),
    "a bias dropped": replace(RIGHT, encoder_bias=RIGHT.encoder_bias * 0),
    "inputs permuted": replace(RIGHT, encoder=RIGHT.encoder[::-1].copy()),
    "a sign": replace(RIGHT, encoder=-RIGHT.encoder),
}


@pytest.mark.parametrize("weights", WRONG.values(), ids=WRONG)
def test_a_wrong_integer_artifact_is_caught(tmp_path: Path, weights: Affine) -> None:
    checks = self_test(open_bundle(write_bundle(tmp_path / "b", integer_bundle(weights))))
    assert [check.artifact.role for check in checks if not check.passed] == ["encoder", "autoencoder"]


def test_single_steps_between_engines_are_allowed(tmp_path: Path) -> None:
    slightly = replace(RIGHT, encoder_bias=RIGHT.encoder_bias + np.float32(STEPS["latent"].scale[0] / 2))
    checks = self_test(open_bundle(write_bundle(tmp_path / "b", integer_bundle(slightly))))
    assert all(check.passed for check in checks)
    assert max(check.worst.worst_error for check in checks if check.worst) > 0


def test_golden_vectors_of_another_type_than_the_artifact_are_refused(tmp_path: Path) -> None:
    files = integer_bundle()
    text = files["manifest.json"].replace(b'"dtype": "int8"', b'"dtype": "uint8"', 1)
    with pytest.raises(ManifestError, match="are not the artifact's"):
        parse_manifest(text)


# --- the front door ---


def test_an_integer_bundle_takes_and_returns_real_values(tmp_path: Path) -> None:
    given_samples = samples(7, seed=3)
    with Autoencoder.open(write_bundle(tmp_path / "b", integer_bundle())) as model:
        assert (model.precision, model.tensor("input").dtype, model.tensor("latent").dtype) == (
            "int8", "float32", "float32"
        )  # fmt: skip
        latent, restored = model.encode(given_samples), model.reconstruct(given_samples)
    assert latent.dtype == restored.dtype == np.float32
    assert np.abs(latent - RIGHT.encode(given_samples)).max() < 3 * STEPS["latent"].scale[0]
    right = RIGHT.decode(RIGHT.encode(given_samples))
    assert signal_to_noise(right, restored, OutputScale((0.0,), (1.0,))) > 30


def test_nothing_in_nothing_out(tmp_path: Path) -> None:
    with Autoencoder.open(write_bundle(tmp_path / "b", integer_bundle())) as model:
        empty = model.encode(np.zeros((0, 6), np.float32))
    assert (empty.shape, empty.dtype) == ((0, 2), np.float32)


@pytest.mark.parametrize(("asked", "runs"), [(None, "float32"), ("float32", "float32"), ("int8", "int8")])
def test_float32_is_what_runs_unless_another_is_asked_for(tmp_path: Path, asked: str | None, runs: str) -> None:
    path = write_bundle(tmp_path / "b", integer_bundle(beside_float=True))
    with Autoencoder.open(path, precision=asked) as model:
        assert model.precision == runs


# --- the arithmetic ---


@given(
    st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=20),
    st.floats(1e-3, 1e3),
    st.integers(-128, 127),
    st.sampled_from(["int8", "uint8", "int16"]),
)
@settings(max_examples=200, deadline=None)
def test_quantized_values_are_the_nearest_that_there_are(
    values: list[float], scale: float, zero_point: int, dtype: str
) -> None:
    steps = Quantization((scale,), (zero_point,))
    real, limits = np.array(values, np.float32), np.iinfo(dtype)
    integers = steps.quantize(real, dtype)
    assert integers.dtype == dtype
    inside = (integers > limits.min) & (integers < limits.max)
    assert np.all(np.abs(steps.dequantize(integers) - real)[inside] <= scale * (0.5 + 1e-3))
    np.testing.assert_array_equal(steps.quantize(steps.dequantize(integers), dtype), integers)


def test_scales_may_run_along_an_axis() -> None:
    steps = Quantization((0.5, 2.0), (0, 10), axis=1)
    integers = steps.quantize(np.array([[1.0, 4.0], [-1.0, -30.0]]), "int8")
    assert integers.tolist() == [[2, 12], [-2, -5]]
    assert steps.dequantize(integers).tolist() == [[1.0, 4.0], [-1.0, -30.0]]


RATIOS = {
    "equal": (np.ones((2, 3)), MAX_SNR),
    "a tenth off": (np.full((2, 3), 1.1), 20.0),
    "nothing left": (np.zeros((2, 3)), 0.0),
    "another shape": (np.ones((2, 4)), -MAX_SNR),
    "a NaN": (np.array([[1, 1, 1], [1, 1, np.nan]]), -MAX_SNR),
    "an infinity": (np.array([[1, 1, 1], [1, 1, np.inf]]), -MAX_SNR),
}


@pytest.mark.parametrize(("met", "ratio"), RATIOS.values(), ids=RATIOS)
def test_signal_to_noise(met: Array, ratio: float) -> None:
    assert signal_to_noise(np.ones((2, 3)), met, OutputScale((0.0,), (1.0,))) == pytest.approx(ratio)
    assert signal_to_noise(np.ones((2, 3)) + 7, met + 7, OutputScale((7.0,), (5.0,))) == pytest.approx(ratio)
