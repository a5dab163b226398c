"""What a device needs: installed bytes, time from a cold process to the first latent, memory; beside TensorFlow.

    .venv/bin/python benchmarks/edge.py [MODEL BUNDLE]

Method: aetool's wheel is built and installed, with the versions that are here, into environments of their own: plainly,
and by README's recipe for devices. Each must pass `aetool verify` and encode before it counts; bytes are those of all
that is installed then (1 MB is 10⁶ bytes). Times are medians over fresh processes, in turn: each environment and
TensorFlow, and again. Without MODEL (a checkpoint) and BUNDLE a dense model is trained for one epoch on the built-in
digits first. Writes benchmarks/results/edge.md and .json.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from dataclasses import dataclass
from importlib.metadata import distribution, version
from pathlib import Path
from typing import Any

from machine import describe_machine

from aetool.edge import needed_packages

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
REPEATS = 5
EXTRAS = {"onnxruntime": "cpu", "litert": "litert"}
_PROFILE = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from aetool.edge import profile
print(json.dumps(asdict(profile(Path(sys.argv[1]), {"backend": sys.argv[2]}, repeats=1))))
"""
_KERAS = """
import os, sys, time, json, resource
os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
import numpy as np
import keras
model = keras.models.load_model(sys.argv[2] + "/encoder.keras", compile=False)
model(np.zeros((1, *model.input_shape[1:]), "float32"), training=False).numpy()
print(json.dumps([time.time() - float(sys.argv[1]), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024]))
"""


@dataclass(frozen=True)
class Device:
    """An environment with nothing but aetool and one engine.

    Args:
        lean: made by README's recipe; else plainly.
    """

    folder: Path
    backend: str
    lean: bool

    @property
    def python(self) -> str:
        return str(self.folder / "bin" / "python")

    @property
    def bytes(self) -> int:
        [packages] = self.folder.glob("lib/python3.*/site-packages")
        return sum(path.stat().st_size for path in packages.rglob("*") if path.is_file())


def main() -> None:
    machine = describe_machine()
    with tempfile.TemporaryDirectory(prefix="aetool-edge-") as name:
        folder = Path(name)
        model, bundle = map(Path, sys.argv[1:3]) if sys.argv[2:] else _trained(folder)
        devices = _devices(folder, bundle)
        ours: list[list[dict[str, Any]]] = [[] for _ in devices]
        theirs: list[tuple[float, int]] = []
        for _ in range(REPEATS):
            for device, profiles in zip(devices, ours, strict=True):
                profiles.append(json.loads(_run([device.python, "-c", _PROFILE, str(bundle), device.backend])))
            theirs.append(json.loads(_run([sys.executable, "-c", _KERAS, repr(time.time()), str(model)])))
        rows = [_row(device, profiles) for device, profiles in zip(devices, ours, strict=True)]
    rows.append(
        {
            "engine": "tensorflow (keras)",
            "installed_bytes": _tensorflow_bytes(),
            "cold_s": statistics.median(seconds for seconds, _ in theirs),
            "peak_bytes": max(peak for _, peak in theirs),
        }
    )
    document = {"machine": machine, "rows": rows}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "edge.json").write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    page = _page(document)
    (RESULTS / "edge.md").write_text(page, "utf-8")
    print(page)
    print(f"first latent of a cold process: {rows[0]['cold_s'] / rows[-1]['cold_s']:.3f} of TensorFlow's time")
    print(f"installed by the recipe: {rows[1]['installed_bytes'] / 1e6:.1f} MB")


def _trained(folder: Path) -> tuple[Path, Path]:
    model, bundle = folder / "model", folder / "model.aepkg"
    for arguments in (
        ["train", "--preset", "dense", "builtin:digits", "-o", model, "--epochs", "1"],
        ["export", model, "-o", bundle],
    ):
        subprocess.run([sys.executable, "-m", "aetool", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)
    return model, bundle


def _devices(folder: Path, bundle: Path) -> list[Device]:
    """Plain and lean for each engine, checked."""
    _run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder / "dist"), str(ROOT)])
    [wheel] = (folder / "dist").iterdir()
    devices = []
    for backend, extra in EXTRAS.items():
        pins = [f"{name}=={version(name)}" for name in sorted(needed_packages(backend))]
        for lean in (False, True):
            device = Device(folder / f"{backend}-{'lean' if lean else 'plain'}", backend, lean)
            _install(device, [f"{wheel}[{extra}]", *pins])
            _run([str(device.folder / "bin" / "aetool"), "verify", str(bundle)])
            devices.append(device)
    return devices


def _install(device: Device, requirements: list[str]) -> None:
    """What README says under "What to install where"; pip itself stays out of the environment."""
    venv.create(device.folder)
    compiled = ["--no-compile"] if device.lean else []
    pip = [sys.executable, "-m", "pip", "--python", device.python, "--disable-pip-version-check", "install", "--quiet"]
    _run([*pip, *compiled, *requirements])
    if device.lean:
        for path in device.folder.glob("lib/python3.*/site-packages/onnxruntime/capi/libonnxruntime.so.*"):
            path.unlink()


def _run(command: list[str]) -> str:
    """Its output. Bytecode is written, as on a device, whatever was said for this process."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:4])} … failed:\n{done.stderr}")
    return done.stdout


def _tensorflow_bytes() -> int:
    """TensorFlow and Keras alone, without what they need."""
    paths = [Path(str(file.locate())) for name in ("tensorflow", "keras") for file in distribution(name).files or []]
    return sum(path.stat().st_size for path in paths if path.is_file() and "__pycache__" not in path.parts)


def _row(device: Device, profiles: list[dict[str, Any]]) -> dict[str, Any]:
    keys = ("import_s", "first_s", "next_s", "cold_s", "resident_bytes", "peak_bytes")
    numbers = {key: statistics.median(profile[key] for profile in profiles) for key in keys}
    name = f"{device.backend}, {'by the recipe' if device.lean else 'plainly'}"
    return {"engine": name, "installed_bytes": device.bytes, **numbers}


def _page(document: dict[str, Any]) -> str:
    method = (__doc__ or "").partition("Method: ")[2].split("Without MODEL")[0].strip()
    lines = ["# On a device", "", (__doc__ or "").split("\n\n")[0], "", method, ""]
    lines += ["| engine | installed, MB | to the first latent, s | next latent, µs | resident, MB | peak memory, MB |"]
    lines += ["|---|---|---|---|---|---|"]
    for row in document["rows"]:
        following = f"{row['next_s'] * 1e6:.1f}" if "next_s" in row else ""
        resident = f"{row['resident_bytes'] / 1e6:.0f}" if "resident_bytes" in row else ""
        lines.append(
            f"| {row['engine']} | {row['installed_bytes'] / 1e6:.1f} | {row['cold_s']:.2f} | {following} "
            f"| {resident} | {row['peak_bytes'] / 1e6:.0f} |"
        )
    lines += ["", "Of TensorFlow only itself and Keras are counted as installed, without what they need."]
    lines += ["", "Measured on:", "", *(f"- {key}: {value}" for key, value in document["machine"].items())]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
