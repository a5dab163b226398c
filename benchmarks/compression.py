"""What learned codecs take beside linear ones and classical coders, byte for byte: pictures, ECG, motion.

    python benchmarks/compression_training.py MODELS     # hours; resumable
    python benchmarks/compression.py MODELS [--data ../shared/data] [--pictures N]   # writes results/compression.*

Every checkpoint of MODELS is exported (`aetool export --compression`; tables fitted to the training part alone) and its
bundle compresses the test part, which no training saw. What counts is the length of whole streams, headers and all;
the error is that of what a decompressor returns. Between a bundle's two qualities around a target the logarithm of the
bytes is interpolated. Linear codecs have the same coder, tables fitted alike and as many qualities: PCA of windows, or
of 16 × 16 blocks. Tiles: 15 of a picture in one stream; WebP (method 6) and AVIF (speed 4) as Pillow writes them, one
file for each tile or picture, their quality chosen for the same mean squared error over all.
"""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import click
import numpy as np
from compression_training import SHARED, TILE, pictures
from machine import describe_machine
from PIL import Image

from aetool_runtime import Compressor, Decompressor
from aetool_runtime.bundle import Bundle, open_bundle

RESULTS = Path(__file__).parent / "results"
ECG_ERRORS = {"0.197": ("ecg-low", 0.48), "0.117": ("ecg-high", 0.58)}
PICTURE_LEVELS = {36.0: ("tiles-36", 0.40, 0.80), 40.0: ("tiles-40", 0.50, 0.85)}


@dataclass(frozen=True)
class Point:
    """Bytes, and the mean squared error that they bring."""

    bytes: float
    mse: float


Measure = Callable[[int], Point]  # by quality


@click.command()
@click.argument("models", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--data", type=click.Path(path_type=Path, exists=True), default=SHARED, help="Folder of shared data.")
@click.option("--pictures", "count", type=int, help="Of the test part, instead of all; to try the command out.")
@click.option("--only", type=click.Choice(["ecg", "motion", "pictures"]), multiple=True)
def main(models: Path, data: Path, count: int | None, only: Sequence[str]) -> None:
    """Measure what is asked for; earlier results of the rest are kept."""
    kept = RESULTS / "compression.json"
    rows: dict[str, Any] = json.loads(kept.read_text())["rows"] if kept.exists() else {}
    parts = {"ecg": ecg_rows, "motion": motion_rows, "pictures": lambda *given: picture_rows(*given, count)}
    for name in only or parts:
        rows[name] = parts[name](models, data)
        report = {"machine": describe_machine(), "rows": rows}
        kept.write_text(json.dumps(report, indent=1) + "\n")
    text = format_report(report)
    (RESULTS / "compression.md").write_text(text)
    sys.stdout.write(text)


# --- bundles ---


def bundle_of(models: Path, name: str, training: Callable[[], np.ndarray]) -> Bundle:
    """The exported bundle of a checkpoint, made where it is not there yet."""
    target = models / f"{name}.aepkg"
    if not target.exists():
        samples = models / f"{name}-fitting.npy"
        np.save(samples, training())
        options = ["--onnx", "--compression", "--calibration", str(samples), "-o", str(target)]
        subprocess.run([sys.executable, "-m", "aetool", "export", str(models / name), *options], check=True)
    return open_bundle(target)


def measured(bundle: Bundle, batches: Sequence[np.ndarray], rows: bool) -> Measure:
    """Each batch as a stream of its own."""

    @cache
    def measure(quality: int) -> Point:
        total, squares, values = 0, 0.0, 0
        decompressor = Decompressor(bundle)
        with Compressor(bundle, quality=quality) as compressor:
            for batch in batches:
                stream = compressor.compress(batch, rows=rows)
                total += len(stream)
                squares += float(np.sum((decompressor.decompress(stream).astype(np.float64) - batch) ** 2))
                values += batch.size
        return Point(total, squares / values)

    return measure


def qualities_of(bundle: Bundle) -> int:
    from aetool_runtime.compression.reading import read_compression

    return len(read_compression(bundle).codecs[0].qualities)


def bytes_at(measure: Measure, count: int, mse: float) -> float:
    """Bytes at an error: the two qualities around it are found by bisection."""
    low, high = 0, count - 1  # coarse, fine
    if measure(low).mse < mse or measure(high).mse > mse:
        return math.nan
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if measure(middle).mse > mse else (low, middle)
    coarse, fine = measure(low), measure(high)
    share = math.log(coarse.mse / mse) / math.log(coarse.mse / fine.mse)
    return math.exp((1 - share) * math.log(coarse.bytes) + share * math.log(fine.bytes))


def bundle_bytes(bundle: Bundle, batches: Sequence[np.ndarray], mse: float, rows: bool) -> float:
    return bytes_at(measured(bundle, batches, rows), qualities_of(bundle), mse)


# --- signals ---


def ecg_rows(models: Path, data: Path) -> list[dict[str, Any]]:
    """Record 100, its last fifth."""
    record = np.load(data / "mitbih" / "record_100.npy")
    cut = len(record) * 4 // 5
    test, deviation = record[cut:], float(record[cut:].std(axis=0).mean())
    linear = bundle_of(models, "ecg-linear", lambda: record[:cut])
    rows = []
    for error, (name, wanted) in ECG_ERRORS.items():
        mse = (float(error) * deviation) ** 2
        learned = bundle_of(models, name, lambda: record[:cut])
        ours, pca = (bundle_bytes(bundle, [test], mse, True) for bundle in (learned, linear))
        rows.append({"at": f"RMSE {error} σ", "values": test.size, "bytes": ours, "PCA": pca, "wanted": wanted})
    return rows


def motion_rows(models: Path, data: Path) -> list[dict[str, Any]]:
    """HAPT: the test persons, at the errors of facts about this data."""
    with np.load(data / "hapt" / "hapt_int16.npz") as archive:
        train, test = archive["train"], archive["test"][: 128 * 1024]
    deviation = float(test.std(axis=0).mean())
    learned, linear = (bundle_of(models, name, lambda: train) for name in ("motion", "motion-linear"))
    rows = []
    for error in (0.230, 0.143):
        mse = (error * deviation) ** 2
        ours, pca = (bundle_bytes(bundle, [test], mse, True) for bundle in (learned, linear))
        rows.append({"at": f"RMSE {error} σ", "values": test.size, "bytes": ours, "PCA": pca, "wanted": 0.95})
    return rows


# --- pictures ---


def picture_rows(models: Path, data: Path, count: int | None) -> list[dict[str, Any]]:
    """Tiles beside WebP and blocks of 16 × 16; whole pictures beside AVIF."""
    whole, training = pictures(data, "test")[:count], (lambda: tiles_of(pictures(data, "train")))
    linear = bundle_of(models, "tiles-linear", training)
    tiles = [tiles_of(picture[None]) for picture in whole]
    rows = []
    for level, (name, webp_wanted, pca_wanted) in PICTURE_LEVELS.items():
        mse = 255**2 / 10 ** (level / 10)
        learned = bundle_of(models, name, training)
        ours, pca = (bundle_bytes(bundle, tiles, mse, False) for bundle in (learned, linear))
        flat = np.concatenate(tiles)
        rows.append(
            {"at": f"tiles, {level:g} dB", "values": flat.size, "pictures": len(whole),
             "bytes": ours, "PCA": pca, "wanted": pca_wanted,
             "WebP": classical(flat, "WEBP", mse, method=6), "WebP wanted": webp_wanted}
        )  # fmt: skip
        pieces = [picture[None] for picture in whole]
        ours, pca = (bundle_bytes(bundle, pieces, mse, False) for bundle in (learned, linear))
        rows.append(
            {"at": f"320×240, {level:g} dB", "values": whole.size, "pictures": len(whole), "bytes": ours, "PCA": pca,
             "AVIF": classical(whole, "AVIF", mse, speed=4), "AVIF wanted": 0.72}
        )  # fmt: skip
    return rows


def tiles_of(whole: np.ndarray) -> np.ndarray:
    """uint8 [n, 240, 320, 3] → [15·n, 64, 64, 3]."""
    high, wide = whole.shape[1] // TILE, whole.shape[2] // TILE
    cut = whole[:, : high * TILE, : wide * TILE].reshape(-1, high, TILE, wide, TILE, 3)
    return np.ascontiguousarray(cut.transpose(0, 1, 3, 2, 4, 5).reshape(-1, TILE, TILE, 3))


def classical(whole: np.ndarray, kind: str, mse: float, **options: Any) -> float:
    """Bytes of a coder of Pillow's at the same error over all, its qualities from 0 to 100."""

    @cache
    def measure(quality: int) -> Point:
        total, squares = 0, 0.0
        for picture in whole:
            file = io.BytesIO()
            Image.fromarray(picture).save(file, kind, quality=quality, **options)
            total += file.tell()
            squares += float(np.sum((np.asarray(Image.open(file).convert("RGB"), np.float64) - picture) ** 2))
        return Point(total, squares / whole.size)

    return bytes_at(measure, 101, mse)


# --- the report ---


def format_report(report: dict[str, Any]) -> str:
    header = ["data", "at", "bits a value", "of PCA", "wanted", "of WebP", "wanted", "of AVIF", "wanted"]
    lines = ["# Compression", "", (__doc__ or "").split("\n\n")[2].strip(), ""]
    lines += [f"- {key}: {value}" for key, value in report["machine"].items()]
    lines += ["", "| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for name, rows in report["rows"].items():
        for row in rows:
            ratio = {peer: row["bytes"] / row[peer] for peer in ("PCA", "WebP", "AVIF") if peer in row}
            cells = [name, row["at"], f"{8 * row['bytes'] / row['values']:.4f}"]
            for peer, wanted in (("PCA", "wanted"), ("WebP", "WebP wanted"), ("AVIF", "AVIF wanted")):
                cells += [shown(ratio, peer), limit(row.get(wanted))]
            lines.append("| " + " | ".join(cells) + " |")
    counts = {row["pictures"] for row in report["rows"].get("pictures", [])}
    notes = [f"Pictures: the first {count} of the test part's 72." for count in counts if count < 72]
    notes.append("Linear codecs of more than 128 components have two sets of tables, learned ones eight.")
    return "\n".join([*lines, "", *notes, "", summary(report["rows"])]) + "\n"


def shown(ratio: dict[str, float], peer: str) -> str:
    return f"{ratio[peer]:.3f}" if peer in ratio else ""


def limit(wanted: float | None) -> str:
    return "" if wanted is None else f"≤ {wanted:.2f}"


def summary(rows: dict[str, list[dict[str, Any]]]) -> str:
    """The worst ratio of each kind, in one line."""

    def worst(name: str, peer: str) -> str:
        met = [row["bytes"] / row[peer] for row in rows.get(name, []) if peer in row]
        return f"{max(met):.3f}" if met else "not measured"

    tiles = f"tiles: {worst('pictures', 'WebP')} of WebP, {worst('pictures', 'PCA')} of PCA16"
    return f"{tiles}; ECG: {worst('ecg', 'PCA')} of PCA; motion: {worst('motion', 'PCA')} of PCA"


if __name__ == "__main__":
    main()
