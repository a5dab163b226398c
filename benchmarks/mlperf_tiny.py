"""The MLPerf Tiny anomaly-detection autoencoder: our files beside those that its authors published.

    python benchmarks/mlperf_tiny.py MODELS      # prints the table; writes results/mlperf_tiny.md and .json

MODELS holds `ad01.h5` (mlcommons/tiny, `benchmark/training/anomaly_detection/trained_models`; a longer name may end so)
and `mlperf_tiny_ad/` with `ad01_fp32.tflite`, `ad01_int8.tflite` and one recording's features.

Method: the recording is 200 spectra of 128 values; the benchmark scores all 196 windows of five spectra, by the mean
squared error of their reconstruction. Ranges are calibrated on every second window, and judged on the others. A
healthy recording's windows differ little in their error, so that a rank decides between near ties; what a detector is
for is shown by the same windows with a disturbance added to every second one: a tone (four bands, 3 to 20 dB up) or a
bang (one spectrum, 3 to 20 dB up), drawn with a fixed seed. Spearman's rank correlation is with the errors of the
Keras model; SNR and the largest deviation (in units of the output's standard deviation) are against the same model.
The row `Keras` holds Keras itself, in float32, against the same computed with 64 bits: on some windows the model
magnifies rounding, and a float32 file cannot be expected to be much nearer. The row below it is Keras in float32 again,
with nothing but its input and its output rounded to 8 bits (mean of twelve step sizes, up to 5 % coarser): what is lost
there, no choice of integers inside an int8 file gives back, and single files lie around it by chance. Our files hold
three signatures, `encode`, `decode` and `reconstruct`, which share their weights; the published ones hold the
autoencoder alone.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

RESULTS = Path(__file__).parent / "results"
SPECTRA, BANDS, WINDOW = 200, 128, 5
KERAS = "ad01.h5"
COLUMNS = ("file", "bytes", "SNR, dB", "largest deviation", "Spearman, recording", "Spearman, with disturbances")
VARIANTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("ours, float32", "float32", {}),
    ("ours, float16", "float16", {}),
    ("ours, dynamic_range", "dynamic_range", {}),
    ("ours, int8", "int8", {}),
    ("ours, int8, one scale a kernel", "int8", {"per_channel": False}),
    ("ours, int8, one scale a kernel, integers in and out", "int8", {"per_channel": False, "integer_io": True}),
    ("ours, int16x8", "int16x8", {}),
)


@click.command()
@click.argument("models", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(models: Path) -> None:
    """Measure and write the table."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from machine import describe_machine

    load = os.getloadavg()[0]
    report = {"machine": describe_machine() | {"load when it began": f"{load:.1f}"}, "rows": list(measure(models))}
    text = format_report(report)
    sys.stdout.write(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "mlperf_tiny.json").write_text(json.dumps(report, indent=1) + "\n")
    (RESULTS / "mlperf_tiny.md").write_text(text)


def measure(models: Path) -> Iterator[dict[str, Any]]:
    """One row for each file."""
    from aetool_exporters.request import Calibration, ExportRequest, QuantizationOptions
    from aetool_exporters.tflite import TfliteExporter

    reference = load_reference(models)
    windows = load_windows(models)
    judged, disturbed = windows[1::2], with_disturbances(windows[1::2])
    yield {"file": "Keras, float32", "bytes": None} | compare(
        exact(reference, judged), exact(reference, disturbed), judged, disturbed,
        *(reference.compute("autoencoder", values) for values in (judged, disturbed)),
    )  # fmt: skip
    expected = [reference.compute("autoencoder", values) for values in (judged, disturbed)]
    yield {"file": "Keras, float32, its input and output rounded to 8 bits", "bytes": None} | between_rounded_ends(
        reference, windows[::2], expected, judged, disturbed
    )
    exporter = TfliteExporter()
    for title, precision, options in VARIANTS:
        quantization = QuantizationOptions(Calibration(lambda: iter([windows[::2]])), **options)
        exported = exporter.export(reference, ExportRequest("ad01", precision, quantization=quantization))
        artifact = exported.artifacts[-1]
        data = exported.files[artifact.path]
        met = [run(data, artifact.signature, values, artifact.inputs[0].stored, artifact.outputs[0].real)
               for values in (judged, disturbed)]  # fmt: skip
        yield {"file": title, "bytes": len(data)} | compare(*expected, judged, disturbed, *met)
    for name in ("ad01_fp32.tflite", "ad01_int8.tflite"):
        data = (models / "mlperf_tiny_ad" / name).read_bytes()
        met = [run_published(data, values) for values in (judged, disturbed)]
        yield {"file": f"published, {name}", "bytes": len(data)} | compare(*expected, judged, disturbed, *met)


def between_rounded_ends(
    reference: Any, calibration: np.ndarray, expected: list[np.ndarray], judged: np.ndarray, disturbed: np.ndarray
) -> dict[str, float]:
    """What rounding at the ends alone does, on average over steps from the finest to 5 % coarser."""
    from aetool_exporters.quantization.affine import Affine, Range

    returned = reference.compute("autoencoder", calibration)
    given, made = (
        Affine.covering(Range(float(values.min()), float(values.max())), "int8") for values in (calibration, returned)
    )
    rows = []
    for coarser in np.linspace(1, 1.05, 12):
        before, after = (replace(affine, scale=affine.scale * coarser) for affine in (given, made))
        met = [
            after.round_trip(reference.compute("autoencoder", before.round_trip(values).astype(np.float32)))
            for values in (judged, disturbed)
        ]
        rows.append(compare(*expected, judged, disturbed, *met))
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def load_reference(models: Path) -> Any:
    """The Keras model, cut at its latent."""
    from aetool_exporters.foreign.keras_file import read_keras
    from aetool_exporters.foreign.split import split_autoencoder
    from aetool_exporters.reference import Reference
    from aetool_runtime.specs import Normalization

    path = next(path for path in sorted(models.iterdir()) if path.name.endswith(KERAS))
    halves = split_autoencoder(next(iter(read_keras(path).models.values())))
    return Reference(halves.encoder, halves.decoder, Normalization())


def load_windows(models: Path) -> np.ndarray:
    """[196, 640]: five spectra in a row, beginning with each but the last four."""
    path = next((models / "mlperf_tiny_ad").glob("*.bin"))
    spectra = np.fromfile(path, "<f4").reshape(SPECTRA, BANDS)
    return np.stack([spectra[start : start + WINDOW].reshape(-1) for start in range(SPECTRA - WINDOW + 1)])


def with_disturbances(windows: np.ndarray) -> np.ndarray:
    """Every second window with a band, or a spectrum, 3 to 20 dB louder."""
    generator = np.random.default_rng(0)
    made = windows.reshape(-1, WINDOW, BANDS).copy()
    for place in range(0, len(made), 2):
        louder = generator.uniform(3, 20)
        if generator.random() < 0.5:
            band = int(generator.integers(BANDS - 4))
            made[place, :, band : band + 4] += louder
        else:
            made[place, int(generator.integers(WINDOW))] += louder
    return made.reshape(len(windows), -1)


def run(data: bytes, signature: str, values: np.ndarray, stored: Any, real: Any) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_content=data, num_threads=1).get_signature_runner(signature)
    given = stored(values)
    return real(np.concatenate([runner(input=row[np.newaxis])["reconstruction"] for row in given]))


def run_published(data: bytes, values: np.ndarray) -> np.ndarray:
    """Through the first graph: these files have no signatures."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=data, num_threads=1)
    interpreter.allocate_tensors()
    given, returned = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    made = []
    for row in values:
        interpreter.set_tensor(given["index"], quantized(row[np.newaxis], given))
        interpreter.invoke()
        made.append(dequantized(interpreter.get_tensor(returned["index"]), returned))
    return np.concatenate(made)


def quantized(values: np.ndarray, details: Any) -> np.ndarray:
    scale, zero_point = details["quantization"]
    if not scale:
        return values
    return np.clip(np.rint(values / scale) + zero_point, -128, 127).astype(np.int8)


def dequantized(values: np.ndarray, details: Any) -> np.ndarray:
    scale, zero_point = details["quantization"]
    return (values.astype(np.float32) - zero_point) * scale if scale else values


def exact(reference: Any, windows: np.ndarray) -> np.ndarray:
    """The same model, layer by layer, with 64 bits."""
    values = windows.astype(np.float64)
    for layer in (*reference.encoder.layers, *reference.decoder.layers):
        weights = [np.asarray(weight, np.float64) for weight in layer.get_weights()]
        if type(layer).__name__ == "Dense":
            values = values @ weights[0] + weights[1]
        elif type(layer).__name__ == "BatchNormalization":
            gamma, beta, mean, variance = weights
            values = (values - mean) / np.sqrt(variance + layer.epsilon) * gamma + beta
        elif type(layer).__name__ == "Activation":
            values = np.maximum(values, 0)
    return values


def compare(
    expected: np.ndarray,
    expected_disturbed: np.ndarray,
    judged: np.ndarray,
    disturbed: np.ndarray,
    met: np.ndarray,
    met_disturbed: np.ndarray,
) -> dict[str, float]:
    """Reconstructions of the healthy and of the disturbed windows with what they should be."""
    error = met.astype(np.float64) - expected
    return {
        "snr": 10 * float(np.log10(expected.var() / np.mean(error**2))),
        "largest_deviation": float(np.abs(error).max() / expected.std()),
        "spearman": rank_correlation(errors(judged, expected), errors(judged, met)),
        "spearman_disturbed": rank_correlation(errors(disturbed, expected_disturbed), errors(disturbed, met_disturbed)),
    }


def errors(windows: np.ndarray, reconstructions: np.ndarray) -> np.ndarray:
    """The benchmark's anomaly score: mean squared error of each window."""
    return np.mean((reconstructions.astype(np.float64) - windows) ** 2, axis=1)


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's, of values without ties."""
    ranks = [np.argsort(np.argsort(values)) for values in (first, second)]
    return float(np.corrcoef(*ranks)[0, 1])


def format_report(report: dict[str, Any]) -> str:
    method = (__doc__ or "").split("Method: ")[1]
    lines = ["# MLPerf Tiny, anomaly detection", "", method]
    lines += [f"- {key}: {value}" for key, value in report["machine"].items()]
    lines += ["", "| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    for row in report["rows"]:
        cells = [
            row["file"],
            f"{row['bytes']:,}" if row["bytes"] else "",
            f"{row['snr']:.1f}",
            f"{row['largest_deviation']:.2g}",
        ]
        cells += [f"{row['spearman']:.4f}", f"{row['spearman_disturbed']:.4f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
