"""How fast training is beside `keras.Model.fit`, and how much memory it needs: one run, contenders in turn.

    python benchmarks/training.py            # prints the tables; writes results/training.md and training.json

Method: both train the same model (built from the same configuration) on the same samples with the same batch size,
optimizer and loss, and compute the validation loss after each epoch; fit gets the samples normalized and in memory,
aetool reads and normalizes them from the file as it always does. An epoch of the one is followed by an epoch of each of
the others, so that a machine that drifts drifts for all; the first epochs, in which graphs are compiled, do not count.
Samples per second are medians over rounds, and so are the ratios, which are taken round by round.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np

RESULTS = Path(__file__).parent / "results"
OURS, FIT, GROUPED = "aetool", "fit", "fit, 32 steps a call"
WARM_UP = 2
MODELS: dict[str, tuple[dict[str, Any], tuple[int, ...], int]] = {  # name → [model], sample shape, samples
    "dense 784-64-32-64-784": ({"family": "dense"}, (784,), 8000),
    "conv2d 28×28×1": ({"family": "conv2d", "latent": 16, "batch_norm": True}, (28, 28, 1), 2000),
    "gru 140×1": ({"family": "recurrent", "cell": "gru"}, (140, 1), 500),
}


@click.command()
@click.option("--rounds", default=8, show_default=True, help="Epochs of each contender that count.")
@click.option("--batch-size", default=32, show_default=True)
@click.option("--megabytes", default=2048, show_default=True, help="Of the data set of the memory test.")
@click.option("--child", type=click.Path(path_type=Path), hidden=True, help="Run the memory test in this folder.")
def main(rounds: int, batch_size: int, megabytes: int, child: Path | None) -> None:
    """Measure and write the tables."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if child is not None:
        print(json.dumps(train_in_little_memory(child)))
        return
    from machine import describe_machine

    began, machine = time.time(), describe_machine()
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure(name, Path(folder), rounds, batch_size) for name in MODELS]
        print(json.dumps(rows), file=sys.stderr)
        memory = measure_memory(Path(folder), megabytes)
    report = {"machine": machine, "rounds": rounds, "batch_size": batch_size, "rows": rows, "memory": memory}
    report["seconds"] = round(time.time() - began)
    text = format_report(report)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "training.json").write_text(json.dumps(report, indent=1) + "\n")
    (RESULTS / "training.md").write_text(text)


def measure(name: str, folder: Path, rounds: int, batch_size: int) -> dict[str, Any]:
    """Seconds of each contender's epochs, one value per round."""
    from aetool.training import EpochDone, plan_training
    from aetool.training.trainer import Trainer

    model, shape, samples = MODELS[name]
    np.save(folder / "data.npy", np.random.default_rng(0).random((samples, *shape), np.float32))
    epochs = WARM_UP + rounds
    config = configuration(model, shape, epochs, batch_size)
    plan = plan_training(config, folder / "data.npy", print)
    fits = {label: keras_fit(config, plan, steps) for label, steps in ((FIT, 1), (GROUPED, 32))}
    seconds: dict[str, list[float]] = {label: [] for label in (OURS, *fits)}
    start = time.perf_counter()

    def after_epoch(event: Any) -> None:
        nonlocal start
        if isinstance(event, EpochDone):
            seconds[OURS].append(time.perf_counter() - start)
            for label, fit in fits.items():
                seconds[label].append(timed(fit))
            start = time.perf_counter()

    Trainer(plan, lambda state: None, after_epoch).run()
    return summarize(name, {label: values[WARM_UP:] for label, values in seconds.items()}, len(plan.data.training))


def configuration(model: dict[str, Any], shape: tuple[int, ...], epochs: int, batch_size: int) -> Any:
    """The run that both do."""
    from aetool.config import parse_config

    table = "\n".join(f"{key} = {json.dumps(value)}" for key, value in model.items())
    config = parse_config(f"[model]\n{table}\n[data]\nsample_shape = {list(shape)}\n")
    return replace(config, training=replace(config.training, epochs=epochs, batch_size=batch_size))


def keras_fit(config: Any, plan: Any, steps: int) -> Callable[[], Any]:
    """One epoch of `fit` on a model of its own, with normalized samples in memory."""
    from aetool.training.plan import plan_prepared
    from aetool.training.recipe import make_loss, make_optimizer

    model = plan_prepared(config, plan.data, None).autoencoder.whole
    optimizer = make_optimizer(config.training, 1)
    model.compile(optimizer, make_loss(config.training), steps_per_execution=steps)
    parts = (plan.data.training, plan.data.split.validation)
    given, held = (plan.data.normalization.apply(part.take(np.arange(len(part)))) for part in parts)
    size = config.training.batch_size
    return lambda: model.fit(given, given, size, validation_data=(held, held), verbose=0)


def timed(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def summarize(name: str, seconds: dict[str, list[float]], samples: int) -> dict[str, Any]:
    """Medians of samples per second, and of the ratios of the same round."""
    ratios = {
        label: median(theirs / ours for theirs, ours in zip(values, seconds[OURS], strict=True))
        for label, values in seconds.items()
        if label != OURS
    }
    rates = {label: samples / median(values) for label, values in seconds.items()}
    return {"model": name, "samples": samples, "samples_per_second": rates, "times": ratios}


def measure_memory(folder: Path, megabytes: int) -> dict[str, Any]:
    """Train on a file four times as large as what the process may allocate from then on."""
    rows = megabytes * (1 << 20) // (784 * 4)
    data = np.lib.format.open_memmap(folder / "large.npy", "w+", np.float32, (rows, 784))
    draws = np.random.default_rng(0)
    for start in range(0, rows, 10_000):
        data[start : start + 10_000] = draws.random((min(10_000, rows - start), 784), np.float32)
    data.flush()
    done = subprocess.run(
        [sys.executable, __file__, "--child", str(folder)], stdout=subprocess.PIPE, check=True, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def train_in_little_memory(folder: Path) -> dict[str, Any]:
    """A whole run, from file to checkpoint, under a limit on what may be allocated; then the file at once, as a check.

    The limit is RLIMIT_DATA, set when TensorFlow is loaded and has trained once: private memory, which the system
    cannot take back, as it can pages of a mapped file.
    """
    import resource

    from aetool.training import train

    np.save(folder / "small.npy", np.random.default_rng(0).random((2000, 784), np.float32))
    config = configuration({"family": "dense"}, (784,), 1, 128)
    train(config, folder / "small.npy", folder / "small")
    size = (folder / "large.npy").stat().st_size
    allowed, before = size // 4, status()
    resource.setrlimit(resource.RLIMIT_DATA, (before["VmData"] + allowed, resource.RLIM_INFINITY))
    seconds = timed(lambda: train(config, folder / "large.npy", folder / "large"))
    after = status()
    try:
        np.array(np.load(folder / "large.npy", mmap_mode="r"))
        refused = False
    except MemoryError:
        refused = True
    return {
        "data": size,
        "allowed": allowed,
        "seconds": seconds,
        "grown": after["VmData"] - before["VmData"],
        "refused_at_once": refused,
    }


def status() -> dict[str, int]:
    """Bytes from /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return {
        name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines) if "kB" in rest
    }


def format_report(report: dict[str, Any]) -> str:
    """The tables as Markdown."""
    lines = ["# Training beside keras.Model.fit", "", __doc__.split("Method: ")[1].strip(), ""]
    lines += [f"- {key}: {value}" for key, value in report["machine"].items()]
    lines += [
        f"- batch size: {report['batch_size']}",
        f"- rounds: {report['rounds']}, {report['seconds']} s in all",
        "",
    ]
    header = ["model", *(f"{label}: samples/s" for label in (OURS, FIT, GROUPED)), f"× {FIT}", f"× {GROUPED}"]
    lines += ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for row in report["rows"]:
        rates = [f"{row['samples_per_second'][label]:,.0f}" for label in (OURS, FIT, GROUPED)]
        lines.append(
            "| " + " | ".join([row["model"], *rates, *(f"{row['times'][x]:.2f}" for x in (FIT, GROUPED))]) + " |"
        )
    return "\n".join([*lines, "", "## Memory", "", memory_text(report["memory"])]) + "\n"


def memory_text(memory: dict[str, Any]) -> str:
    sizes = {key: f"{memory[key] / 2**20:,.0f} MiB" for key in ("data", "allowed", "grown")}
    verdict = "was refused" if memory["refused_at_once"] else "was NOT refused: the limit does not hold here"
    return (
        f"A memory-mapped file of {sizes['data']}, and {sizes['allowed']} that the process may allocate beside what "
        "TensorFlow held after a first small run (RLIMIT_DATA: private memory; pages of the mapped file can be taken "
        "back by the system at any time and do not count).\n"
        f"A whole run, from file to checkpoint, took {memory['seconds']:.0f} s, and at its end {sizes['grown']} more "
        f"were held. Reading the file into memory under the same limit {verdict}."
    )


if __name__ == "__main__":
    main()
