"""`backend="auto"` beside every engine by itself: four models, three batches, float32 and int8, in one run.

    python benchmarks/engines.py            # prints the table; writes results/engines.md and engines.json

Method: models with initial weights (speed does not depend on them) are exported at float32 and int8, calibrated with
noise. One thread for every engine. Each contender lives in a process of its own, and sleeps while another one measures;
they run in turn, in another order each time, each turn a round of calls of the autoencoder (encoder + decoder) on the
same array, after a few that do not count. In the rows of int8 auto may take either precision, and stands beside engines
at int8 and beside ONNX Runtime at float32. The table gives the median over the rounds of each contender's time relative
to ours in the same round, so that a machine that drifts drifts for all; more than 1: slower than ours. Processes are
made anew several times, and auto chooses anew each time, with no answer kept from before, as a program that opens the
bundle for the first time. Keras, slower by far, takes part until they are made anew first. Spread: the distance between
the quartiles of the ratio of auto to the best engine.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import click
import contenders
import numpy as np
from contenders import Contender, Task, in_a_process, take_turns

RESULTS = Path(__file__).parent / "results"
BATCHES = (1, 32, 256)
PRECISIONS = ("float32", "int8")
OURS, FLOAT32 = "auto", "ONNX Runtime, float32"
KERAS = {"keras predict": contenders.keras_predict, "tf.function": contenders.tf_function}
ENGINES = {
    "ONNX Runtime": contenders.bare_onnxruntime,
    FLOAT32: contenders.bare_onnxruntime_float32,
    "LiteRT": contenders.bare_litert,
    "OpenVINO": contenders.bare_openvino,
}
Row = dict[str, Any]


@click.command()
@click.option("--rounds", default=10, show_default=True, help="Rounds before the processes are made anew.")
@click.option("--times", default=3, show_default=True, help="How often they are made.")
@click.option("--model", "names", multiple=True, help="Only this one; writes no results.")
def main(rounds: int, times: int, names: tuple[str, ...]) -> None:
    """Measure and write the table."""
    from machine import describe_machine

    began, machine = time.time(), describe_machine()
    with tempfile.TemporaryDirectory(prefix="aetool-engines-") as temporary:
        folder = Path(temporary)
        in_a_process(export_models, folder, names or tuple(MODELS))
        rows = measure(folder, names or tuple(MODELS), rounds, times)
    report = {"machine": machine, "rounds": rounds * times, "seconds": round(time.time() - began), "rows": rows}
    print(format_page(report))
    if not names:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "engines.json").write_text(json.dumps(report, indent=1) + "\n")
        (RESULTS / "engines.md").write_text(format_page(report))
    print(f"auto: worst ratio to the best engine {max(row['to_best'] for row in rows):.3f}")


def _dense() -> tuple[Any, Any]:
    """The tutorial's."""
    from keras import Input, Sequential, layers

    encoder = Sequential([Input((784,)), layers.Dense(64, activation="relu"), layers.Dense(32, activation="relu")])
    decoder = Sequential([Input((32,)), layers.Dense(64, activation="relu"), layers.Dense(784, activation="sigmoid")])
    return encoder, decoder


def _anomaly() -> tuple[Any, Any]:
    """As MLPerf Tiny's anomaly detection."""
    from keras import Input, Sequential, layers

    def block(size: int) -> list[Any]:
        return [layers.Dense(size), layers.BatchNormalization(), layers.ReLU()]

    encoder = Sequential([Input((640,)), *(layer for _ in range(4) for layer in block(128)), *block(8)])
    decoder = Sequential([Input((8,)), *(layer for _ in range(4) for layer in block(128)), layers.Dense(640)])
    return encoder, decoder


def _conv() -> tuple[Any, Any]:
    """32×32×3."""
    from keras import Input, Sequential, layers

    down = [layers.Conv2D(size, 3, 2, "same", activation="relu") for size in (16, 32, 64)]
    encoder = Sequential([Input((32, 32, 3)), *down, layers.Flatten(), layers.Dense(64)])
    up = [layers.Conv2DTranspose(size, 3, 2, "same", activation="relu") for size in (32, 16)]
    decoder = Sequential(
        [
            Input((64,)),
            layers.Dense(4 * 4 * 64, activation="relu"),
            layers.Reshape((4, 4, 64)),
            *up,
            layers.Conv2DTranspose(3, 3, 2, "same", activation="sigmoid"),
        ]
    )
    return encoder, decoder


def _gru() -> tuple[Any, Any]:
    """64 steps of 2 channels."""
    from keras import Input, Sequential, layers

    encoder = Sequential([Input((64, 2)), layers.GRU(32), layers.Dense(8)])
    decoder = Sequential(
        [
            Input((8,)),
            layers.RepeatVector(64),
            layers.GRU(32, return_sequences=True),
            layers.TimeDistributed(layers.Dense(2)),
        ]
    )
    return encoder, decoder


MODELS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "dense 784-64-32": _dense, "dense 640-128x4-8": _anomaly, "conv 32x32x3": _conv, "GRU 64x2": _gru
}  # fmt: skip


def export_models(folder: Path, names: tuple[str, ...]) -> None:
    """A folder for each, as ``Task`` says."""
    sys.modules["openvino"] = None  # type: ignore[assignment]  # what it refuses would be no part of the bundle
    from aetool_exporters import ExportOptions, Samples, export
    from aetool_exporters.request import Calibration, QuantizationOptions

    for name in names:
        encoder, decoder = MODELS[name]()
        noise = np.random.default_rng(0).random((max(BATCHES), *encoder.input_shape[1:]), np.float32)
        calibration = QuantizationOptions(Calibration(lambda noise=noise: iter([noise])))
        options = ExportOptions(precisions=PRECISIONS, quantization=calibration)
        place = folder / name
        place.mkdir()
        export(encoder, decoder, place / "model.aepkg", samples=Samples.of(noise[:64]), options=options)
        encoder.save(place / "encoder.keras")
        decoder.save(place / "decoder.keras")
        np.save(place / "samples.npy", noise)


def measure(folder: Path, names: tuple[str, ...], rounds: int, times: int) -> list[Row]:
    """One row per model, precision and batch size."""
    tasks = [
        (name, Task(folder / name, batch, 1, precision))
        for name in names
        for precision in PRECISIONS
        for batch in BATCHES
    ]
    engines = {name: make for name, make in ENGINES.items() if name != "OpenVINO" or find_spec("openvino")}
    seconds: list[dict[str, list[float | None]]] = [{} for _ in tasks]
    chosen: list[list[str]] = [[] for _ in tasks]
    for at in range(times):
        os.environ["XDG_CACHE_HOME"] = str(folder / f"cache-{at}")  # auto's process inherits it
        with ExitStack() as stack:
            makers = {**(KERAS if at == 0 else {}), OURS: contenders.auto, **engines}
            running = [stack.enter_context(closing(Contender(name, make))) for name, make in makers.items()]
            for (_, task), so_far, said in zip(tasks, seconds, chosen, strict=True):
                for contender, values in measure_task(running, task, rounds).items():
                    so_far.setdefault(contender, [None] * rounds * at).extend(values)
                said += [contender.said for contender in running if contender.name == OURS]
    return [
        {"model": name, "precision": task.precision, "batch": task.batch, **summarize(met), "chosen": said}
        for (name, task), met, said in zip(tasks, seconds, chosen, strict=True)
    ]


def measure_task(running: list[Contender], task: Task, rounds: int) -> dict[str, list[float | None]]:
    """Rounds of those who can do it."""
    exact = task.precision == "float32"
    able = [contender for contender in running if contender.name not in ([FLOAT32] if exact else KERAS)]
    return take_turns([contender for contender in able if contender.prepare(task) is not None], rounds)


def summarize(seconds: dict[str, list[float | None]]) -> Row:
    """The median ratio of each to ours, our microseconds, how far ours is from the best, and how sure that is."""
    ours = seconds[OURS]
    ratios = {name: ratios_to(ours, times) for name, times in seconds.items() if name != OURS}
    medians = {name: median(values) for name, values in ratios.items()}
    best = min(medians, key=lambda name: medians[name])
    low, high = np.percentile([1 / value for value in ratios[best]], (25, 75))
    return {
        "auto_us": median(value for value in ours if value is not None) * 1e6,
        "ratios": medians,
        "best": best,
        "to_best": max(1.0, 1 / medians[best]),
        "spread": float(high - low),
    }


def ratios_to(ours: list[float | None], theirs: list[float | None]) -> list[float]:
    """Round by round, of the rounds in which both had a turn."""
    return [t / o for o, t in zip(ours, theirs, strict=False) if o is not None and t is not None]


def format_line(row: Row) -> str:
    ratios = "  ".join(f"{name} {ratio:.2f}" for name, ratio in row["ratios"].items())
    return f"{row['model']:18} {row['precision']:8} {row['batch']:4}  {row['auto_us']:10.1f} us  {ratios}"


def format_page(report: dict[str, Any]) -> str:
    columns = [*KERAS, *ENGINES]
    method = (__doc__ or "").partition("Method: ")[2].strip()
    lines = ["# Engines", "", (__doc__ or "").split("\n\n")[0], "", method, ""]
    lines += [
        "| model | precision | batch | auto, µs | chosen | " + " | ".join(columns) + " | auto to the best (spread) |"
    ]
    lines += ["|" + "---|" * (len(columns) + 6)]
    missing = [name for name in ENGINES if all(name not in row["ratios"] for row in report["rows"])]
    for row in report["rows"]:
        cells = [f"{row['ratios'][n]:.2f}" if n in row["ratios"] else "" for n in columns]
        chosen = ", ".join(f"{name} ×{row['chosen'].count(name)}" for name in dict.fromkeys(row["chosen"]))
        lines.append(
            f"| {row['model']} | {row['precision']} | {row['batch']} | {row['auto_us']:,.1f} | {chosen} | "
            + " | ".join(cells)
            + f" | {row['to_best']:.3f} ({row['spread']:.3f}) |"
        )
    worst = max(row["to_best"] for row in report["rows"])
    lines += ["", f"The worst row: {worst:.3f} times the best engine's time.", ""]
    lines += [f"{name} is not installed here, so its column is empty.\n" for name in missing]
    lines += ["Measured on:", "", *(f"- {key}: {value}" for key, value in report["machine"].items())]
    lines += [f"- rounds: {report['rounds']}, {report['seconds']} s in all"]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
