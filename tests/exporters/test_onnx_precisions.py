"""ONNX below float32: what is kept, what is lost, what is told."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from keras import layers
from tests.exporters.keras_models import MODELS, compose, sample
from tests.exporters.quantized import calibration, model_of, run, run_raw, signal_to_noise, trial, trial_of

from aetool_exporters.onnx import OnnxExporter
from aetool_exporters.request import CALIBRATION_METHODS, Calibration, ExportRequest, QuantizationOptions
from aetool_runtime.errors import InputError, UsageError
from aetool_runtime.specs import Array, Normalization

REDUCED = ("float16", "dynamic_range", "int8")
FLOORS = {"float16": 55.0, "dynamic_range": 33.0, "int8": 27.0}  # dB, of random weights on random data
CODES = {"codes"}  # outputs that are integers of the model's own: no signal to compare
FLOAT32 = onnx.TensorProto.FLOAT


def nodes(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def metadata(model: onnx.ModelProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in model.metadata_props}


# the same model at every precision


@pytest.mark.parametrize("precision", REDUCED)
@pytest.mark.parametrize("name", [name for name in MODELS if name not in CODES])
def test_little_is_lost(name: str, precision: str) -> None:
    tried = trial_of(name)
    exported = tried.export(precision)
    assert {role: snr for role, snr in tried.quality(exported).items() if snr < FLOORS[precision]} == {}


@pytest.mark.parametrize("precision", REDUCED)
@pytest.mark.parametrize("name", ["conv_2d", "variational", "tokens", "gru"])
def test_names_signatures_and_metadata_stay(name: str, precision: str) -> None:
    plain, reduced = trial_of(name).export("float32"), trial_of(name).export(precision)
    for was, artifact in zip(plain.artifacts, reduced.artifacts, strict=True):
        assert (artifact.inputs, artifact.outputs) == (was.inputs, was.outputs)
        before, after = model_of(plain, was.role), model_of(reduced, artifact.role)
        assert (after.graph.input, after.graph.output) == (before.graph.input, before.graph.output)
        assert (after.ir_version, after.opset_import) == (before.ir_version, before.opset_import)
        assert metadata(after) == metadata(before) | {"aetool.precision": precision}
        assert artifact.path == f"onnx/{artifact.role}.{precision}.onnx"


@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize("precision", REDUCED)
def test_old_and_new_opsets(precision: str, opset: int) -> None:
    tried = trial_of("conv_2d")
    options = QuantizationOptions(calibration(tried.values))
    exported = OnnxExporter().export(tried.reference, ExportRequest("m", precision, opset, quantization=options))
    assert model_of(exported).opset_import[0].version == opset
    assert min(tried.quality(exported).values()) > FLOORS[precision]


@pytest.mark.parametrize("precision", REDUCED)
def test_a_sample_gives_the_same_alone_and_among_others(precision: str) -> None:
    tried = trial_of("dense")
    exported = tried.export(precision)
    together = run(exported, exported.artifacts[2], tried.values)
    alone = run(exported, exported.artifacts[2], tried.values[5:6])
    assert np.abs(alone - together[5:6]).max() < 2e-3  # half precision has 11 bits


@pytest.mark.parametrize(("precision", "share"), [("float16", 0.52), ("dynamic_range", 0.29), ("int8", 0.275)])
def test_files_are_small(precision: str, share: float) -> None:
    plain, reduced = trial_of("dense").export("float32"), trial_of("dense").export(precision)
    assert sum(map(len, reduced.files.values())) < share * sum(map(len, plain.files.values()))


def test_the_float_graph_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from aetool_exporters.onnx import build

    made: list[str] = []
    original = build.build
    monkeypatch.setattr(
        build, "build", lambda reference, role, *rest: made.append(role) or original(reference, role, *rest)
    )
    tried = trial(MODELS["encoder_only"]())
    for precision in ("float32", *REDUCED, "float32"):
        tried.export(precision)
    assert made == ["encoder"]


# what cannot be


def test_int16x8_is_refused() -> None:
    with pytest.raises(UsageError, match="int16x8"):
        trial_of("dense").export("int16x8")


def test_int8_needs_data() -> None:
    with pytest.raises(UsageError, match="calibrate"):
        trial_of("dense").export("int8", calibration=None)


def test_no_samples_at_all() -> None:
    with pytest.raises(InputError, match="no values"):
        trial_of("dense").export("int8", calibration=Calibration(lambda: iter([])))


def test_samples_of_another_shape() -> None:
    with pytest.raises(InputError, match="shape"):
        trial_of("dense").export("int8", calibration=calibration(np.zeros((8, 7), np.float32)))


def test_samples_that_are_not_finite() -> None:
    values = np.full((8, 784), np.nan, np.float32)
    with pytest.raises(InputError, match="not finite"):
        trial_of("dense").export("int8", calibration=calibration(values))


# int8: integers, and where


@pytest.mark.parametrize(
    ("name", "role", "fused", "left"),
    [
        ("dense", "encoder", {"QGemm": 2}, "Gemm"),
        ("dense", "decoder", {"QGemm": 2}, "Gemm"),
        ("conv_2d", "encoder", {"QLinearConv": 2, "QGemm": 1}, "Conv"),
        ("upsampling", "encoder", {"QLinearConv": 1}, "Conv"),
        ("upsampling", "decoder", {"QLinearConv": 2}, "Conv"),
        ("dense_batch_norm", "decoder", {"QGemm": 2}, "Gemm"),
    ],
)
def test_onnxruntime_finds_integer_kernels(name: str, role: str, fused: dict, left: str, tmp_path: Path) -> None:
    import onnxruntime

    exported = trial_of(name).export("int8")
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(tmp_path / "optimized.onnx"), 4
    onnxruntime.InferenceSession(exported.files[f"onnx/{role}.int8.onnx"], options, providers=["CPUExecutionProvider"])
    met = nodes(onnx.load(tmp_path / "optimized.onnx"))
    assert {kind: met[kind] for kind in fused} == fused
    assert left not in met


def test_weights_are_unsigned_around_128_with_a_scale_for_each_channel() -> None:
    model = model_of(trial_of("conv_2d").export("int8"))
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    kernels = [node for node in model.graph.node if node.input[0] in constants and node.op_type == "DequantizeLinear"]
    kernels = [node for node in kernels if constants[node.input[0]].dtype == np.uint8]
    assert len(kernels) == 3
    for node in kernels:
        integers, scale, zero = (constants[name] for name in node.input)
        assert integers.min() >= 1
        assert scale.shape == zero.shape == (integers.shape[1 if integers.ndim == 2 else 0],)
        assert set(zero.tolist()) == {128}


def test_one_scale_for_all_channels_where_asked_for() -> None:
    model = model_of(trial_of("conv_2d").export("int8", per_channel=False))
    scales = [node.input[1] for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    sizes = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    assert {tuple(sizes[name]) for name in scales} == {()}


@pytest.mark.parametrize("name", ["conv_2d", "conv_1d", "dense_batch_norm"])
def test_an_engine_without_integer_kernels_computes_the_same(name: str) -> None:
    tried = trial_of(name)
    exported = tried.export("int8", integer_io=True)
    for artifact in exported.artifacts:
        given = tried.given(artifact.role)
        integers = [
            run(exported, artifact, given, level) / min(artifact.outputs[0].quantization.scale)
            for level in ("ORT_ENABLE_ALL", "ORT_DISABLE_ALL")
        ]
        off = np.abs(np.rint(integers[0]) - np.rint(integers[1]))
        assert off.max() <= 1
        assert np.mean(off > 0) < 0.01


def test_transposed_convolutions_sum_whole_numbers() -> None:
    tried = trial_of("conv_1d")
    exported = tried.export("int8")
    model = model_of(exported, "decoder")
    sums = [node.output[0] for node in model.graph.node if node.op_type == "ConvTranspose"]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sums)
    made = run_raw(model.SerializeToString(), {"latent": tried.given("decoder")})
    assert len(sums) == 2
    for name in sums:
        assert np.array_equal(made[name], np.rint(made[name]))
        assert np.abs(made[name]).max() < 2**24


@pytest.mark.parametrize("method", CALIBRATION_METHODS)
def test_every_calibration_method(method: str) -> None:
    tried = trial_of("conv_2d")
    quality = tried.quality(tried.export("int8", calibration=calibration(tried.values, method)))
    assert min(quality.values()) > 15


def test_an_outlier_in_the_data_for_calibration_hurts_only_minmax() -> None:
    tried = trial_of("dense_batch_norm")
    damaged = sample(tried.reference, 60_000, seed=1)
    damaged[3, 5] = 3000.0
    quality = {
        method: tried.quality(tried.export("int8", calibration=calibration(damaged, method)))["encoder"]
        for method in ("minmax", "percentile", "entropy")
    }
    assert quality["minmax"] < 5
    assert min(quality["percentile"], quality["entropy"]) > 25


def test_calibration_reads_a_stream() -> None:
    tried = trial_of("dense")
    alive: list[Array] = []

    def batches() -> Iterator[Array]:
        for _ in range(3):
            alive.append(sample(tried.reference, 16))
            yield alive.pop()

    assert min(tried.quality(tried.export("int8", calibration=Calibration(batches))).values()) > 20


def test_latents_of_wide_range_keep_their_small_dimensions() -> None:
    reference = compose((12,), [layers.Dense(16, "relu"), layers.Dense(4)], [layers.Dense(12)])
    sizes = np.array([1000, 1, 0.1, 50], np.float32)
    weights, bias = reference.encoder.weights[-2:]
    weights.assign(weights.numpy() * sizes)
    bias.assign(bias.numpy() * sizes)
    kernel = reference.decoder.weights[0]
    kernel.assign(kernel.numpy() / sizes[:, None])
    tried = trial(reference)
    for integer_io in (False, True):
        exported = tried.export("int8", integer_io=integer_io)
        assert min(tried.quality(exported).values()) > FLOORS["int8"]
        latent = run(exported, exported.artifacts[0], tried.values)
        wanted = reference.compute("encoder", tried.values)
        assert all(signal_to_noise(wanted[:, i], latent[:, i]) > 25 for i in range(4))


def test_saturated_sigmoids_keep_what_is_between() -> None:
    reference = compose((8, 8, 1), [layers.Conv2D(4, 3, padding="same")], [layers.Conv2D(1, 3, activation="sigmoid")])
    kernel = reference.decoder.weights[0]
    kernel.assign(kernel.numpy() * 30)
    tried = trial(reference)
    assert tried.quality(tried.export("int8"))["decoder"] > 28


# integer inputs and outputs


@pytest.mark.parametrize("name", [name for name in MODELS if name not in CODES])
def test_integers_in_and_out(name: str) -> None:
    tried = trial_of(name)
    exported = tried.export("int8", integer_io=True)
    assert {role: snr for role, snr in tried.quality(exported).items() if snr < FLOORS["int8"]} == {}
    for artifact in exported.artifacts:
        model = model_of(exported, artifact.role)
        for spec, value in zip(
            (*artifact.inputs, *artifact.outputs), (*model.graph.input, *model.graph.output), strict=True
        ):
            assert metadata(model)[f"aetool.tensor.{spec.name}"].startswith(spec.dtype + "[batch")
            assert value.type.tensor_type.elem_type == onnx.helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype))
            assert (spec.quantization is not None) == (spec.dtype == "uint8")


@pytest.mark.parametrize("offset", [0.0, 1000.0, -1e5])
@pytest.mark.parametrize("sizes", [(1.0, 1.0), (5000.0, 1.0)])
def test_the_normalization_is_part_of_what_the_integers_stand_for(offset: float, sizes: tuple[float, float]) -> None:
    reference = compose(
        (16, 2),
        [layers.Conv1D(4, 3, padding="same", activation="relu"), layers.Flatten(), layers.Dense(5)],
        [layers.Dense(32, "relu"), layers.Reshape((16, 2)), layers.Conv1D(2, 3, padding="same")],
        normalization=Normalization((offset, offset / 2), sizes),
    )
    tried = trial(reference)
    exported = tried.export("int8", integer_io=True)
    plain = trial(reference, tried.values).export("float32")
    for artifact, original in zip(exported.artifacts, plain.artifacts, strict=True):
        given = tried.given(artifact.role)
        wanted, met = run(plain, original, given), run(exported, artifact, given)
        axis = tuple(range(wanted.ndim - 1))
        if artifact.role != "encoder":
            wanted, met = ((values - wanted.mean(axis)) / wanted.std(axis) for values in (wanted, met))
        assert signal_to_noise(wanted, met) > 25


def test_integer_graphs_have_no_arithmetic_on_raw_values() -> None:
    model = model_of(trial_of("normalized_per_channel").export("int8", integer_io=True))
    assert not set(nodes(model)) & {"Sub", "Div"}


# what stays in float


@pytest.mark.parametrize(
    ("name", "layer", "kind"), [("lstm", "lstm", "LSTM"), ("gru", "gru", "GRU"), ("tokens", "embedding", "Gather")]
)
def test_what_stays_in_float_is_told(name: str, layer: str, kind: str) -> None:
    notices = trial_of(name).export("int8").notices
    assert notices
    assert all(layer in notice and kind in notice and "stays in float" in notice for notice in notices)


def test_nothing_is_told_where_all_is_integer() -> None:
    assert trial_of("conv_2d").export("int8").notices == ()
    assert trial_of("lstm").export("dynamic_range").notices == ()


@pytest.mark.parametrize("precision", ["dynamic_range", "int8"])
def test_layers_kept_in_float32(precision: str) -> None:
    reference = compose(
        (16, 16, 1),
        [layers.Conv2D(4, 3, name="first"), layers.Conv2D(8, 3, activation="relu", name="second"), layers.Flatten()],
        None,
    )
    tried = trial(reference)
    kept = model_of(tried.export(precision, float_layers=frozenset({"second"})))
    floats = [list(t.dims) for t in kept.graph.initializer if t.data_type == FLOAT32 and len(t.dims) == 4]
    assert [8, 4, 3, 3] in floats
    everything = frozenset({"first", "second"})
    assert tried.quality(tried.export(precision, float_layers=everything))["encoder"] > 110


@pytest.mark.parametrize("precision", ["dynamic_range", "int8"])
def test_unknown_layers_to_keep_are_refused(precision: str) -> None:
    with pytest.raises(UsageError, match="'nonsense'"):
        trial_of("dense").export(precision, float_layers=frozenset({"nonsense"}))


# float16


def test_half_precision_weights_between_float32_ends() -> None:
    model = model_of(trial_of("normalized_per_channel").export("float16"))
    kinds = {t.data_type for t in model.graph.initializer if len(t.dims) > 1}
    assert onnx.TensorProto.FLOAT16 in kinds
    assert {value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output)} == {FLOAT32}


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_raw_values_beyond_half_precision(offset: float) -> None:
    reference = compose(
        (12,),
        [layers.Dense(8, "relu"), layers.Dense(3)],
        [layers.Dense(12)],
        normalization=Normalization((offset,), (9.0,)),
    )
    tried = trial(reference)
    exported = tried.export("float16")
    assert tried.quality(exported)["encoder"] > 40
    assert exported.notices == ()


def test_weights_beyond_half_precision_stay_and_are_told() -> None:
    reference = compose((12,), [layers.Dense(8, name="huge"), layers.Dense(3, name="plain")], None)
    kernel = next(weight for weight in reference.encoder.weights if weight.shape == (12, 8))
    kernel.assign(kernel.numpy() * 1e6)
    other = next(weight for weight in reference.encoder.weights if weight.shape == (8, 3))
    other.assign(other.numpy() * 1e-6)
    tried = trial(reference)
    exported = tried.export("float16")
    assert len(exported.notices) == 1
    assert "'huge'" in exported.notices[0]
    assert "65504" in exported.notices[0]


def test_a_change_of_layout_before_a_product_in_half_precision() -> None:
    """ONNX Runtime 1.31 crashes on ``Cast``, ``Transpose``, ``MatMul``."""
    reference = compose(
        (8, 16), [layers.Permute((2, 1)), layers.Dense(4), layers.Permute((2, 1)), layers.Dense(3)], None
    )
    tried = trial(reference)
    assert tried.quality(tried.export("float16"))["encoder"] > FLOORS["float16"]


# the same bytes

DIGESTS = """
import hashlib, sys
import numpy as np
from tests.exporters.keras_models import MODELS, sample
from tests.exporters.quantized import trial
for name in ("conv_1d", "lstm"):
    tried = trial(MODELS[name]())
    for precision in ("float16", "dynamic_range", "int8"):
        for integer_io in (False, True):
            exported = tried.export(precision, integer_io=integer_io)
            for path, data in exported.files.items():
                print(name, path, integer_io, hashlib.sha256(data).hexdigest())
"""


def test_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    printed = []
    for seed, cwd in (("0", root), ("77", tmp_path)):
        env = os.environ | {
            "PYTHONHASHSEED": seed,
            "PYTHONPATH": f"{root}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        }
        done = subprocess.run(
            [sys.executable, "-c", DIGESTS], env=env, cwd=cwd, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        printed.append(done.stdout)
    assert printed[0].count("\n") == 2 * 3 * 3 * 2
    assert printed[0] == printed[1]
