"""What an export costs: processor time, memory, and whether it grows.

Method: each measurement in a process of its own. Processor time is user and system time of the whole process, import
of TensorFlow included. Memory is resident memory (VmHWM: the most, from /proc/self/status); "over the base" is above
what the process held after TensorFlow, the converters and the engines were imported and had exported a tiny model. The
large model is dense, its weights random; its own weights in Keras are part of what is counted over the base. TensorFlow
returns freed memory there, as in `aetool export` (`aetool_exporters.frugal`); else it keeps what it once had.

    python -m benchmarks.export_cost [--large MB] [--huge]
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine

RESULTS = Path(__file__).parent / "results"
PRESETS = {"dense": "builtin:digits", "conv1d": "builtin:ecg", "conv2d": "builtin:digits"}
REPEATS = 50
SETTLED = 10  # exports after which memory should not grow any more
MEBI = 2**20
DENSE_WIDTH = 8000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", type=int, default=300, help="size of the large model, MB of weights")
    parser.add_argument("--huge", action="store_true", help="also export a model of more than 2 GiB (takes 12 GiB)")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--arguments", default="{}", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        print(json.dumps(PARTS[given.part](**json.loads(given.arguments))))
        return
    target = RESULTS / "export_cost.json"
    before = json.loads(target.read_text()) if target.exists() else {}
    report = {
        "machine": describe_machine(),
        "presets": [preset_cost(name, data) for name, data in PRESETS.items()],
        "growth": part("growth"),
        "large": [part("large", formats=[name], megabytes=given.large) for name in ("onnx", "tflite")],
        "huge": part("large", formats=["onnx"], megabytes=2300) if given.huge else before.get("huge"),
    }
    RESULTS.mkdir(exist_ok=True)
    target.write_text(json.dumps(report, indent=1) + "\n")
    (RESULTS / "export_cost.md").write_text(format_report(report))
    print(format_report(report))


def preset_cost(preset: str, data: str) -> dict[str, Any]:
    """`aetool export` of a checkpoint to both formats, as a user runs it."""
    with tempfile.TemporaryDirectory() as folder:
        part("train", preset=preset, data=data, folder=folder)
        command = [sys.executable, "-m", "aetool", "export", f"{folder}/model", "-o", f"{folder}/b.aepkg"]
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"aetool export of the preset {preset} failed")
        return {
            "preset": preset,
            "seconds": time.perf_counter() - start,
            "cpu_seconds": usage.ru_utime + usage.ru_stime,
            "peak_bytes": usage.ru_maxrss * 1024,
        }


def part(name: str, **arguments: Any) -> Any:
    """One of ``PARTS`` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.export_cost", "--part", name, "--arguments", json.dumps(arguments)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def train(preset: str, data: str, folder: str) -> dict[str, Any]:
    """A checkpoint of a preset after one epoch."""
    from dataclasses import replace

    from aetool.config import load_preset
    from aetool.training import train

    config = load_preset(preset)
    train(replace(config, training=replace(config.training, epochs=1)), data, Path(folder) / "model")
    return {}


def growth() -> dict[str, Any]:
    """Resident memory after each of many exports of one model in one process."""
    held = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(REPEATS):
            export_dense(64, 32, 8, ["onnx", "tflite"], Path(folder) / "b.aepkg")
            gc.collect()
            held.append(status()["VmRSS"])
    return {"resident_bytes": held, "repeats": REPEATS, "settled": SETTLED}


def large(formats: list[str], megabytes: int) -> dict[str, Any]:
    """The most that is held while a large model is made and exported, above the base."""
    from aetool_exporters.frugal import give_memory_back

    give_memory_back()
    with tempfile.TemporaryDirectory() as folder:
        export_dense(64, 32, 8, formats, Path(folder) / "b.aepkg")
        gc.collect()
        base = reset_peak()["VmRSS"]
        hidden = megabytes * 1_000_000 // (4 * 2 * DENSE_WIDTH)
        models = dense(DENSE_WIDTH, hidden, 64)
        weights = sum(model.count_params() for model in models) * 4
        gc.collect()
        model_held = status()["VmRSS"]
        start = time.perf_counter()
        export_models(models, DENSE_WIDTH, formats, Path(folder) / "b.aepkg")
        seconds = time.perf_counter() - start
        written = {path.name: path.stat().st_size for path in Path(folder).rglob("*.*") if path.stat().st_size > MEBI}
    return {
        "formats": formats,
        "weight_bytes": weights,
        "base_bytes": base,
        "model_bytes": model_held,
        "peak_bytes": status()["VmHWM"],
        "seconds": seconds,
        "files": written,
    }


def dense(width: int, hidden: int, latent: int) -> tuple[Any, Any]:
    import keras

    def stack(*sizes: int) -> Any:
        given = keras.Input(sizes[:1])
        tensor = keras.layers.Dense(sizes[1], "relu", kernel_initializer="lecun_uniform")(given)
        return keras.Model(given, keras.layers.Dense(sizes[2], kernel_initializer="lecun_uniform")(tensor))

    keras.utils.set_random_seed(1)
    return stack(width, hidden, latent), stack(latent, hidden, width)


def export_dense(width: int, hidden: int, latent: int, formats: list[str], target: Path) -> None:
    export_models(dense(width, hidden, latent), width, formats, target)


def export_models(models: tuple[Any, Any], width: int, formats: list[str], target: Path) -> None:
    import numpy as np

    from aetool_exporters import ExportOptions, Samples, export

    samples = Samples.of(np.random.default_rng(0).normal(size=(64, width)).astype(np.float32))
    export(*models, target, samples=samples, options=ExportOptions(formats=tuple(formats), overwrite=True))


def status() -> dict[str, int]:
    """Bytes from /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return {name: int(rest.split()[0]) * 1024 for name, _, rest in (x.partition(":") for x in lines) if "kB" in rest}


def reset_peak() -> dict[str, int]:
    """Forget the peak so far (Linux); what is held now."""
    Path("/proc/self/clear_refs").write_text("5")
    return status()


PARTS = {"growth": growth, "large": large, "train": train}


def format_report(report: dict[str, Any]) -> str:
    """The tables as Markdown."""
    lines = ["# What an export costs", "", __doc__.split("Method: ")[1].split("\n\n")[0].strip(), ""]
    lines += [f"- {key}: {value}" for key, value in report["machine"].items()]
    lines += [
        "",
        "## `aetool export` of a preset, both formats",
        "",
        "| preset | CPU s | s | peak MiB |",
        "|---|---|---|---|",
    ]
    for row in report["presets"]:
        cells = (
            row["preset"],
            f"{row['cpu_seconds']:.1f}",
            f"{row['seconds']:.1f}",
            f"{row['peak_bytes'] / MEBI:,.0f}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "## One process", "", growth_text(report["growth"]), "", "## Large models", ""]
    lines += ["| format | weights MiB | s | peak MiB over the base | × weights | × weights, over the model in memory |"]
    lines += ["|---|---|---|---|---|---|"]
    lines += [large_row(row) for row in (*report["large"], *([report["huge"]] if report["huge"] else []))]
    return "\n".join(lines) + "\n"


def growth_text(growth: dict[str, Any]) -> str:
    held = growth["resident_bytes"]
    settled, last = held[growth["settled"] - 1], held[-1]
    return (
        f"{growth['repeats']} exports of a small model to both formats: {held[0] / MEBI:,.0f} MiB after the first, "
        f"{settled / MEBI:,.0f} after {growth['settled']}, {last / MEBI:,.0f} at the end, "
        f"{(last - settled) / MEBI / (growth['repeats'] - growth['settled']):.2f} MiB for each export between."
    )


def large_row(row: dict[str, Any]) -> str:
    over = row["peak_bytes"] - row["base_bytes"]
    cells = (
        " ".join(row["formats"]),
        f"{row['weight_bytes'] / MEBI:,.0f}",
        f"{row['seconds']:.0f}",
        f"{over / MEBI:,.0f}",
        f"{over / row['weight_bytes']:.1f}",
        f"{(row['peak_bytes'] - row['model_bytes']) / row['weight_bytes']:.1f}",
    )
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
