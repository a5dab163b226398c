"""What the runtime costs over the bare engine, and what both save over Keras: one run, contenders in turn.

    python benchmarks/overhead.py            # prints the table; writes results/overhead.md and overhead.json

Method: the models of the presets, with their initial weights (speed does not depend on them), are exported. Each
contender lives in a process of its own, and sleeps while another one measures: in one process the threads of one
engine would take the cores from the next. Contenders run in turn, in another order each time, each turn a round of
calls to the autoencoder (encoder + decoder) on the same array, after a few that do not count. Times are medians over
rounds; what the runtime costs is the median of the differences ours − bare of the same round, so that a machine that
drifts drifts for both, and beside it stand the quartiles of those differences. Engines' processes are made anew
several times within a run, since speed depends on where in memory a process's data came to lie; Keras, slower by far,
takes part until they are made anew first. "out=" writes to an array of the caller's. Bare LiteRT is its public
signature runner, with the whole batch where the graph bears it, else sample by sample. Callers are threads that call
one open bundle at the same time, each call on one engine thread: calls per second of all of them, medians over rounds
in which each number of callers has its turn.
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import median
from typing import Any

import click
import contenders
import numpy as np
from contenders import ROUND_SECONDS, Contender, Task, in_a_process, take_turns

RESULTS = Path(__file__).parent / "results"
MODELS = {"dense": (784,), "conv2d": (28, 28, 1), "conv1d": (256, 2)}
BATCHES = (1, 32, 256)
CALLERS = (1, 2, 4)
THREADS = (1, 2)
OURS, BARE = "aetool_runtime", "bare InferenceSession.run"
LITERT, BARE_LITERT = "aetool_runtime, LiteRT", "bare LiteRT"
KERAS = {"keras predict": contenders.keras_predict, "keras in tf.function": contenders.tf_function}
ENGINES = {
    BARE: contenders.bare_onnxruntime,
    OURS: contenders.ours_onnxruntime,
    "aetool_runtime, out=": contenders.ours_with_out,
    BARE_LITERT: contenders.bare_litert,
    LITERT: contenders.ours_litert,
}
Seconds = dict[tuple[str, int, int], dict[str, list[float | None]]]


@click.command()
@click.option("--rounds", default=10, show_default=True, help="Rounds before engines' processes are made anew.")
@click.option("--times", default=4, show_default=True, help="How often they are made.")
@click.option("--model", "names", multiple=True, help="Only this one; writes no results.")
@click.option("--callers/--no-callers", default=True, show_default=True, help="Measure several callers, too.")
def main(rounds: int, times: int, names: tuple[str, ...], callers: bool) -> None:
    """Measure and write the table."""
    from machine import describe_machine

    began, machine = time.time(), describe_machine()
    models = names or tuple(MODELS)
    with tempfile.TemporaryDirectory(prefix="aetool-overhead-") as temporary:
        folder = Path(temporary)
        in_a_process(export_models, folder, models)
        rows = [row for threads in THREADS for row in measure(folder, models, threads, rounds, times)]
        several = measure_callers(folder, models) if callers else []
    report = {"machine": machine, "rounds": rounds * times, "rows": rows, "callers": several}
    report["seconds"] = round(time.time() - began)
    text = format_report(report)
    print(text)
    if not names and callers:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "overhead.json").write_text(json.dumps(report, indent=1) + "\n")
        (RESULTS / "overhead.md").write_text(text)


def export_models(folder: Path, names: tuple[str, ...]) -> None:
    """A folder for each, as ``Task`` says."""
    from aetool.config import load_preset
    from aetool.models import build_autoencoder
    from aetool_exporters import ExportOptions, export

    for name in names:
        model = build_autoencoder(load_preset(name).model, MODELS[name], seed=0)
        (folder / name).mkdir()
        export(model.encoder, model.decoder, folder / name / "model.aepkg", options=ExportOptions())
        model.encoder.save(folder / name / "encoder.keras")
        model.decoder.save(folder / name / "decoder.keras")
        samples = np.random.default_rng(0).random((max(BATCHES), *MODELS[name]), np.float32)
        np.save(folder / name / "samples.npy", samples)


def measure(folder: Path, models: tuple[str, ...], threads: int, rounds: int, times: int) -> list[dict[str, Any]]:
    """One row per model and batch size."""
    seconds: Seconds = {}
    for at in range(times):
        with ExitStack() as stack:
            makers = {**(KERAS if at == 0 else {}), **ENGINES}
            running = [stack.enter_context(closing(Contender(name, make))) for name, make in makers.items()]
            for name in models:
                for batch in BATCHES:
                    met = measure_batch(running, Task(folder / name, batch, threads), rounds)
                    so_far = seconds.setdefault((name, threads, batch), {})
                    for contender, values in met.items():
                        so_far.setdefault(contender, []).extend(values)
    rows = []
    for (name, _, batch), met in seconds.items():
        rows.append({"model": name, "threads": threads, "batch": batch, **summarize(met)})
    return rows


def measure_batch(running: list[Contender], task: Task, rounds: int) -> dict[str, list[float | None]]:
    """Rounds of all contenders, when they were seen to compute the same."""
    results = {contender.name: contender.prepare(task) for contender in running}
    assert np.array_equal(results[OURS], results[BARE])
    assert all(np.allclose(result, results[BARE], rtol=1e-4, atol=1e-5) for result in results.values())
    return take_turns(running, rounds)


def summarize(seconds: dict[str, list[float | None]]) -> dict[str, Any]:
    """Medians in microseconds; what ours costs over the bare session, and the quartiles of that."""
    pairs = [(o, b) for o, b in zip(seconds[OURS], seconds[BARE], strict=True) if o is not None and b is not None]
    costs, shares = [o - b for o, b in pairs], [o / b - 1 for o, b in pairs]
    return {
        "us": {name: median(v for v in values if v is not None) * 1e6 for name, values in seconds.items()},
        "cost_us": median(costs) * 1e6,
        "cost_share": median(shares),
        "cost_us_quartiles": (np.percentile(costs, (25, 75)) * 1e6).tolist(),
        "cost_share_quartiles": np.percentile(shares, (25, 75)).tolist(),
    }


# --- several callers ---


def measure_callers(folder: Path, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """One row per model, backend and batch size; each model in a process of its own."""
    for name in names:
        in_a_process(write_callers, name, folder)
    return [row for name in names for row in json.loads((folder / f"{name}.json").read_text())]


def write_callers(name: str, folder: Path) -> None:
    from aetool_runtime import Autoencoder

    rows = []
    for backend in ("onnxruntime", "litert"):
        with Autoencoder.open(folder / name / "model.aepkg", backend=backend) as model:
            for batch in BATCHES[:2]:
                array = Task(folder / name, batch, 1).samples()
                met: dict[int, list[float]] = {callers: [] for callers in CALLERS}
                for _ in range(9):
                    for callers in CALLERS:
                        met[callers].append(calls_per_second(model.reconstruct, array, callers))
                medians = {str(callers): median(values) for callers, values in met.items()}
                rows.append({"model": name, "backend": backend, "batch": batch, "calls_per_second": medians})
    (folder / f"{name}.json").write_text(json.dumps(rows))


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


# --- the page ---


def format_report(report: dict[str, Any]) -> str:
    """The tables as Markdown."""
    names = [*KERAS, *ENGINES]
    header = ["model", "threads", "batch", *(f"{name} µs" for name in names)]
    header += ["our cost µs (quartiles)", "our cost % (quartiles)", "× keras predict"]
    lines = ["# What the runtime costs over the bare engine", "", __doc__.split("Method: ")[1].strip(), ""]
    lines += [f"- {key}: {value}" for key, value in report["machine"].items()]
    lines += [f"- rounds: {report['rounds']}, {report['seconds']} s in all", ""]
    lines += ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(row_cells(row, names)) + " |" for row in report["rows"]]
    return "\n".join([*lines, "", *format_callers(report["callers"])]) + "\n"


def row_cells(row: dict[str, Any], names: list[str]) -> list[str]:
    low, high = row["cost_us_quartiles"]
    least, most = row["cost_share_quartiles"]
    return [
        *(row["model"], str(row["threads"]), str(row["batch"])),
        *(f"{row['us'][name]:,.1f}" for name in names),
        f"{row['cost_us']:+,.2f} ({low:+,.2f} to {high:+,.2f})",
        f"{row['cost_share']:+.2%} ({least:+.1%} to {most:+.1%})",
        f"{row['us']['keras predict'] / row['us'][OURS]:,.0f}",
    ]


def format_callers(rows: list[dict[str, Any]]) -> list[str]:
    """Calls per second by the number of callers, and how often one caller's."""
    header = ["model", "backend", "batch", *(f"{callers} caller{'s' * (callers > 1)}, calls/s" for callers in CALLERS)]
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)] if rows else []
    for row in rows:
        met = row["calls_per_second"]
        cells = [f"{met[str(callers)]:,.0f} ({met[str(callers)] / met['1']:.2f}×)" for callers in CALLERS]
        lines.append(f"| {row['model']} | {row['backend']} | {row['batch']} | {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main()
