"""What the runtime costs over the bare engine, and what both save over Keras: one run, contenders in turn.

    python benchmarks/overhead.py            # prints the table; writes results/overhead.md and overhead.json

Method: the model of the preset, with its initial weights (speed does not depend on them), is exported; then, in a
process of its own for each number of threads, the contenders run in turn for many rounds, each round a loop of calls
to the autoencoder (encoder + decoder) on the same array. Times are medians over rounds; what the runtime costs is the
median of the differences ours − bare of the same round, so that a machine that drifts drifts for both. "out=" writes to
an array of the caller's. Bare LiteRT is a loop of its public signature runner over the samples, since its graphs have a
batch of 1. Callers are threads that call one open bundle at the same time, each call on one engine thread: calls per
second of all of them, medians over rounds in which each number of callers has its turn.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np

RESULTS = Path(__file__).parent / "results"
MODELS = {"dense": (784,), "conv2d": (28, 28, 1), "conv1d": (256, 2)}
BATCHES = (1, 32, 256)
CALLERS = (1, 2, 4)
THREADS = (1, 2)
ROUND_SECONDS = 0.02
OURS, BARE, OUT = "aetool_runtime", "bare InferenceSession.run", "aetool_runtime, out="
LITERT, BARE_LITERT = "aetool_runtime, LiteRT", "bare LiteRT"
CONTENDERS = ("keras predict", "keras in tf.function", BARE, OURS, OUT, BARE_LITERT, LITERT)


@click.command()
@click.option("--rounds", default=150, show_default=True, help="Rounds of each contender.")
@click.option("--child", type=int, hidden=True, help="Measure with this many threads and print JSON.")
@click.option("--folder", type=click.Path(path_type=Path), hidden=True)
def main(rounds: int, child: int | None, folder: Path | None) -> None:
    """Measure and write the table."""
    if child is not None and folder is not None:
        rows = [row for name in MODELS for row in measure(name, folder, child, rounds)]
        callers = [row for name in MODELS for row in measure_callers(name, folder, rounds)] if child == 1 else []
        print(json.dumps([rows, callers]))
        return
    from machine import describe_machine

    with tempfile.TemporaryDirectory() as temporary:
        results = [run_child(threads, rounds, Path(temporary)) for threads in THREADS]
    rows, callers = ([row for result in results for row in result[part]] for part in (0, 1))
    report = {"machine": describe_machine(), "rounds": rounds, "rows": rows, "callers": callers}
    text = format_report(report)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "overhead.json").write_text(json.dumps(report, indent=1) + "\n")
    (RESULTS / "overhead.md").write_text(text)


def run_child(threads: int, rounds: int, folder: Path) -> list[list[dict[str, Any]]]:
    """TensorFlow's threads are set once a process, so each number of threads has a process of its own."""
    command = [sys.executable, __file__, "--child", str(threads), "--folder", str(folder), "--rounds", str(rounds)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment)
    results: list[list[dict[str, Any]]] = json.loads(done.stdout.splitlines()[-1])
    return results


def measure(name: str, folder: Path, threads: int, rounds: int) -> list[dict[str, Any]]:
    """One row per batch size."""
    import tensorflow as tf

    from aetool.config import load_preset
    from aetool.models import build_autoencoder
    from aetool_exporters import ExportOptions, export

    if not tf.config.threading.get_intra_op_parallelism_threads():
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    keras_model = build_autoencoder(load_preset(name).model, MODELS[name], seed=0)
    bundle = folder / f"{name}-{threads}.aepkg"
    export(keras_model.encoder, keras_model.decoder, bundle, options=ExportOptions(formats=("onnx", "tflite")))
    return [
        {
            "model": name,
            "threads": threads,
            "batch": batch,
            **measure_batch(keras_model.whole, bundle, threads, batch, rounds),
        }
        for batch in BATCHES
    ]


def measure_batch(model: Any, bundle: Path, threads: int, batch: int, rounds: int) -> dict[str, Any]:
    """Time every contender on one array, in turn."""
    import onnxruntime
    import tensorflow as tf

    from aetool_runtime import Autoencoder

    array = np.random.default_rng(0).random((batch, *model.input_shape[1:]), np.float32)
    tensor = tf.constant(array)
    compiled = tf.function(lambda given: model(given, training=False))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    graph = str(bundle / "onnx/autoencoder.float32.onnx")
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    outputs, feed, out = ["reconstruction"], {"input": array}, np.empty_like(array)
    runner = bare_litert(bundle, threads)
    rows = [array[i : i + 1] for i in range(batch)]
    with (
        Autoencoder.open(bundle, backend="onnxruntime", threads=threads) as ours,
        Autoencoder.open(bundle, backend="litert", threads=threads) as litert,
    ):
        calls: dict[str, Callable[[], Any]] = {
            "keras predict": lambda: model.predict(array, batch_size=batch, verbose=0),
            "keras in tf.function": lambda: compiled(tensor),
            BARE: lambda: session.run(outputs, feed),
            OURS: lambda: ours.reconstruct(array),
            OUT: lambda: ours.reconstruct(array, out=out),
            BARE_LITERT: lambda: np.concatenate([runner(input=row)["reconstruction"] for row in rows]),
            LITERT: lambda: litert.reconstruct(array),
        }
        assert np.array_equal(calls[OURS](), calls[BARE]()[0])
        assert np.allclose(calls[LITERT](), calls[BARE_LITERT](), rtol=1e-5, atol=1e-5)
        return summarize(take_turns(calls, rounds))


def bare_litert(bundle: Path, threads: int) -> Callable[..., Any]:
    """The signature runner of the exported file; it keeps its interpreter."""
    from ai_edge_litert.interpreter import Interpreter

    [file] = (bundle / "tflite").iterdir()
    interpreter = Interpreter(model_content=file.read_bytes(), num_threads=threads)
    runner: Callable[..., Any] = interpreter.get_signature_runner("reconstruct")
    return runner


def measure_callers(name: str, folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Calls per second of several threads on one open bundle: one row per backend and batch size."""
    from aetool_runtime import Autoencoder

    rows = []
    for backend in ("onnxruntime", "litert"):
        with Autoencoder.open(folder / f"{name}-1.aepkg", backend=backend) as model:
            for batch in BATCHES[:2]:
                array = np.random.default_rng(0).random((batch, *MODELS[name]), np.float32)
                met: dict[int, list[float]] = {callers: [] for callers in CALLERS}
                for _ in range(max(5, rounds // 5)):
                    for callers in CALLERS:
                        met[callers].append(calls_per_second(model.reconstruct, array, callers))
                medians = {str(callers): median(values) for callers, values in met.items()}
                rows.append({"model": name, "backend": backend, "batch": batch, "calls_per_second": medians})
    return rows


def calls_per_second(call: Callable[[Any], Any], array: Any, callers: int) -> float:
    """Of all callers together, who begin at once and stop at a time."""
    start, counts = threading.Barrier(callers + 1), [0] * callers
    stop = threading.Event()

    def work(number: int) -> None:
        call(array)
        start.wait()
        while not stop.is_set():
            call(array)
            counts[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(callers)]
    for thread in threads:
        thread.start()
    start.wait()
    begun = time.perf_counter()
    time.sleep(5 * ROUND_SECONDS)
    stop.set()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - begun)


def take_turns(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds a call, one value per round; the order turns round by round. The slow ones take part in fewer rounds."""
    repeats, skip = {}, {}
    for name, call in calls.items():
        for _ in range(3):
            call()
        single = min(time_calls(call, 1) for _ in range(3))
        repeats[name] = max(1, int(ROUND_SECONDS / single))
        skip[name] = 1 if single < ROUND_SECONDS / 2 or name in (OURS, BARE) else 10  # those two are compared in pairs
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            if turn % skip[name] == 0:
                seconds[name].append(time_calls(calls[name], repeats[name]))
    return seconds


def time_calls(call: Callable[[], Any], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def summarize(seconds: dict[str, list[float]]) -> dict[str, Any]:
    """Medians in microseconds, and what ours costs over the bare session."""
    pairs = list(zip(seconds[OURS], seconds[BARE], strict=True))
    return {
        "us": {name: median(values) * 1e6 for name, values in seconds.items()},
        "cost_us": median(ours - bare for ours, bare in pairs) * 1e6,
        "cost_share": median(ours / bare for ours, bare in pairs) - 1,
    }


def format_report(report: dict[str, Any]) -> str:
    """The table as Markdown."""
    header = [
        "model",
        "threads",
        "batch",
        *(f"{name} µs" for name in CONTENDERS),
        "our cost µs",
        "our cost %",
        "× keras predict",
    ]
    lines = ["# What the runtime costs over the bare engine", "", __doc__.split("Method: ")[1].strip(), ""]
    lines += [f"- {key}: {value}" for key, value in report["machine"].items()] + [f"- rounds: {report['rounds']}", ""]
    lines += ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for row in report["rows"]:
        times = [f"{row['us'][name]:,.1f}" for name in CONTENDERS]
        speedup = row["us"]["keras predict"] / row["us"][OURS]
        cells = [
            row["model"],
            row["threads"],
            row["batch"],
            *times,
            f"{row['cost_us']:+.2f}",
            f"{row['cost_share']:+.2%}",
            f"{speedup:,.0f}",
        ]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    lines += ["", *format_callers(report["callers"])]
    return "\n".join(lines) + "\n"


def format_callers(rows: list[dict[str, Any]]) -> list[str]:
    """Calls per second by the number of callers, and how often one caller's."""
    header = ["model", "backend", "batch", *(f"{callers} caller{'s' * (callers > 1)}, calls/s" for callers in CALLERS)]
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for row in rows:
        met = row["calls_per_second"]
        cells = [f"{met[str(callers)]:,.0f} ({met[str(callers)] / met['1']:.2f}×)" for callers in CALLERS]
        lines.append(f"| {row['model']} | {row['backend']} | {row['batch']} | {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main()
