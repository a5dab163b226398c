"""What a device needs: installed bytes, time from a cold process to the first latent, memory; beside TensorFlow.

    .venv/bin/python benchmarks/edge.py [MODEL BUNDLE]

Fresh processes, interleaved: ONNX Runtime, LiteRT, TensorFlow, and again. Without MODEL (a checkpoint) and BUNDLE a
dense model is trained for one epoch on the built-in digits first. Writes benchmarks/results/edge.md and .json.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from machine import describe_machine

from aetool.edge import EdgeProfile, profile

RESULTS = Path(__file__).parent / "results"
REPEATS = 5
_KERAS = """
import os, sys, time, json, resource
os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
import numpy as np
import keras
model = keras.models.load_model(sys.argv[2] + "/encoder.keras", compile=False)
model(np.zeros((1, *model.input_shape[1:]), "float32"), training=False).numpy()
print(json.dumps([time.time() - float(sys.argv[1]), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024]))
"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="aetool-edge-") as name:
        model, bundle = map(Path, sys.argv[1:3]) if sys.argv[2:] else _trained(Path(name))
        ours: dict[str, list[EdgeProfile]] = {"onnxruntime": [], "litert": []}
        theirs: list[tuple[float, int]] = []
        for _ in range(REPEATS):
            for backend, profiles in ours.items():
                profiles.append(profile(bundle, {"backend": backend}, repeats=1))
            theirs.append(_keras(model))
    rows = [_row(backend, profiles) for backend, profiles in ours.items()]
    rows.append(
        {
            "engine": "tensorflow (keras)",
            "installed_bytes": _tensorflow_bytes(),
            "cold_s": statistics.median(seconds for seconds, _ in theirs),
            "peak_bytes": max(peak for _, peak in theirs),
        }
    )
    document = {"machine": describe_machine(), "rows": rows}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "edge.json").write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    page = _page(document)
    (RESULTS / "edge.md").write_text(page, "utf-8")
    print(page)
    print(f"first latent of a cold process: {rows[0]['cold_s'] / rows[-1]['cold_s']:.3f} of TensorFlow's time")


def _trained(folder: Path) -> tuple[Path, Path]:
    model, bundle = folder / "model", folder / "model.aepkg"
    for arguments in (
        ["train", "--preset", "dense", "builtin:digits", "-o", model, "--epochs", "1"],
        ["export", model, "-o", bundle],
    ):
        subprocess.run([sys.executable, "-m", "aetool", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)
    return model, bundle


def _keras(model: Path) -> tuple[float, int]:
    command = [sys.executable, "-c", _KERAS, repr(time.time()), str(model)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, peak = json.loads(done.stdout)
    return seconds, peak


def _tensorflow_bytes() -> int:
    """TensorFlow and Keras alone, without what they need."""
    paths = [Path(str(file.locate())) for name in ("tensorflow", "keras") for file in distribution(name).files or []]
    return sum(path.stat().st_size for path in paths if path.is_file() and "__pycache__" not in path.parts)


def _row(backend: str, profiles: list[EdgeProfile]) -> dict[str, Any]:
    rows = [asdict(entry) for entry in profiles]
    numbers = {key: statistics.median(row[key] for row in rows) for key in rows[0] if key != "ran_on"}
    return {"engine": backend, **numbers}


def _page(document: dict[str, Any]) -> str:
    lines = ["# On a device", "", (__doc__ or "").split("\n\n")[0], ""]
    lines += ["| engine | installed, MiB | to the first latent, s | next latent, µs | peak memory, MiB |"]
    lines += ["|---|---|---|---|---|"]
    for row in document["rows"]:
        following = f"{row['next_encode_s'] * 1e6:.0f}" if "next_encode_s" in row else ""
        lines.append(
            f"| {row['engine']} | {row['installed_bytes'] / 2**20:.0f} | {row['cold_s']:.2f} | {following} "
            f"| {row['peak_bytes'] / 2**20:.0f} |"
        )
    lines += ["", "Installed: the engine, NumPy and all that they need, and aetool's runtime, as pip installs them;"]
    lines += [
        "of TensorFlow only itself and Keras. NumPy's own tests, which a device can do without, are 13 MiB of it."
    ]
    lines += ["", "Measured on:", "", *(f"- {key}: {value}" for key, value in document["machine"].items())]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
