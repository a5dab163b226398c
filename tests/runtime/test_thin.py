"""The layer over the engine is thin: no copies that are not asked for, results where the caller wants them, threads
that do not wait for each other, and awaitables."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper
from tests.runtime.test_autoencoder import ENGINES
from tests.runtime.test_reduced_precision import integer_bundle
from tests.runtime.tiny import Affine, artifact_of, onnx_graph, samples, tflite_file, write_bundle

from aetool_runtime import Autoencoder
from aetool_runtime.backends.litert import LiteRtBackend
from aetool_runtime.backends.litert_batch import takes_any_batch
from aetool_runtime.backends.litert_signature import Signature
from aetool_runtime.backends.onnx_binding import OnnxRuntimeGraph
from aetool_runtime.backends.onnxruntime import OnnxRuntimeBackend
from aetool_runtime.backends.openvino import _Request
from aetool_runtime.backends.pool import Pool
from aetool_runtime.errors import BackendError, InputError, UsageError
from aetool_runtime.runner import make_runner
from aetool_runtime.specs import Array, Quantization, TensorSpec

Paths = Callable[[str], Path]
TRUTH = Affine()


@pytest.fixture(params=ENGINES.values(), ids=ENGINES)
def model(request: pytest.FixtureRequest, bundle_path: Paths) -> Iterator[Autoencoder]:
    kind, backend = request.param
    with Autoencoder.open(bundle_path(kind), backend=backend) as opened:
        yield opened


def address(array: Array) -> int:
    place: int = array.__array_interface__["data"][0]
    return place


# --- what goes in is not copied ---


class Recorder:
    """A graph, or a session, that keeps the address of what it is given."""

    def __init__(self) -> None:
        self.met: list[int] = []

    def run(self, *arguments: Any) -> tuple[Array, ...]:
        array = arguments[-1]["input"] if isinstance(arguments[-1], dict) else arguments[-1]
        self.met.append(address(array))
        return (TRUTH.encode(array),)

    def close(self) -> None: ...


@pytest.mark.parametrize("count", [1, 7, 5000])
@pytest.mark.parametrize(
    ("form", "copied"),
    {
        "contiguous": (lambda a: a, False),
        "read-only": (lambda a: np.frombuffer(a, np.float32).reshape(a.shape), False),
        "rows of a larger one": (lambda a: np.concatenate([a, a])[len(a) :], False),
        "every second": (lambda a: np.repeat(a, 2, 0)[::2], True),
        "float64": (lambda a: a.astype("f8"), True),
    }.values(),
    ids=["contiguous", "read-only", "rows of a larger one", "every second", "float64"],
)
def test_contiguous_samples_reach_the_engine_where_they_lie(
    count: int, form: Callable[[Array], Array], copied: bool
) -> None:
    recorder = Recorder()
    given = form(samples(count))
    runner = make_runner(recorder, artifact_of("encoder", "onnx", "x", None))
    np.testing.assert_allclose(runner.run(given)[0], TRUTH.encode(given), rtol=1e-5)
    assert (recorder.met != [address(given)]) is ((copied and count > 1) or given.dtype == "f8")


def test_large_inputs_reach_the_onnx_session_where_they_lie() -> None:
    session, given = Recorder(), samples(5000)
    graph = OnnxRuntimeGraph(session, artifact_of("encoder", "onnx", "x", None))
    for _ in range(3):
        graph.run(given)
    assert session.met == [address(given)] * 3


DTYPES = ["float32", "float16", "int8", "uint8", "int16", "int32", "int64"]  # all that a manifest may name


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_type_goes_through_bound_buffers(dtype: str) -> None:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    tensors = [helper.make_tensor_value_info(name, kind, ["batch", 6]) for name in ("input", "latent", "latent_mean")]
    nodes = [helper.make_node("Identity", ["input"], [name]) for name in ("latent", "latent_mean")]
    model = helper.make_model(
        helper.make_graph(nodes, "twice", tensors[:1], tensors[1:]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    plain = artifact_of("encoder", "onnx", "x", None)
    outputs = tuple(TensorSpec(name, dtype, (None, 6)) for name in ("latent", "latent_mean"))
    artifact = replace(plain, inputs=(replace(plain.inputs[0], dtype=dtype),), outputs=outputs)
    graph = OnnxRuntimeBackend().load(model.SerializeToString(), artifact, device="cpu", threads=1)
    for turn in range(4):
        for count in (3, 4000):
            given = (np.random.default_rng(turn).random((count, 6)) * 100).astype(dtype)
            out = np.zeros_like(given)
            graph.run_into(given, out)
            for met in (*graph.run(given), out):
                assert met.dtype == given.dtype
                np.testing.assert_array_equal(met, given)
    for _ in range(2):
        graph.run(given[:5])
    assert graph._thread.bound is not None


# --- what comes out ---


@pytest.mark.parametrize("count", [1, 2, 7, 64, 300, 5000])
def test_results_are_written_where_the_caller_wants_them(model: Autoencoder, count: int) -> None:
    given = samples(count)
    latent, restored = np.full((count, 2), 9, np.float32), np.full((count, 6), 9, np.float32)
    for shift in (0, 1, 2):  # the second time the array is known
        assert model.encode(given + shift, out=latent) is latent
        np.testing.assert_array_equal(latent, model.encode(given + shift))
        assert model.decode(latent, out=restored) is restored
        np.testing.assert_array_equal(restored, model.decode(latent))
        assert model.reconstruct(given + shift, out=restored) is restored
        np.testing.assert_array_equal(restored, model.reconstruct(given + shift))


def test_onnx_runtime_writes_straight_into_the_callers_array(
    monkeypatch: pytest.MonkeyPatch, bundle_path: Paths
) -> None:
    with Autoencoder.open(bundle_path("onnx"), backend="onnxruntime") as model:
        out = np.zeros((3000, 2), np.float32)
        model.encode(samples(3000), out=out)
        [graph] = model._graphs
        assert isinstance(graph, OnnxRuntimeGraph)
        into = graph._thread.into
        assert into is not None
        assert into.out is out
        bound = into._binding.get_outputs()[0]
        assert bound.data_ptr() == address(out)


def test_an_array_may_change_places_with_another_between_calls(model: Autoencoder) -> None:
    arrays = [np.zeros((3000, 2), np.float32), np.zeros((3000, 2), np.float32)]
    for turn in range(6):
        given = samples(3000, seed=turn)
        model.encode(given, out=arrays[turn % 2])
        np.testing.assert_array_equal(arrays[turn % 2], model.encode(given))


def test_small_and_large_batches_may_take_turns(model: Autoencoder) -> None:
    for count in (1, 1, 1, 5, 1, 5, 5, 4000, 5, 5, 1, 1, 4000, 4000, 1):
        given = samples(count, seed=count)
        kept = model.encode(given)
        np.testing.assert_allclose(kept, TRUTH.encode(given), rtol=1e-5, atol=2e-6)
        model.encode(given + 1)
        np.testing.assert_allclose(kept, TRUTH.encode(given), rtol=1e-5, atol=2e-6)


def test_quantized_results_are_written_as_real_values(tmp_path: Path) -> None:
    with Autoencoder.open(write_bundle(tmp_path / "b", integer_bundle())) as model:
        out = np.zeros((7, 2), np.float32)
        assert model.encode(samples(7), out=out) is out
        np.testing.assert_array_equal(out, model.encode(samples(7)))


class Echo(Recorder):
    """A graph that returns the integers that it is given."""

    def run(self, *arguments: Any) -> tuple[Array, ...]:
        self.given = arguments[0]
        return (self.given,)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
@pytest.mark.parametrize("axis", [None, 1])
def test_the_way_to_integers_and_back_is_that_of_the_specification(dtype: str, axis: int | None) -> None:
    count = 1 if axis is None else 6
    steps = Quantization(tuple(0.013 * (i + 1) for i in range(count)), tuple(range(count)), axis)
    plain, echo = artifact_of("encoder", "onnx", "x", None), Echo()
    given = replace(plain.inputs[0], dtype=dtype, quantization=steps)
    runner = make_runner(echo, replace(plain, inputs=(given,), outputs=(given,)))
    values = np.random.default_rng(0).normal(0, 5, (50, 6)).astype(np.float32)
    [met] = runner.run(values)
    np.testing.assert_array_equal(echo.given, given.stored(values))
    assert echo.given.dtype == dtype
    np.testing.assert_array_equal(met, given.real(given.stored(values)))


def test_nothing_in_leaves_out_as_it_is(model: Autoencoder) -> None:
    out = np.zeros((0, 2), np.float32)
    assert model.encode(samples(0), out=out) is out


def read_only() -> Array:
    out = np.zeros((3, 2), np.float32)
    out.flags.writeable = False
    return out


REFUSED = {
    "another type": (np.zeros((3, 2)), "is float64"),
    "fewer rows": (np.zeros((2, 2), np.float32), "shape [2, 2]"),
    "wider": (np.zeros((3, 3), np.float32), "shape [3, 3]"),
    "flat": (np.zeros(6, np.float32), "shape [6]"),
    "with gaps": (np.zeros((3, 4), np.float32)[:, ::2], "not contiguous"),
    "read-only": (read_only(), "read-only"),
    "no array": ([0.0] * 6, "is list"),
}


@pytest.mark.parametrize(("out", "text"), REFUSED.values(), ids=REFUSED)
def test_where_a_result_cannot_go_is_refused(model: Autoencoder, out: Any, text: str) -> None:
    before = np.array(out)
    with pytest.raises(InputError) as refusal:
        model.encode(samples(3), out=out)
    assert text in str(refusal.value)
    assert "float32 array [3, 2]" in str(refusal.value)
    assert np.array_equal(before, out)


def test_the_input_is_never_written_over(model: Autoencoder) -> None:
    memory = samples(6)
    before = memory.copy()
    with pytest.raises(InputError, match="shares memory"):
        model.reconstruct(memory[:4], out=memory[2:])
    assert np.array_equal(memory, before)


# --- the caller's memory is let go ---


@pytest.mark.parametrize("count", [2, 5000])
def test_what_was_given_is_not_kept_alive(model: Autoencoder, count: int) -> None:
    given, out = samples(count), np.zeros((count, 2), np.float32)
    dead = weakref.ref(given)
    for _ in range(4):
        model.encode(given)
        model.encode(given, out=out)
    del given
    gc.collect()
    assert dead() is None


def test_closing_lets_go_of_out_and_of_every_threads_buffers(bundle_path: Paths) -> None:
    model = Autoencoder.open(bundle_path("onnx"))
    out = np.zeros((3000, 2), np.float32)
    dead = weakref.ref(out)
    gate, done = threading.Event(), threading.Event()

    def run() -> None:
        for _ in range(3):
            model.encode(samples(3))
        done.set()
        gate.wait(10)

    thread = threading.Thread(target=run)
    thread.start()
    done.wait(10)
    model.encode(samples(3000), out=out)
    session = weakref.ref(model._graphs[0]._session)  # type: ignore[attr-defined]
    del out
    model.close()
    gc.collect()
    assert dead() is None
    assert session() is None, "the other thread's binding holds the session"
    gate.set()
    thread.join()


# --- threads ---


def test_threads_get_the_same_numbers_with_an_array_of_their_own_each(model: Autoencoder) -> None:
    batches = [samples(1 + i % 9, seed=i) for i in range(300)]
    alone = [model.encode(batch) for batch in batches]

    def run(batch: Array) -> Array:
        return model.encode(batch, out=np.empty((len(batch), 2), np.float32))

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(run, batches))
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))


@pytest.mark.parametrize(("kind", "backend"), ENGINES.values(), ids=ENGINES)
def test_a_graph_that_is_busy_does_not_make_another_thread_wait(
    monkeypatch: pytest.MonkeyPatch, bundle_path: Paths, kind: str, backend: str
) -> None:
    """Both are inside the engine at the same time: each waits there until the other has come."""
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    with Autoencoder.open(bundle_path(kind), backend=backend) as model:
        model.encode(samples(5))
        both = threading.Barrier(2, timeout=20)
        graph = model._load("encoder") and model._graphs[0]
        if backend == "onnxruntime":
            real = graph._run  # type: ignore[union-attr]
            graph._run = lambda *a: both.wait() >= 0 and real(*a)  # type: ignore[union-attr]
        else:
            owner, method = {"litert": (Signature, "run_any"), "openvino": (_Request, "run")}[backend]
            real = getattr(owner, method)
            monkeypatch.setattr(owner, method, lambda *a: both.wait() >= 0 and real(*a))
        with ThreadPoolExecutor(2) as pool:
            given = [samples(5, seed=1), samples(5, seed=2)]
            met = list(pool.map(model.encode, given))
    for one, array in zip(met, given, strict=True):
        np.testing.assert_allclose(one, TRUTH.encode(array), rtol=1e-5)


def test_a_pool_makes_one_for_each_thread_that_runs_and_no_more() -> None:
    made: list[int] = []
    pool = Pool(0, lambda: made.append(len(made) + 1) or made[-1], 3)
    assert [pool.take(), pool.take(), pool.take()] == [0, 1, 2]
    waiting: list[int] = []
    thread = threading.Thread(target=lambda: waiting.append(pool.take()))
    thread.start()
    thread.join(0.05)
    assert waiting == []
    pool.give(1)
    thread.join(10)
    assert waiting == [1]
    pool.give(2)
    pool.give(0)
    assert pool.take() == 0, "the last one used comes first"
    assert made == [1, 2]


def test_a_pool_gives_up_none_when_making_one_fails() -> None:
    results: list[Any] = [RuntimeError("no memory"), 7]

    def make() -> Any:
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    pool: Pool[Any] = Pool(None, make, 1)
    with pytest.raises(RuntimeError):
        pool.take()
    assert pool.take() == 7


def test_whoever_waits_for_a_closed_pool_is_told() -> None:
    pool = Pool(0, lambda: 1, 1)
    pool.take()
    with ThreadPoolExecutor(1) as executor:
        waiting = executor.submit(pool.take)
        while not pool._waiting:
            pass
        pool.close()
        with pytest.raises(ValueError, match="closed"):
            waiting.result(10)
    pool.give(0)
    with pytest.raises(ValueError, match="closed"):
        pool.take()


# --- LiteRT's ways ---


def litert(data: bytes, batch: int = 1) -> Any:
    return LiteRtBackend().load(data, artifact_of("encoder", "tflite", "m", batch), device="cpu", threads=1)


@pytest.mark.parametrize("rows", [2, 3, 255, 256, 257, 700])
def test_a_graph_of_dense_layers_runs_any_batch_at_once(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    pieces: list[int] = []
    real = Signature.run_any
    monkeypatch.setattr(Signature, "run_any", lambda self, array: pieces.append(len(array)) or real(self, array))
    graph = litert(tflite_file())
    [met] = graph.run(samples(rows))
    np.testing.assert_allclose(met, TRUTH.encode(samples(rows)), rtol=1e-5, atol=2e-6)
    assert pieces == [256] * (rows // 256) + [rows % 256] * (rows % 256 > 0)


def test_what_is_not_known_to_work_row_by_row_runs_at_its_own_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aetool_runtime.backends.litert_batch._ROW_BY_ROW", ("RELU",))
    monkeypatch.setattr("aetool_runtime.backends.litert_signature._short_way", lambda *_: None)
    assert not takes_any_batch(tflite_file())
    pieces: list[int] = []
    real = Signature._by_runner
    monkeypatch.setattr(Signature, "_by_runner", lambda self, array: pieces.append(len(array)) or real(self, array))
    [met] = litert(tflite_file(batch=3), 3).run(samples(7))
    np.testing.assert_allclose(met, TRUTH.encode(samples(7)), rtol=1e-5, atol=2e-6)
    assert pieces == [3, 3, 3]


def test_batches_of_many_sizes_in_turn_compute_the_same() -> None:
    """The shorter way is taken for the size that was run last, and only then."""
    graph = litert(tflite_file(), 1)
    for size in (5, 5, 5, 1, 5, 7, 7, 7, 7, 2, 1, 1, 300, 300, 7):
        [met] = graph.run(samples(size, seed=size))
        np.testing.assert_allclose(met, TRUTH.encode(samples(size, seed=size)), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("data", [b"", b"no flatbuffer at all", onnx_graph("encoder").SerializeToString()[:9]])
def test_a_file_that_cannot_be_read_keeps_its_batch(data: bytes) -> None:
    assert not takes_any_batch(data)


def short_ways(wrong: Callable[[Array], tuple[Array, ...]]) -> Callable[..., Any]:
    return lambda *_: wrong


def raising(_: Array) -> tuple[Array, ...]:
    raise TypeError("SetTensor(): incompatible function arguments")


NOT_TRUSTED = {
    "other numbers": lambda array: (TRUTH.encode(array) + np.float32(1e-6),),
    "another type": lambda array: (TRUTH.encode(array).astype("f8"),),
    "fewer outputs": lambda _: (),
    "an error": raising,
}


@pytest.mark.parametrize("wrong", NOT_TRUSTED.values(), ids=NOT_TRUSTED)
def test_the_short_way_is_left_when_it_returns_anything_else(
    monkeypatch: pytest.MonkeyPatch, wrong: Callable[[Array], tuple[Array, ...]]
) -> None:
    monkeypatch.setattr("aetool_runtime.backends.litert_signature._short_way", short_ways(wrong))
    graph = litert(tflite_file())
    for turn in range(4):
        np.testing.assert_allclose(graph.run(samples(1, seed=turn))[0], TRUTH.encode(samples(1, seed=turn)), rtol=1e-5)


def test_the_short_way_is_there_and_is_taken_after_two_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    public: list[int] = []
    real = Signature._by_runner
    monkeypatch.setattr(Signature, "_by_runner", lambda self, array: public.append(1) or real(self, array))
    graph = litert(tflite_file())
    met = [graph.run(samples(1, seed=turn))[0] for turn in range(5)]
    assert len(public) == 2
    for turn, latent in enumerate(met):
        np.testing.assert_allclose(latent, TRUTH.encode(samples(1, seed=turn)), rtol=1e-5)


# --- asyncio ---


def test_many_awaited_at_once_get_what_one_gets(model: Autoencoder) -> None:
    batches = [samples(1 + i % 5, seed=i) for i in range(60)]

    async def run() -> list[Array]:
        latents = await asyncio.gather(*map(model.encode_async, batches))
        return await asyncio.gather(*map(model.decode_async, latents))

    expected = [model.decode(model.encode(batch)) for batch in batches]
    assert all(map(np.array_equal, asyncio.run(run()), expected))


def test_an_awaited_result_may_go_to_the_callers_array(model: Autoencoder) -> None:
    out = np.zeros((3, 2), np.float32)
    assert asyncio.run(model.encode_async(samples(3), out=out)) is out
    np.testing.assert_array_equal(out, model.encode(samples(3)))


def test_an_awaited_refusal_is_the_same(model: Autoencoder) -> None:
    with pytest.raises(InputError, match="has shape"):
        asyncio.run(model.encode_async(np.zeros((2, 7), np.float32)))


class Gate:
    """Holds the model's only thread inside ``encode`` until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, model: Autoencoder) -> None:
        self.inside, self.open, self.calls = threading.Event(), threading.Event(), 0
        monkeypatch.setattr("os.cpu_count", lambda: 1)
        runner = model._load("encoder")

        def run(array: Array) -> tuple[Array, ...]:
            self.calls += 1
            self.inside.set()
            assert self.open.wait(20)
            return runner.run(array)

        model._loaded["encoder"] = type(runner)(run, runner.run_into)


def test_the_loop_goes_on_while_the_engine_runs(monkeypatch: pytest.MonkeyPatch, model: Autoencoder) -> None:
    gate = Gate(monkeypatch, model)

    async def run() -> Array:
        waiting = asyncio.create_task(model.encode_async(samples(2)))
        while not gate.inside.is_set():
            await asyncio.sleep(0)
        gate.open.set()  # only this loop can do that
        return await waiting

    assert asyncio.run(run()).shape == (2, 2)


def test_a_call_that_is_cancelled_while_it_waits_never_runs(
    monkeypatch: pytest.MonkeyPatch, model: Autoencoder
) -> None:
    gate = Gate(monkeypatch, model)

    async def run() -> Array:
        first = asyncio.create_task(model.encode_async(samples(2)))
        second = asyncio.create_task(model.encode_async(samples(3)))
        while not gate.inside.is_set():
            await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        gate.open.set()
        return await first

    assert asyncio.run(run()).shape == (2, 2)
    assert gate.calls == 1


def test_closing_while_calls_run_and_wait(monkeypatch: pytest.MonkeyPatch, bundle_path: Paths) -> None:
    """What waits is told that the model is closed: not cancelled, which asyncio takes for somebody's wish."""
    model = Autoencoder.open(bundle_path("onnx"))
    gate = Gate(monkeypatch, model)

    async def run() -> list[Array | BaseException]:
        tasks = [asyncio.create_task(model.encode_async(samples(2))) for _ in range(3)]
        while not gate.inside.is_set():
            await asyncio.sleep(0)
        model.close()
        gate.open.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    running, *waiting = asyncio.run(run())
    assert isinstance(running, BackendError | np.ndarray)
    assert [type(outcome) for outcome in waiting] == [UsageError, UsageError]
    with pytest.raises(UsageError, match="closed"):
        asyncio.run(model.encode_async(samples(1)))


def test_backends_that_only_return_are_copied_from() -> None:
    out = np.zeros((4, 2), np.float32)
    make_runner(Recorder(), artifact_of("encoder", "onnx", "x", None)).run_into(samples(4), out)
    np.testing.assert_allclose(out, TRUTH.encode(samples(4)), rtol=1e-5)
