"""On a GPU machine, in one go: parity of every artifact, and speed beside bare ONNX Runtime and PyTorch.

    pip install 'aetool[gpu,export]' torch
    export NVIDIA_TF32_OVERRIDE=0            # else TensorRT rounds float32, and is left out
    python benchmarks/gpu.py                 # every GPU device here; writes results/gpu.md and gpu.json
    python benchmarks/gpu.py --device cpu    # without a GPU: shows that it runs
    python benchmarks/gpu.py --export DIR    # the bundles alone, for a machine without TensorFlow: there --bundles DIR

The method is told in ``gpu_page.py``, and in the page.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import click
from gpu_page import format_line, format_page

RESULTS = Path(__file__).parent / "results"
BATCHES = {"cpu": (1, 32, 256), "gpu": (1, 32, 256, 4096, 65536)}
PRECISIONS = ("float32", "float16", "int8")
ROUND_SECONDS = 0.004  # of one contender; short ones are less often cut in two by others on the machine
CASE_SECONDS = 6.0
LEAST_ROUNDS = 8


@click.command()
@click.option("--device", "devices", multiple=True, help="cuda, tensorrt or cpu. [default: every GPU device here]")
@click.option("--bundles", type=click.Path(exists=True, path_type=Path), help="Exported earlier, by --export.")
@click.option("--export", "target", type=click.Path(path_type=Path), help="Only export the bundles to this folder.")
@click.option("--rounds", default=200, show_default=True, help="Rounds of each contender, at most.")
@click.option("--output", type=click.Path(path_type=Path), default=RESULTS, show_default="benchmarks/results")
def main(devices: tuple[str, ...], bundles: Path | None, target: Path | None, rounds: int, output: Path) -> None:
    """Check, measure, write the table; exit code 1 where a float32 artifact is not at parity."""
    if target is not None:
        export_bundles(target)
        return
    devices = devices or _gpu_devices()
    with tempfile.TemporaryDirectory(prefix="aetool-gpu-") as folder:
        if bundles is None:
            bundles = Path(folder)
            _export_apart(bundles)
        report = _measured(bundles, devices, rounds)
    print(format_page(report))
    _write(report, output)
    if any(row["precision"] == "float32" and not row["passed"] for row in report["parity"]):
        raise SystemExit("a float32 artifact is not at parity")


def _write(report: dict[str, Any], folder: Path) -> None:
    """Figures of a GPU are not written over by those of a CPU."""
    data, page = folder / "gpu.json", folder / "gpu.md"
    if report["gpu_figures"] == "open" and data.is_file() and json.loads(data.read_text())["gpu_figures"] == "measured":
        print(f"{data} holds figures of a GPU and is left as it is", file=sys.stderr)
        return
    folder.mkdir(parents=True, exist_ok=True)
    data.write_text(json.dumps(report, indent=1) + "\n")
    page.write_text(format_page(report))


def export_bundles(folder: Path) -> None:
    """Each model of ``engines.py``, calibrated with noise."""
    import numpy as np
    from engines import MODELS

    from aetool_exporters import ExportOptions, Samples, export
    from aetool_exporters.request import Calibration, QuantizationOptions

    folder.mkdir(parents=True, exist_ok=True)
    for name, build in MODELS.items():
        encoder, decoder = build()
        noise = np.random.default_rng(0).uniform(0, 1, (256, *encoder.input_shape[1:])).astype(np.float32)
        calibration = QuantizationOptions(Calibration(lambda noise=noise: iter([noise])))
        options = ExportOptions(formats=("onnx",), precisions=PRECISIONS, quantization=calibration)
        export(encoder, decoder, _bundle(folder, name), samples=Samples.of(noise[:64]), options=options)


def _export_apart(folder: Path) -> None:
    """In a process that sees no GPU: TensorFlow would take all of its memory."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run([sys.executable, __file__, "--export", str(folder)], check=True, env=environment)


def _bundle(folder: Path, name: str) -> Path:
    return folder / f"{name.replace(' ', '-')}.aepkg"


def _gpu_devices() -> tuple[str, ...]:
    from aetool_runtime.backends.onnxruntime import OnnxRuntimeBackend
    from aetool_runtime.errors import DeviceError

    backend, found = OnnxRuntimeBackend(), []
    for device in ("cuda", "tensorrt"):
        try:
            backend.check_device(device)
            found.append(device)
        except DeviceError as reason:
            print(f"{reason}\n", file=sys.stderr)
    if not found:
        raise SystemExit("there is no GPU to measure; --device cpu runs the script without one")
    return tuple(found)


def _measured(bundles: Path, devices: tuple[str, ...], rounds: int) -> dict[str, Any]:
    import torch
    from gpu_contenders import Case, contending
    from machine import describe_machine
    from torch_models import TORCH_MODELS

    torch.set_num_threads(1)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    parity = [row for name in TORCH_MODELS for row in _parity(name, _bundle(bundles, name), devices)]
    limits = {device: _limits(device) for device in devices}
    rows = []
    for device in devices:
        for name in TORCH_MODELS:
            for batch in BATCHES["cpu" if device == "cpu" else "gpu"]:
                case = Case(name, _bundle(bundles, name), batch, device)
                with contending(case) as calls:
                    times = _take_turns(calls, rounds)
                rows.append(
                    {"device": device, "model": name, "batch": batch, **_summary(times, _least(case, limits[device]))}
                )
                print(format_line(rows[-1]), flush=True)
    machine = {**describe_machine(), "GPU": torch.cuda.get_device_name() if torch.cuda.is_available() else "none"}
    figures = "measured" if any(device != "cpu" for device in devices) else "open"
    return {
        "gpu_figures": figures,
        "machine": machine,
        "rounds": rounds,
        "limits": limits,
        "parity": parity,
        "rows": rows,
    }


def _parity(name: str, path: Path, devices: tuple[str, ...]) -> list[dict[str, Any]]:
    from aetool_runtime import open_bundle, self_test

    found = []
    for check in self_test(open_bundle(path)):
        if check.backend == "onnxruntime" and check.device in devices:
            used = None if check.worst is None else float(check.worst.smallest.atol / check.worst.tolerance.atol)
            found.append(
                {
                    "model": name,
                    "role": check.artifact.role,
                    "precision": check.artifact.precision,
                    "device": check.device,
                    "passed": check.passed,
                    "of_tolerance": used,
                    "error": str(check.error or ""),
                }
            )
    return found


def _limits(device: str) -> dict[str, float]:
    """Bytes a second of a large copy (read and written), multiply-adds a second of a large matrix product."""
    import torch
    from gpu_contenders import memory_of

    memory = memory_of(device)
    size, side = (1 << 26, 512) if memory == "cpu" else (1 << 30, 8192)
    source = torch.ones(size // 4, device=memory)
    target, a, b = (
        torch.empty_like(source),
        torch.rand(side, side, device=memory),
        torch.rand(side, side, device=memory),
    )

    def seconds(work: Callable[[], Any]) -> float:
        met = []
        for _ in range(60):
            began = time.perf_counter()
            work()
            if memory != "cpu":
                torch.cuda.synchronize()
            met.append(time.perf_counter() - began)
        return min(met)

    return {
        "bytes_per_second": 2 * size / seconds(lambda: target.copy_(source)),
        "multiply_adds_per_second": side**3 / seconds(lambda: torch.matmul(a, b)),
    }


def _least(case: Any, limits: dict[str, float]) -> tuple[float, str]:
    """The seconds that the device needs at least, and for what."""
    from aetool_runtime import Autoencoder

    with Autoencoder.open(case.bundle) as model:
        values = 1
        for size in model.tensor("input").sample_shape:
            values *= size or 1
        costs = model.bundle.manifest.complexity.values()
    moved = 2 * 4 * values * case.batch + sum(cost.weight_bytes["float32"] for cost in costs)
    computed = case.batch * sum(cost.multiply_adds for cost in costs)
    times = {
        "bandwidth": moved / limits["bytes_per_second"],
        "arithmetic": computed / limits["multiply_adds_per_second"],
    }
    which = max(times, key=lambda name: times[name])
    return times[which], which


def _take_turns(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds a call, one value for each round; the order turns round by round."""
    counts = {}
    for name, call in calls.items():
        call()
        counts[name] = max(1, min(1000, int(ROUND_SECONDS / _loop(call, 2))))
    names, seconds = list(calls), {name: [] for name in calls}
    began = time.perf_counter()
    for turn in range(rounds):
        if turn >= LEAST_ROUNDS and time.perf_counter() - began > CASE_SECONDS:
            break
        at = turn % len(names)
        for name in names[at:] + names[:at]:
            seconds[name].append(_loop(calls[name], counts[name]))
    return seconds


def _loop(call: Callable[[], Any], count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - began) / count


def _summary(seconds: dict[str, list[float]], least: tuple[float, str]) -> dict[str, Any]:
    ours = seconds["ours"]
    fastest = min(median(times) for name, times in seconds.items() if name.startswith("ours"))
    ratios = {name: median(t / o for t, o in zip(times, ours, strict=True)) for name, times in seconds.items()}
    return {
        "us": {name: median(times) * 1e6 for name, times in seconds.items()},
        "ratios": {name: ratio for name, ratio in ratios.items() if name != "ours"},
        "share_of_limit": least[0] / fastest,
        "limit": least[1],
    }


if __name__ == "__main__":
    main()
