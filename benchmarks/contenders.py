"""Those who run beside each other in a benchmark: each in a process of its own, and only one of them runs at a time.

In one process they would disturb each other: an engine's threads go on looking for work after a call (ONNX Runtime's
for some 30 ms), and where there are as many engines as cores, or more, they push each other from them. So each waits
on a pipe until it is told to measure, and answers when all its threads sleep. Processes differ, too, by where their
memory came to lie; so they are made anew a few times.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

__all__ = ["Contender", "Task", "in_a_process", "take_turns"]

ROUND_SECONDS = 0.02
_LONGER = 8  # times that, where a call has several threads: it takes the system a while to give each a core
_SLOW_EVERY = 4  # who needs longer than a round for one call has a turn in every fourth round
_WARM_UP = 3  # calls, at most, before each turn
_PARTS = 5  # of a round; the median of them counts, so that one interruption does not
_STARTING = multiprocessing.get_context("spawn")  # a fork would inherit the driver's state
Call = Callable[[], Any]


@dataclass(frozen=True)
class Task:
    """What all contenders do: reconstruct the same samples.

    Args:
        folder: holds ``model.aepkg``, ``encoder.keras``, ``decoder.keras`` and ``samples.npy``: [256, …].
        batch: how many of the samples a call takes.
        threads: for one call.
        precision: of the artifacts; Keras computes in float32 whatever it is.
    """

    folder: Path
    batch: int
    threads: int
    precision: str = "float32"

    @property
    def bundle(self) -> Path:
        return self.folder / "model.aepkg"

    def samples(self) -> np.ndarray:
        return np.ascontiguousarray(np.load(self.folder / "samples.npy")[: self.batch])


class EngineError(Exception):
    """An engine refuses a model."""


class Contender:
    """A process that measures when it is told to.

    Args:
        name: what it is called in the table.
        make: task → a call, and what is to be said of it; a function of a module, since another process imports it.
    """

    def __init__(self, name: str, make: Callable[[Task], tuple[Call, str]]) -> None:
        self.name = name
        self.said = ""
        self._pipe, theirs = _STARTING.Pipe()
        self._process = _STARTING.Process(target=_serve, args=(theirs, make), daemon=True)
        self._process.start()
        theirs.close()
        self._repeats, self.slow = 1, False

    def prepare(self, task: Task) -> np.ndarray | None:
        """Make the call, and find out how many fill a round.

        Returns:
            What it computed, [batch, …]; ``None`` where its engine cannot run the model, for which ``said`` has the
            reason.
        """
        self.said, result, single = self._ask(task)
        if result is None:
            return None
        seconds = ROUND_SECONDS * (_LONGER if task.threads > 1 else 1)
        self._repeats, self.slow = max(1, int(seconds / single)), single > ROUND_SECONDS
        return result

    def measure(self) -> float:
        """Seconds a call, over a round of them."""
        return self._ask(self._repeats)

    def close(self) -> None:
        with suppress(OSError):
            self._pipe.send(None)
        self._process.join(10)
        self._process.kill()

    def _ask(self, question: Any) -> Any:
        self._pipe.send(question)
        try:
            answer = self._pipe.recv()
        except EOFError:
            raise SystemExit(f"{self.name}: its process ended") from None
        if isinstance(answer, str):
            raise SystemExit(f"{self.name}: {answer}")
        return answer


def take_turns(contenders: Iterable[Contender], rounds: int) -> dict[str, list[float | None]]:
    """Seconds a call, one value a round; the order turns round by round. ``None`` where a slow one left one out."""
    order = list(contenders)
    seconds: dict[str, list[float | None]] = {contender.name: [None] * rounds for contender in order}
    for turn in range(rounds):
        at = turn % len(order)
        for contender in order[at:] + order[:at]:
            if not contender.slow or turn % _SLOW_EVERY == 0:
                seconds[contender.name][turn] = contender.measure()
    return seconds


def in_a_process(function: Callable[..., None], *arguments: Any) -> None:
    """Call a module's function in a process of its own, so that this one never loads what it needs."""
    process = _STARTING.Process(target=function, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{function.__name__} failed")


def _serve(pipe: Any, make: Callable[[Task], tuple[Call, str]]) -> None:
    """What a contender's process does: one answer for each question, until there is none; an error as its text."""
    call: Call | None = None
    with suppress(EOFError, KeyboardInterrupt):
        while (question := pipe.recv()) is not None:
            try:
                if isinstance(question, Task):
                    call = None  # what was prepared before goes before the next comes
                    try:
                        call, said = make(question)
                    except EngineError as error:
                        pipe.send((str(error), None, 0.0))
                        continue
                    pipe.send((said, _array(call()), min(_time(call, 1) for _ in range(3))))
                else:
                    assert call is not None
                    _time(call, min(_WARM_UP, question - 1))  # its data left the caches while others ran
                    parts = min(question, _PARTS)
                    seconds = median(_time(call, question // parts) for _ in range(parts))
                    _fall_asleep()
                    pipe.send(seconds)
            except Exception as error:
                pipe.send(f"{type(error).__name__}: {error}")


def _time(call: Call, repeats: int) -> float:
    """Seconds a call."""
    began = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - began) / max(1, repeats)


def _fall_asleep(tick: float = 0.003) -> None:
    """Wait until no thread of this process runs."""
    for _ in range(100):
        before = time.process_time()
        time.sleep(tick)
        if time.process_time() - before < tick / 10:
            return


def _array(result: Any) -> np.ndarray:
    """Whatever an engine returns for a single output, or a list of it for parts of a batch."""
    if isinstance(result, np.ndarray):
        return result
    if isinstance(result, list):
        return np.concatenate([_array(part) for part in result])
    if isinstance(result, Mapping):
        [result] = result.values()
    return np.asarray(result)


# --- who they are ---


def keras_predict(task: Task) -> tuple[Call, str]:
    whole = _keras(task)
    samples, batch = task.samples(), task.batch
    return lambda: whole.predict(samples, batch_size=batch, verbose=0), ""


def tf_function(task: Task) -> tuple[Call, str]:
    whole = _keras(task)
    import tensorflow as tf

    function = tf.function(lambda given: whole(given, training=False))
    samples = task.samples()
    return lambda: function(samples).numpy(), ""


def bare_onnxruntime(task: Task) -> tuple[Call, str]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = task.threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(_graph(task, "onnx"), options, providers=["CPUExecutionProvider"])
    names, feed = ["reconstruction"], {"input": task.samples()}
    return lambda: session.run(names, feed), ""


def bare_onnxruntime_float32(task: Task) -> tuple[Call, str]:
    return bare_onnxruntime(replace(task, precision="float32"))


def bare_litert(task: Task) -> tuple[Call, str]:
    """Its public runner: the whole batch where the graph bears it and computes the same, else sample by sample."""
    from ai_edge_litert.interpreter import Interpreter

    def runner() -> Any:
        made = Interpreter(model_content=data, num_threads=task.threads)
        return made.get_signature_runner("reconstruct")

    data, samples = _graph(task, "tflite"), task.samples()
    single, whole, rows = runner(), runner(), [samples[i : i + 1] for i in range(len(samples))]

    def one_by_one() -> Any:
        return [single(input=row) for row in rows]

    alone = _array(one_by_one())
    try:
        together = _array(whole(input=samples))  # resizes the input
    except (RuntimeError, ValueError):
        return one_by_one, ""
    same = together.shape == alone.shape and np.allclose(together, alone, atol=1e-2 * np.ptp(alone))
    return (lambda: whole(input=samples)) if same else one_by_one, ""


def bare_openvino(task: Task) -> tuple[Call, str]:
    import openvino

    options = {
        "INFERENCE_NUM_THREADS": task.threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    core = openvino.Core()
    try:
        compiled = core.compile_model(core.read_model(model=_graph(task, "onnx")), "CPU", options)
    except RuntimeError as error:
        raise EngineError(str(error)) from error
    request, given = compiled.create_infer_request(), [task.samples()]
    return lambda: request.infer(given), ""


def ours_onnxruntime(task: Task) -> tuple[Call, str]:
    return _ours(task, backend="onnxruntime", threads=task.threads)


def ours_with_out(task: Task) -> tuple[Call, str]:
    from aetool_runtime import Autoencoder

    model = Autoencoder.open(task.bundle, backend="onnxruntime", threads=task.threads, precision=task.precision)
    samples = task.samples()
    out = np.empty_like(samples)
    return lambda: model.reconstruct(samples, out=out), ""


def ours_litert(task: Task) -> tuple[Call, str]:
    return _ours(task, backend="litert", threads=task.threads)


def auto(task: Task) -> tuple[Call, str]:
    """As a program opens it, which takes float32 where int8 is slower, if it takes int8.

    What was chosen before is in the user's cache, which XDG_CACHE_HOME names.
    """
    allowed = "float32" if task.precision == "float32" else "any"
    return _ours(task, precision=allowed, backend="auto", device="cpu", threads=task.threads, batch_size=task.batch)


def _ours(task: Task, **options: Any) -> tuple[Call, str]:
    from aetool_runtime import Autoencoder

    model = Autoencoder.open(task.bundle, **{"precision": task.precision, **options})
    samples = task.samples()
    return lambda: model.reconstruct(samples), f"{model.backend} {model.precision}"


def _graph(task: Task, format_name: str) -> bytes:
    """Of the artifact that holds encoder and decoder."""
    from aetool_runtime import open_bundle

    bundle = open_bundle(task.bundle)
    wanted = ("autoencoder", format_name, task.precision)
    [path] = [a.path for a in bundle.manifest.artifacts if (a.role, a.format, a.precision) == wanted]
    return bundle.read(path)


def _keras(task: Task) -> Any:
    """The model of both halves, in a TensorFlow that was told its threads when it was first used."""
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
    import keras
    import tensorflow as tf

    if tf.config.threading.get_intra_op_parallelism_threads() != task.threads:
        tf.config.threading.set_intra_op_parallelism_threads(task.threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    halves = [keras.models.load_model(task.folder / f"{role}.keras", compile=False) for role in ("encoder", "decoder")]
    return keras.Sequential(halves)
