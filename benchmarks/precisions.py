"""What each precision costs and saves: bytes, quality and time of the presets, beside float32 of the same format.

    python benchmarks/precisions.py [--models DIR]     # prints the table; writes results/precisions.md and .json

Method: each preset is trained as `aetool train` trains it (or taken from DIR/PRESET, a checkpoint), and exported to
every format at each of its precisions; int8 is calibrated on the checkpoint's own calibration samples, all of which are
training data, by the whole range met (`minmax`). Measured is the graph of both roles in one (encoder and decoder).
Bytes are those of all files of a format and precision. PSNR is against the held-out data, with their range as the peak;
what is lost is PSNR at float32 − PSNR. SNR is against float32 of the same format. Times are medians over rounds of the
ratio to float32 in the same round, the contenders in turn, on one thread; a graph with a fixed batch runs once for each
sample; where the load was beyond the cores, times say little. An int8 file of TFLite has a byte for each weight and
four for each bias, which its kernels take as int32: of the float32 file, dense has 0.254 in these alone, conv2d 0.264
and conv1d 0.261. What is above that are tensors, operations, signatures, scales, metadata and alignment.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np

RESULTS = Path(__file__).parent / "results"
PRESETS = {"dense": "builtin:digits", "conv2d": "builtin:digits", "conv1d": "builtin:ecg", "gru-ecg": "builtin:ecg"}
FORMATS = ("onnx", "tflite")
BATCHES = (1, 256)
WARM_UP = 3
COLUMNS = ("preset", "format", "precision", "bytes", "× float32", "PSNR, dB", "lost, dB", "SNR, dB", "× b1", "× b256")


@dataclass(frozen=True)
class Contender:
    """An artifact, ready to run on real values."""

    precision: str
    artifact: Any
    graph: Any
    size: int

    def run(self, values: np.ndarray) -> np.ndarray:
        spec, returned = self.artifact.inputs[0], self.artifact.outputs[0]
        fed = values if spec.quantization is None else spec.quantization.quantize(values, spec.dtype)
        size = spec.shape[0] or len(fed)
        pieces = [self.graph.run(fed[start : start + size])[0] for start in range(0, len(fed), size)]
        made = np.concatenate(pieces)
        return made if returned.quantization is None else returned.quantization.dequantize(made)


@click.command()
@click.option("--models", type=click.Path(path_type=Path), help="Folder with a trained checkpoint for each preset.")
@click.option("--rounds", default=40, show_default=True, help="Rounds of each contender.")
@click.option("--only", multiple=True, type=click.Choice(list(PRESETS)), help="Presets; all by default.")
@click.option("--format", "formats", multiple=True, type=click.Choice(FORMATS), help="Formats; all by default.")
def main(models: Path | None, rounds: int, only: tuple[str, ...], formats: tuple[str, ...]) -> None:
    """Measure and write the table."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from machine import describe_machine

    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as temporary:
        folder = models or Path(temporary)
        rows = [row for preset in only or PRESETS for row in measure_preset(preset, formats or FORMATS, folder, rounds)]
    report = {"machine": describe_machine() | {"load when it began": f"{load:.1f}"}, "rounds": rounds, "rows": rows}
    text = format_report(report)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "precisions.json").write_text(json.dumps(report, indent=1) + "\n")
    (RESULTS / "precisions.md").write_text(text)


def measure_preset(preset: str, formats: Sequence[str], folder: Path, rounds: int) -> list[dict[str, Any]]:
    """One row for each format and precision."""
    from aetool.model import load_model

    model = load_model(trained(preset, folder))
    rows = []
    for name in formats:
        contenders = contenders_of(name, model)
        print(f"{preset} {name}: {', '.join(contender.precision for contender in contenders)}", file=sys.stderr)
        for row in measure(contenders, model.samples.values, rounds):
            rows.append({"preset": preset, "format": name, **row})
    return rows


def trained(preset: str, folder: Path) -> Path:
    """The checkpoint of a preset in a folder; trained if it is not there."""
    path = folder / preset
    if not path.exists():
        command = [sys.executable, "-m", "aetool", "train", "--preset", preset, PRESETS[preset], "-o", str(path)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return path


def contenders_of(name: str, model: Any) -> list[Contender]:
    """What an exporter makes of the model at each precision; those that it refuses are left out, and said."""
    from aetool_exporters.request import Calibration, ExportRequest, QuantizationOptions
    from aetool_runtime.backends import available_backends, load_plugin
    from aetool_runtime.errors import AetoolError

    exporter, backend = load_plugin("aetool.exporters", name)(), available_backends(name)[0]
    shape = model.samples.values.shape[1:]
    options = QuantizationOptions(Calibration(lambda: iter(np.array_split(model.calibration, 8))))
    found = []
    for precision in exporter.precisions:
        request = ExportRequest(model.name, precision=precision, sample_shape=shape, quantization=options)
        try:
            exported = exporter.export(model.reference, request)
        except AetoolError as error:
            print(f"{name} {precision}: {error.what}", file=sys.stderr)
            continue
        artifact = next(artifact for artifact in exported.artifacts if artifact.role == "autoencoder")
        graph = backend.load(exported.files[artifact.path], artifact, device="cpu", threads=1)
        found.append(Contender(precision, artifact, graph, sum(map(len, exported.files.values()))))
    return found


def measure(contenders: list[Contender], values: np.ndarray, rounds: int) -> list[dict[str, Any]]:
    """Everything relative to the first contender, which is float32."""
    made = [contender.run(values) for contender in contenders]
    quality = [psnr(values, array) for array in made]
    ratios = {batch: times(contenders, np.resize(values, (batch, *values.shape[1:])), rounds) for batch in BATCHES}
    return [
        {
            "precision": contender.precision,
            "bytes": contender.size,
            "relative_bytes": contender.size / contenders[0].size,
            "psnr": quality[index],
            "psnr_lost": quality[0] - quality[index],
            "snr": snr(made[0], made[index]),
            **{f"relative_time_batch_{batch}": ratios[batch][index] for batch in BATCHES},
        }
        for index, contender in enumerate(contenders)
    ]


def times(contenders: list[Contender], values: np.ndarray, rounds: int) -> list[float]:
    """Each contender's time relative to the first's."""
    calls = max(1, round(0.01 / timed(contenders[0], values, 3)))
    for contender in contenders:
        timed(contender, values, WARM_UP)
    taken = [[timed(contender, values, calls) for contender in contenders] for _ in range(rounds)]
    return [median(row[index] / row[0] for row in taken) for index in range(len(contenders))]


def timed(contender: Contender, values: np.ndarray, calls: int) -> float:
    """Seconds a call."""
    start = time.perf_counter()
    for _ in range(calls):
        contender.run(values)
    return (time.perf_counter() - start) / calls


def psnr(expected: np.ndarray, met: np.ndarray) -> float:
    error = float(np.mean((expected.astype(np.float64) - met) ** 2))
    return 20 * math.log10(float(np.ptp(expected))) - 10 * math.log10(error)


def snr(expected: np.ndarray, met: np.ndarray) -> float | None:
    """Against float32 of the same format; ``None`` for itself."""
    noise = float(np.sum((expected.astype(np.float64) - met) ** 2))
    signal = float(np.sum((expected.astype(np.float64) - expected.mean()) ** 2))
    return 10 * math.log10(signal / noise) if noise else None


def format_report(report: dict[str, Any]) -> str:
    method = (__doc__ or "").split("Method: ")[1]
    lines = ["# Precisions", "", method]
    lines += [f"- {key}: {value}" for key, value in report["machine"].items()]
    lines += [f"- rounds: {report['rounds']}", "", "| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    for row in report["rows"]:
        cells = [row["preset"], row["format"], row["precision"], f"{row['bytes']:,}", f"{row['relative_bytes']:.3f}"]
        cells += [f"{row['psnr']:.2f}", f"{row['psnr_lost']:.3f}", "" if row["snr"] is None else f"{row['snr']:.1f}"]
        cells += [f"{row[f'relative_time_batch_{batch}']:.2f}" for batch in BATCHES]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
