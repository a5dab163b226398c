"""`backend="auto"` beside every engine by itself: four models, three batches, float32 and int8, in one run.

    python benchmarks/engines.py            # prints the table; writes results/engines.md and engines.json

Method: models with initial weights (speed does not depend on them) are exported at float32 and int8, calibrated with
noise. One process, one thread for every engine. For each model, precision and batch the contenders run in turn for many
rounds, each round a loop of calls of the autoencoder (encoder + decoder) on the same array; the table gives the median
over the rounds of each contender's time relative to ours in the same round, so that a machine that drifts drifts for
all. More than 1: slower than ours.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

RESULTS = Path(__file__).parent / "results"
BATCHES = (1, 32, 256)
PRECISIONS = ("float32", "int8")
ROUND_SECONDS = 0.02
OURS = "auto"
THEIRS = ("keras predict", "tf.function", "ONNX Runtime", "LiteRT", "OpenVINO")
Call = Callable[[], Any]


@click.command()
@click.option("--rounds", default=60, show_default=True, help="Rounds of each contender.")
@click.option("--model", "names", multiple=True, help="Only this one.")
def main(rounds: int, names: tuple[str, ...]) -> None:
    """Measure and write the table."""
    import tensorflow as tf
    from machine import describe_machine

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    rows = []
    with tempfile.TemporaryDirectory(prefix="aetool-engines-") as folder:
        os.environ["XDG_CACHE_HOME"] = folder  # what was chosen on this machine before does not count
        for name, build in MODELS.items():
            if not names or name in names:
                rows += _measured(name, *build(), Path(folder), rounds)
    report = {"machine": describe_machine(), "rounds": rounds, "rows": rows}
    print(_page(report))
    if not names:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "engines.json").write_text(json.dumps(report, indent=1) + "\n")
        (RESULTS / "engines.md").write_text(_page(report))
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


def _measured(name: str, encoder: Any, decoder: Any, folder: Path, rounds: int) -> list[dict[str, Any]]:
    from aetool_exporters import ExportOptions, Samples, export
    from aetool_exporters.request import Calibration, QuantizationOptions

    rng = np.random.default_rng(0)
    noise = rng.uniform(0, 1, (256, *encoder.input_shape[1:])).astype(np.float32)
    options = ExportOptions(precisions=PRECISIONS, quantization=QuantizationOptions(Calibration(lambda: iter([noise]))))
    bundle = export(encoder, decoder, folder / f"{len(name)}.aepkg", samples=Samples.of(noise[:64]), options=options)
    met = []
    for precision in PRECISIONS:
        for batch in BATCHES:
            samples = np.ascontiguousarray(noise[:batch])
            contenders = _contenders(bundle, encoder, decoder, precision, samples)
            row = {"model": name, "precision": precision, "batch": batch, **_timed(contenders, rounds)}
            met.append({**row, "chosen": contenders[OURS][1]})
            print(_line(met[-1]), flush=True)
    return met


def _contenders(
    bundle: Any, encoder: Any, decoder: Any, precision: str, samples: np.ndarray
) -> dict[str, tuple[Call, str]]:
    """Name → a call, and what is said of it."""
    from aetool_runtime import Autoencoder

    model = Autoencoder.open(
        bundle, backend="auto", device="cpu", threads=1, precision=precision, batch_size=len(samples), budget=3.0
    )
    chosen = f"{model.backend} {model.precision}"
    found: dict[str, tuple[Call, str]] = {OURS: (lambda: model.reconstruct(samples), chosen)}
    if precision == "float32":
        found |= _keras(encoder, decoder, samples)
    for title, format_name, make in (
        ("ONNX Runtime", "onnx", _onnxruntime), ("LiteRT", "tflite", _litert), ("OpenVINO", "onnx", _openvino)
    ):  # fmt: skip
        graphs = [a for a in bundle.manifest.artifacts if (a.role, a.format, a.precision) == (
            "autoencoder", format_name, precision)]  # fmt: skip
        call = make(bundle.read(graphs[0].path), samples) if graphs else None
        if call is not None:
            found[title] = (call, "")
    return found


def _keras(encoder: Any, decoder: Any, samples: np.ndarray) -> dict[str, tuple[Call, str]]:
    import keras
    import tensorflow as tf

    whole = keras.Sequential([encoder, decoder])
    function = tf.function(lambda x: decoder(encoder(x, training=False), training=False))
    return {
        "keras predict": (lambda: whole.predict(samples, batch_size=len(samples), verbose=0), ""),
        "tf.function": (lambda: function(samples).numpy(), ""),
    }


def _onnxruntime(data: bytes, samples: np.ndarray) -> Call:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"input": samples})


def _litert(data: bytes, samples: np.ndarray) -> Call:
    """The whole batch at once where the graph bears it and computes the same, else one sample after the other."""
    from ai_edge_litert.interpreter import Interpreter

    def runner() -> Any:
        made = Interpreter(model_content=data, num_threads=1)
        return made.get_signature_runner("reconstruct")

    single, whole = runner(), runner()

    def one_by_one() -> list[Any]:
        return [single(input=samples[i : i + 1]) for i in range(len(samples))]

    alone = np.concatenate([result["reconstruction"] for result in one_by_one()])
    try:
        together = whole(input=samples)["reconstruction"]  # resizes the input
    except (RuntimeError, ValueError):
        return one_by_one
    same = together.shape == alone.shape and np.allclose(together, alone, atol=1e-2 * np.ptp(alone))
    return (lambda: whole(input=samples)) if same else one_by_one


def _openvino(data: bytes, samples: np.ndarray) -> Call | None:
    try:
        import openvino
    except ImportError:
        return None
    core = openvino.Core()
    compiled = core.compile_model(data, "CPU", {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY"})
    request = compiled.create_infer_request()
    return lambda: request.infer([samples])


def _timed(contenders: dict[str, tuple[Call, str]], rounds: int) -> dict[str, Any]:
    """The median ratio of each to ours, our microseconds, and how far ours is from the best."""
    calls = {name: _calls(call) for name, (call, _) in contenders.items()}
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for at in range(rounds):
        names = list(contenders)
        for name in names[at % len(names) :] + names[: at % len(names)]:
            if calls[name] is None and at % 10:
                continue  # slower than a round: now and then is enough
            seconds[name].append(_loop(contenders[name][0], calls[name] or 1))
    ours = seconds[OURS]
    ratios = {}
    for name, times in seconds.items():
        beside = ours[:: len(ours) // len(times)] if len(times) < len(ours) else ours
        ratios[name] = median(t / o for t, o in zip(times, beside, strict=False))
    return {
        "auto_us": median(ours) * 1e6,
        "ratios": {name: ratio for name, ratio in ratios.items() if name != OURS},
        "to_best": 1 / min(ratios.values()),
    }


def _calls(call: Call) -> int | None:
    """How many fill a round; none where one is longer."""
    call()
    began = time.perf_counter()
    call()
    took = time.perf_counter() - began
    return max(1, int(ROUND_SECONDS / took)) if took < ROUND_SECONDS else None


def _loop(call: Call, count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - began) / count


def _line(row: dict[str, Any]) -> str:
    ratios = "  ".join(f"{name} {ratio:.2f}" for name, ratio in row["ratios"].items())
    return f"{row['model']:18} {row['precision']:8} {row['batch']:4}  {row['auto_us']:10.1f} us  {ratios}"


def _page(report: dict[str, Any]) -> str:
    columns = [name for name in THEIRS if any(name in row["ratios"] for row in report["rows"])]
    lines = [
        "# Engines",
        "",
        (__doc__ or "").split("\n\n")[0],
        "",
        (__doc__ or "").partition("Method: ")[2].strip(),
        "",
    ]
    lines += ["| model | precision | batch | auto, µs | chosen | " + " | ".join(columns) + " | auto to the best |"]
    lines += ["|" + "---|" * (len(columns) + 6)]
    for row in report["rows"]:
        cells = [f"{row['ratios'][name]:.2f}" if name in row["ratios"] else "" for name in columns]
        lines.append(
            f"| {row['model']} | {row['precision']} | {row['batch']} | {row['auto_us']:,.1f} | {row['chosen']} | "
            + " | ".join(cells)
            + f" | {row['to_best']:.3f} |"
        )
    worst = max(row["to_best"] for row in report["rows"])
    lines += ["", f"The worst row: {worst:.3f} times the best engine's time.", ""]
    lines += ["Measured on:", "", *(f"- {key}: {value}" for key, value in report["machine"].items())]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
