"""TFLite below float32: what each precision keeps of every kind of model, and what the file looks like."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import OpResolverType
from tests.exporters.reduced_models import (
    REDUCED,
    data_for,
    decibels,
    least_decibels,
    made,
    operations,
    reduced,
    run,
)

from aetool_exporters.request import CALIBRATION_METHODS, Calibration, ExportRequest, QuantizationOptions
from aetool_exporters.tflite import TfliteExporter
from aetool_exporters.tflite.calibration import Observer
from aetool_exporters.tflite.flatbuffer import read, write
from aetool_runtime.errors import ConversionError, InputError, UsageError

ROOT = Path(__file__).parents[2]

# dB on calibration data; what was measured lies 3 dB or more above
LEAST = {"float16": 50.0, "dynamic_range": 32.0, "int8": 29.0, "int16x8": 31.0}


RAW = {"channels_of_different_size", "large_offset"}  # no normalization: only what is calibrated can look after them
UNEVEN = [(model, precision) for model in RAW for precision in ("float16", "dynamic_range")]


@pytest.mark.parametrize(
    ("model", "precision"),
    [(m, p) for m in sorted(REDUCED.keys() - {"codes"}) for p in LEAST if (m, p) not in UNEVEN],
)
def test_every_model_keeps_its_signal_at_every_precision(model: str, precision: str) -> None:
    assert least_decibels(model, reduced(model, precision)) >= LEAST[precision]


@pytest.mark.parametrize("precision", LEAST)
def test_integer_latents_stay_integers(precision: str) -> None:
    """Near ties between entries of a codebook may fall otherwise."""
    reference, _ = made("codes")
    exported = reduced("codes", precision)
    encoder, decoder, _ = exported.artifacts
    given = data_for("codes")[:50]
    codes = reference.compute("encoder", given)
    assert np.mean(run(exported, encoder, given)["latent"] == codes) > 0.95
    expected = reference.compute("decoder", codes)
    assert decibels(expected, run(exported, decoder, codes)["reconstruction"]) > LEAST[precision]


@pytest.mark.parametrize("precision", ["int8", "int16x8"])
@pytest.mark.parametrize("model", sorted(REDUCED.keys() - RAW - {"codes"}))
def test_integers_in_and_out_keep_as_much(model: str, precision: str) -> None:
    exported = reduced(model, precision, integer_io=True)
    assert least_decibels(model, exported) >= LEAST[precision] - 1
    for artifact in exported.artifacts:
        for spec in (*artifact.inputs, *artifact.outputs):
            if spec.dtype != "int32":
                assert spec.dtype == precision.removesuffix("x8")
                assert spec.quantization is not None


@pytest.mark.parametrize(
    ("model", "share"), [("dense", 0.27), ("conv_2d", 0.67)]
)  # the small one: 18 operations' records
def test_int8_files_are_small(model: str, share: float) -> None:
    reference, exporter = made(model)
    whole = exporter.export(reference, ExportRequest(model)).files["tflite/model.float32.tflite"]
    assert len(reduced(model, "int8").files["tflite/model.int8.tflite"]) <= share * len(whole)


def test_names_signatures_and_metadata_are_the_same_at_every_precision() -> None:
    reference, exporter = made("normalized_per_channel")
    files = [exporter.export(reference, ExportRequest("normalized_per_channel"))]
    files += [reduced("normalized_per_channel", precision) for precision in LEAST]
    described = []
    for exported in files:
        model = read(next(iter(exported.files.values())))
        names = [(e.signatureKey, [i.name for i in e.inputs], [o.name for o in e.outputs]) for e in model.signatureDefs]
        metadata = {e.name: bytes(model.buffers[e.buffer].data) for e in model.metadata}
        assert metadata.pop(b"aetool.precision").decode() == exported.artifacts[0].precision
        metadata.pop(b"min_runtime_version", None)
        described.append((names, metadata, [(a.role, a.inputs, a.outputs) for a in exported.artifacts]))
    assert all(entry == described[0] for entry in described)


def test_metadata_of_integers_says_so() -> None:
    model = read(reduced("dense", "int8", integer_io=True).files["tflite/model.int8.tflite"])
    metadata = {e.name.decode(): bytes(model.buffers[e.buffer].data).decode() for e in model.metadata}
    assert metadata["aetool.tensor.input"] == "int8[batch, 784]"


@pytest.mark.parametrize("model", ["dense", "conv_2d", "dense_batch_norm", "upsampling", "variational"])
def test_int8_computes_in_integers_only(model: str) -> None:
    made_of = {dtype for _, dtype in operations(reduced(model, "int8", integer_io=True))}
    assert made_of == {"int8"}


def test_normalization_stays_in_float32_around_the_integers() -> None:
    exported = reduced("normalized_per_channel", "int8")
    names = [name for name, _ in operations(exported, "reconstruct") if name != "RESHAPE"]
    assert names[:3] == ["SUB", "MUL", "QUANTIZE"]
    assert names[-3:] == ["DEQUANTIZE", "MUL", "ADD"]
    inside = operations(reduced("normalized_per_channel", "int8", integer_io=True), "reconstruct")
    assert {name for name, _ in inside} == {"CONV_2D", "FULLY_CONNECTED", "RESHAPE"}


def test_the_quantization_of_raw_integers_holds_the_normalization() -> None:
    reference, _ = made("normalized_per_channel")
    spec = reduced("normalized_per_channel", "int8", integer_io=True).artifacts[0].inputs[0]
    assert spec.quantization is not None
    assert spec.quantization.axis == 2
    ratio = spec.quantization.scale[0] / spec.quantization.scale[1]
    assert ratio == pytest.approx(reference.normalization.scale[0] / reference.normalization.scale[1])
    raw = data_for("normalized_per_channel")
    assert decibels(raw, spec.real(spec.stored(raw)), reference.normalization) > 35


@pytest.mark.parametrize("precision", ["int8", "int16x8"])
@pytest.mark.parametrize("model", ["dense", "conv_2d", "dense_batch_norm", "normalized_per_channel", "wide_latent"])
def test_decoding_the_encoded_is_reconstructing(model: str, precision: str) -> None:
    encoder, decoder, autoencoder = (exported := reduced(model, precision, integer_io=True)).artifacts
    assert encoder.outputs[0] == decoder.inputs[0]
    given = data_for(model)[:10]
    latent = run(exported, encoder, given)["latent"]
    assert np.array_equal(
        run(exported, decoder, latent)["reconstruction"], run(exported, autoencoder, given)["reconstruction"]
    )


def test_batch_norm_leaves_nothing_behind() -> None:
    assert [name for name, _ in operations(reduced("dense_batch_norm", "int8", integer_io=True), "encode")] == [
        "FULLY_CONNECTED",
        "FULLY_CONNECTED",
    ]


@pytest.mark.parametrize(
    ("model", "layer", "reason"),
    [
        ("lstm", "lstm", "its loop"),
        ("gru", "gru_1", "its loop"),
        ("layer_norm", "layer_normalization", "RSQRT"),
        ("large_offset", "first", "offset"),
        ("channels_of_different_size", "first", "its differences in size"),
    ],
)
def test_what_stays_in_float32_is_told(model: str, layer: str, reason: str) -> None:
    reference, _ = made(model)
    names = {inner.name for part in reference.models for inner in part.layers}
    told = [n for n in reduced(model, "int8").notices if reason in n]
    assert any(f"'{name}'" in notice for notice in told for name in names if name.startswith(layer.rstrip("_1")))


def test_nothing_is_told_where_nothing_stays() -> None:
    assert reduced("conv_2d", "int8").notices == ()


@pytest.mark.parametrize("model", ["large_offset", "channels_of_different_size"])
def test_integers_that_would_drown_the_input_are_refused(model: str) -> None:
    with pytest.raises(ConversionError, match="too small beside their offset") as refusal:
        reduced(model, "int8", integer_io=True)
    assert "normalization" in refusal.value.hint


def test_weights_in_loops_are_integers() -> None:
    model = read(reduced("lstm", "int8").files["tflite/model.int8.tflite"])
    bodies = [graph for graph in model.subgraphs if graph.name.startswith(b"body")]
    assert any(tensor.type == 9 for graph in bodies for tensor in graph.tensors)


def test_layers_that_shall_stay_in_float32() -> None:
    reference, _ = made("dense")
    names = [layer.name for layer in reference.encoder.layers[1:]]  # type: ignore[union-attr]
    exported = reduced("dense", "int8", float_layers=frozenset(names[:1]))
    assert operations(exported, "encode") == [
        ("FULLY_CONNECTED", "float32"),
        ("QUANTIZE", "int8"),
        ("FULLY_CONNECTED", "int8"),
        ("DEQUANTIZE", "float32"),
    ]
    assert exported.notices == ()
    for precision in ("float16", "dynamic_range"):
        fewer = reduced("dense", precision, float_layers=frozenset(names[:1])).files.values()
        assert len(next(iter(fewer))) > len(next(iter(reduced("dense", precision).files.values()))) + 784 * 64


def test_layers_of_similar_names_are_told_apart() -> None:
    """TensorFlow's scopes call the second look at ``dense`` what the first at ``dense_1`` is called."""
    reference, _ = made("dense_batch_norm")
    first, last = (reference.encoder.layers[place].name for place in (1, -1))  # type: ignore[union-attr]
    kept_first = operations(reduced("dense_batch_norm", "int8", float_layers=frozenset([first])), "encode")
    kept_last = operations(reduced("dense_batch_norm", "int8", float_layers=frozenset([last])), "encode")
    assert [dtype for name, dtype in kept_first if name == "FULLY_CONNECTED"] == ["float32", "int8"]
    assert [dtype for name, dtype in kept_last if name == "FULLY_CONNECTED"] == ["int8", "float32"]


def test_each_calibration_method_acts() -> None:
    files = {method: reduced("conv_2d", "int8", method=method).files for method in CALIBRATION_METHODS}
    digests = {sha256(next(iter(content.values()))).hexdigest() for content in files.values()}
    assert len(digests) == len(CALIBRATION_METHODS)


def test_a_sample_that_is_not_finite_is_refused() -> None:
    reference, exporter = made("dense")
    given = data_for("dense")
    given[3, 1] = np.nan
    quantization = QuantizationOptions(Calibration(lambda: iter([given])))
    with pytest.raises(InputError, match="latent of it that is not finite"):
        exporter.export(reference, ExportRequest("m", "int8", quantization=quantization))


def test_what_lay_in_memory_counts_for_nothing() -> None:
    """The engine does not fill every tensor of a loop: some hold anything."""
    observer = Observer("minmax", "int8")
    for values in ([1.0, 2.0], [3.0, np.inf], [4.0, 5.0]):
        observer.add(np.array([values], np.float32))
    assert observer.result() is None
    seen = Observer("minmax", "int8")
    seen.add(np.array([[1.0, 2.0]], np.float32))
    found = seen.result()
    assert found is not None
    assert found.mean.tolist() == [1.0, 2.0]


def test_methods_treat_an_outlier_differently() -> None:
    """One value of 24,000 is six times as large as the others reach."""
    reference, exporter = made("dense_batch_norm")
    given = data_for("dense_batch_norm", count=1000)
    given[7, 3] = 6 * np.abs(given).max()
    scales = {}
    for method in CALIBRATION_METHODS:
        quantization = QuantizationOptions(Calibration(lambda: iter([given]), method), integer_io=True)
        exported = exporter.export(reference, ExportRequest("m", "int8", quantization=quantization))
        spec = exported.artifacts[0].inputs[0]
        assert spec.quantization is not None
        scales[method] = spec.quantization.scale[0]
    assert scales["percentile"] < scales["minmax"] / 3
    assert scales["entropy"] < scales["minmax"] / 1.5
    assert scales["mse"] < scales["minmax"]


@pytest.mark.parametrize("precision", ["int8", "int16x8"])
def test_ranges_need_data(precision: str) -> None:
    reference, exporter = made("dense")
    with pytest.raises(UsageError, match="needs data"):
        exporter.export(reference, ExportRequest("m", precision))
    empty = QuantizationOptions(Calibration(lambda: iter(())))
    with pytest.raises(InputError, match="no samples"):
        exporter.export(reference, ExportRequest("m", precision, quantization=empty))
    wrong = QuantizationOptions(Calibration(lambda: iter([np.zeros((2, 3), np.float32)])))
    with pytest.raises(InputError, match="shape"):
        exporter.export(reference, ExportRequest("m", precision, quantization=wrong))


@pytest.mark.parametrize("precision", ["float16", "dynamic_range"])
def test_smaller_weights_need_no_data(precision: str) -> None:
    reference, exporter = made("dense")
    assert exporter.export(reference, ExportRequest("dense", precision)).files == reduced("dense", precision).files


@pytest.mark.parametrize(("model", "counts"), [("depthwise", [4, 1]), ("conv_2d", [1, 1])])
def test_one_scale_for_a_kernel_where_that_will_do_or_is_asked_for(model: str, counts: list[int]) -> None:
    met = []
    for per_channel in (True, False):
        made_of = read(reduced(model, "int8", per_channel=per_channel).files["tflite/model.int8.tflite"])
        scales = [t.quantization.scale for g in made_of.subgraphs for t in g.tensors if t.quantization is not None]
        met.append(max(map(len, scales)))
    assert met == counts


def test_float16_weights_are_half_the_size() -> None:
    reference, exporter = made("dense")
    whole = exporter.export(reference, ExportRequest("dense")).files["tflite/model.float32.tflite"]
    assert len(reduced("dense", "float16").files["tflite/model.float16.tflite"]) < 0.52 * len(whole)


@pytest.mark.parametrize("precision", LEAST)
@pytest.mark.parametrize("model", ["dense", "conv_1d", "conv_2d", "lstm"])
def test_engines_agree(model: str, precision: str) -> None:
    """XNNPACK and the reference kernels, in units of the output's spread: a few steps of 1/256 of its range."""
    exported = reduced(model, precision)
    artifact = exported.artifacts[-1]
    given = data_for(model)[:20]
    fast, plain = (
        run(exported, artifact, given, resolver)["reconstruction"]
        for resolver in (OpResolverType.AUTO, OpResolverType.BUILTIN_REF)
    )
    assert np.abs(fast - plain).max() <= artifact.tolerance.atol * fast.std()


@pytest.mark.parametrize("precision", LEAST)
def test_reading_and_writing_changes_nothing(precision: str) -> None:
    data = next(iter(reduced("lstm", precision).files.values()))
    assert write(read(data)) == data


def test_one_conversion_serves_all_precisions(monkeypatch: pytest.MonkeyPatch) -> None:
    import aetool_exporters.tflite.reduced as module

    calls = []
    convert = module.convert
    monkeypatch.setattr(module, "convert", lambda *arguments: calls.append(1) or convert(*arguments))
    reference, exporter = REDUCED["dense_batch_norm"](), TfliteExporter()
    for precision in ("float16", "dynamic_range", "float16"):
        exporter.export(reference, ExportRequest("m", precision))
    assert len(calls) == 1
    assert [layer.name for layer in reference.encoder.layers if layer.name.startswith("layer.")] == []  # type: ignore[union-attr]


STABLE = ("dense", "conv_2d", "normalized_per_channel", "lstm")
PRINT_DIGESTS = f"""
import json, sys
sys.path.insert(0, {str(ROOT)!r})
from tests.exporters.test_tflite_reduced import digests
print(json.dumps(digests()))
"""


def digests() -> dict[str, str]:
    return {
        f"{model} {precision}": sha256(next(iter(reduced(model, precision).files.values()))).hexdigest()
        for model in STABLE
        for precision in LEAST
    }


@pytest.mark.slow
def test_bytes_are_the_same_in_every_process(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "3", "TMPDIR": str(tmp_path), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", PRINT_DIGESTS], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == digests()
