"""Devices with a memory of their own: why one is not here, tensors that stay there, captured graphs. Without a GPU."""

from __future__ import annotations

import asyncio
import gc
import re
import sys
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from tests.runtime.fake_gpu import CUDA, Driver, Engine, Tensor, same, use_driver, use_gpu
from tests.runtime.test_reduced_precision import integer_bundle
from tests.runtime.tiny import OPENVINO, Affine, artifact_of, onnx_graph, samples, write_bundle

from aetool_runtime import Autoencoder, open_bundle, self_test
from aetool_runtime.backends import onnx_devices
from aetool_runtime.backends.onnx_devices import Device, check_device, devices_here, provider_options
from aetool_runtime.backends.onnx_gpu import CapturedGraph, GpuGraph
from aetool_runtime.backends.shared_libraries import missing_library, needed_by
from aetool_runtime.choosing.candidates import Wish, find_candidates
from aetool_runtime.device_tensors import DeviceTensor, place_name, place_of
from aetool_runtime.errors import AetoolError, BackendError, DeviceError, InputError, UsageError
from aetool_runtime.specs import Array, TensorSpec

Paths = Callable[[str], Path]
TRUTH = Affine()

# --- why a device is not here ---

NO_DRIVER = OSError("libcuda.so.1: cannot open shared object file: No such file or directory")
CPU_ONLY = Engine("CPUExecutionProvider")
BOTH = {"onnxruntime": "1.31.1", "onnxruntime-gpu": "1.30.0"}

# asked for, engine, driver, installed packages, the loader's message → what is told, the hint
REASONS: dict[str, tuple[str, Engine, Any, dict[str, str], str, str, str]] = {
    "the package for CPUs": (
        "cuda", CPU_ONLY, Driver(), {"onnxruntime": "1.31.1"}, "", "which is made for the CPU", r"aetool\[gpu\]"),
    "both packages": (
        "cuda", CPU_ONLY, Driver(), BOTH, "",
        "onnxruntime 1.31.1 and onnxruntime-gpu 1.30.0 are both installed and have overwritten each other",
        "pip uninstall -y onnxruntime onnxruntime-gpu"),
    "a damaged package": (
        "cuda", CPU_ONLY, Driver(), {"onnxruntime-gpu": "1.31.1"}, "", "made without CUDAExec.*, or is damaged", "pip"),
    "made without TensorRT": (
        "tensorrt", Engine(CUDA), Driver(), {"onnxruntime-gpu": "1"}, "", "without Tensorrt", "pip"),
    "no driver": ("cuda", Engine(), NO_DRIVER, {}, "", r"no NVIDIA driver \(libcuda\.so\.1: cannot open", "nvidia-smi"),
    "another driver than the kernel's": (
        "cuda", Engine(), Driver(init=803), {}, "", r"CUDA_ERROR_SYSTEM_DRIVER_MISMATCH \(803\)", "driver"),
    "no GPU": ("cuda", Engine(), Driver(init=100), {}, "", "the NVIDIA driver sees no GPU", "nvidia-smi"),
    "an empty list of GPUs": ("cuda", Engine(), Driver(gpus=0), {}, "", "the NVIDIA driver sees no GPU", "nvidia-smi"),
    "an old driver": (
        "cuda", Engine(), Driver(version=12040), {}, "", r"supports CUDA 12\.4, onnxruntime .* CUDA 13", "update"),
    "one GPU, asked for a second": ("cuda:1", Engine(), Driver(), {}, "", "sees 1 GPU\n", "choose cuda:0$"),
    "two GPUs, asked for a third": ("cuda:2", Engine(), Driver(gpus=2), {}, "", "sees 2 GPUs", "cuda:0 to cuda:1"),
    "a library is missing": (
        "cuda", Engine(), Driver(), {}, "libcurand.so.10: cannot open shared object file",
        r"providers_cuda\.so cannot be loaded: libcurand\.so\.10: cannot open", "brings CUDA and cuDNN"),
    "TensorRT is missing": (
        "tensorrt", Engine(), Driver(), {}, "libnvinfer.so.10: cannot open shared object file",
        r"cannot be loaded: libnvinfer\.so\.10", "pip install tensorrt"),
}  # fmt: skip


@pytest.mark.parametrize("case", REASONS.values(), ids=REASONS)
def test_a_device_that_is_not_here_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch, case: Any) -> None:
    asked, engine, driver, installed, missing, what, hint = case
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    use_driver(monkeypatch, driver)
    monkeypatch.setattr(onnx_devices, "_version", installed.get)
    monkeypatch.setattr(onnx_devices, "missing_library", lambda path: missing)
    with pytest.raises(DeviceError, match=what) as refusal:
        check_device(engine, asked)
    assert repr(asked) in refusal.value.what
    assert re.search(hint, refusal.value.hint)
    if ":" not in asked:
        assert asked not in devices_here(engine)
    assert "cpu" in devices_here(engine)


def test_hidden_gpus_are_named_as_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    use_driver(monkeypatch, Driver(init=100))
    with pytest.raises(DeviceError, match=r"sees no GPU \(CUDA_VISIBLE_DEVICES is '-1'\)"):
        check_device(Engine(), "cuda")


def test_tensorrt_is_refused_where_it_would_round_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = use_gpu(monkeypatch)
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
    assert devices_here(engine) == ("cuda", "cpu")
    with pytest.raises(DeviceError, match="rounds float32 to TF32") as refusal:
        check_device(engine, "tensorrt")
    assert "export NVIDIA_TF32_OVERRIDE=0" in refusal.value.hint
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    assert devices_here(engine) == ("cuda", "tensorrt", "cpu")


@pytest.mark.parametrize("name", ["tpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1:2", "cpu:0", "CUDA", "", "cuda:99999"])
def test_what_is_no_name_of_a_device_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with pytest.raises(DeviceError, match="no device") as refusal:
        check_device(use_gpu(monkeypatch), name)
    assert refusal.value.expected == "one of cuda, cpu"


def test_the_reason_reaches_whoever_opens_a_bundle(monkeypatch: pytest.MonkeyPatch, bundle_path: Paths) -> None:
    use_gpu(monkeypatch)
    use_driver(monkeypatch, NO_DRIVER)
    for backend in (None, "onnxruntime", "auto"):
        with pytest.raises(DeviceError, match="no NVIDIA driver"):
            Autoencoder.open(bundle_path("both"), backend=backend, device="cuda")


def test_what_onnx_runtime_prints_while_it_looks_for_libraries_is_not_seen(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "cuda" in devices_here(use_gpu(monkeypatch))
    assert capfd.readouterr() == ("", "")


# --- libraries ---


SHARED = Path(onnxruntime.__file__).parent / "capi" / "libonnxruntime_providers_shared.so"


@pytest.mark.skipif(sys.platform != "linux", reason="ELF files")
def test_the_library_that_is_missing_is_named(tmp_path: Path) -> None:
    assert "libc.so.6" in needed_by(SHARED)
    assert missing_library(SHARED) == ""
    other = tmp_path / "other.so"
    other.write_bytes(SHARED.read_bytes().replace(b"\0libc.so.6\0", b"\0lib~.so.6\0"))
    assert "lib~.so.6" in needed_by(other)
    assert missing_library(other).startswith("lib~.so.6: cannot open shared object file")


@pytest.mark.parametrize("cut", [0, 4, 63, 64, 100, 500, 4000])
def test_what_is_no_library_needs_none(tmp_path: Path, cut: int) -> None:
    file = tmp_path / "x.so"
    file.write_bytes(SHARED.read_bytes()[:cut])
    assert needed_by(file) == []
    assert needed_by(tmp_path / "none.so") == []


# --- what the engine is told ---


def test_cuda_computes_in_float32_and_never_elsewhere(monkeypatch: pytest.MonkeyPatch, bundle_path: Paths) -> None:
    engine = use_gpu(monkeypatch, driver=Driver(gpus=2))
    with Autoencoder.open(bundle_path("onnx"), backend="onnxruntime", device="cuda:1") as model:
        model.encode(samples(2))
    [session] = engine.sessions
    assert (session.provider, session.others) == (CUDA, {"enable_fallback": 0})
    assert session.entries["session.disable_cpu_ep_fallback"] == "1"
    assert session.told["device_id"] == "1"
    assert session.told["use_tf32"] == "0"
    assert session.told["enable_cuda_graph"] == "0"


@pytest.mark.parametrize("engine", [Engine(runs_on="CPUExecutionProvider"), Engine(runs_on=CUDA)], ids=["cpu", "cuda"])
def test_a_session_that_went_elsewhere_is_refused(
    monkeypatch: pytest.MonkeyPatch, bundle_path: Paths, engine: Engine
) -> None:
    use_gpu(monkeypatch, engine)
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    with Autoencoder.open(bundle_path("onnx"), device="tensorrt") as model, pytest.raises(DeviceError, match="instead"):
        model.encode(samples(1))


NOT_WHOLE = "... assigned to the default CPU EP, but fallback to CPU EP has been explicitly disabled by the user."


@pytest.mark.parametrize(
    ("runs_on", "text"),
    [(None, "cuda:0 does not take the whole graph"), ("CPUExecutionProvider", "its provider did not start")],
    ids=["an operation is left", "the provider did not start"],
)
def test_a_graph_that_would_run_on_the_cpu_is_refused_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, bundle_path: Paths, runs_on: str | None, text: str
) -> None:
    use_gpu(monkeypatch, Engine(error=NOT_WHOLE, runs_on=runs_on))
    model = Autoencoder.open(bundle_path("onnx"), device="cuda")
    with pytest.raises(DeviceError, match=text):
        model.encode(samples(1))


def test_a_provider_that_cannot_be_loaded_is_refused_with_the_loaders_words(
    monkeypatch: pytest.MonkeyPatch, bundle_path: Paths, tmp_path: Path
) -> None:
    engine = use_gpu(monkeypatch, Engine(error=NOT_WHOLE))
    monkeypatch.setattr(engine, "__file__", str(tmp_path / "__init__.py"), raising=False)
    (tmp_path / "capi").mkdir()
    for name in ("libonnxruntime_providers_cuda.so", "onnxruntime_providers_cuda.dll"):
        (tmp_path / "capi" / name).write_bytes(b"no library")
    model = Autoencoder.open(bundle_path("onnx"), device="cuda")
    with pytest.raises(DeviceError, match=r"cuda:0 cannot be used: .*providers_cuda"):
        model.encode(samples(1))


@pytest.mark.parametrize(
    ("precision", "float16", "integers"),
    [("float32", "False", "False"), ("float16", "True", "False"), ("int8", "False", "True")],
)
def test_tensorrts_engines_are_kept_for_this_graph_and_these_versions(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, precision: str, float16: str, integers: str
) -> None:
    engine = use_gpu(monkeypatch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def told(graph: bytes) -> dict[str, str]:
        device = Device("tensorrt", 0)
        return provider_options(device, precision=precision, graph=[graph], cuda_graph=False, engine=engine)

    met = told(b"one")
    folder = Path(met["trt_engine_cache_path"])
    assert folder.parent == tmp_path / "aetool" / "tensorrt"
    assert folder.is_dir()
    assert met["trt_engine_cache_enable"] == met["trt_timing_cache_enable"] == "True"
    assert (met["trt_fp16_enable"], met["trt_int8_enable"]) == (float16, integers)
    assert told(b"one") == met
    assert told(b"two")["trt_engine_cache_path"] != met["trt_engine_cache_path"]
    monkeypatch.setattr(engine, "__version__", "99", raising=False)
    assert told(b"one")["trt_engine_cache_path"] != met["trt_engine_cache_path"]


def test_tensorrt_goes_without_a_cache_where_there_is_no_place_for_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    engine = use_gpu(monkeypatch)
    (tmp_path / "aetool").write_text("a file in its place")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    told = provider_options(Device("tensorrt"), precision="float32", graph=[b"x"], cuda_graph=True, engine=engine)
    assert "trt_engine_cache_enable" not in told
    assert told["trt_cuda_graph_enable"] == "True"


def test_auto_looks_at_gpus_too(monkeypatch: pytest.MonkeyPatch, bundle_path: Paths) -> None:
    use_gpu(monkeypatch, driver=Driver(gpus=2))
    bundle = open_bundle(bundle_path("both"))
    everywhere = {candidate.device for candidate in find_candidates(bundle, Wish())}
    assert everywhere == {"cuda", "cpu"}
    for device in ("cuda", "cuda:1"):
        only = find_candidates(bundle, Wish(device=device))
        assert [(c.backend, c.device, c.threads) for c in only] == [("onnxruntime", device, 1)]


def test_the_self_test_runs_there_too(monkeypatch: pytest.MonkeyPatch, bundle_path: Paths) -> None:
    use_gpu(monkeypatch)
    checks = [check for check in self_test(open_bundle(bundle_path("onnx"))) if check.device == "cuda"]
    assert [check.artifact.role for check in checks] == ["encoder", "decoder", "autoencoder"]
    assert all(check.passed for check in checks)


# --- tensors that stay there ---


@pytest.fixture
def driver() -> Driver:
    return Driver()


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, driver: Driver) -> Engine:
    return use_gpu(monkeypatch, driver=driver)


@pytest.fixture
def model(engine: Engine, bundle_path: Paths) -> Iterator[Autoencoder]:
    with Autoencoder.open(bundle_path("onnx"), backend="onnxruntime", device="cuda") as opened:
        yield opened


def address(array: Array) -> int:
    place: int = array.__array_interface__["data"][0]
    return place


@pytest.mark.parametrize("count", [1, 7, 5000])
def test_a_tensor_of_the_device_is_read_where_it_lies_and_its_result_stays_there(
    model: Autoencoder, engine: Engine, driver: Driver, count: int
) -> None:
    given = Tensor(samples(count))
    latent = model.encode(given)
    assert isinstance(latent, DeviceTensor)
    assert latent.__dlpack_device__() == (2, 0)
    same(latent, TRUTH.encode(given.array))
    same(model.decode(latent), TRUTH.decode(TRUTH.encode(given.array)))
    same(model.reconstruct(given), TRUTH.decode(TRUTH.encode(given.array)))
    assert engine.sessions[0].bound == [address(given.array)]
    assert given.streams == [1, 1], "each time its library is told which stream will read it"
    assert driver.waited == [1] * 3, "and that stream is waited for"
    assert driver.contexts == 1


def test_results_are_not_written_over_by_later_calls(model: Autoencoder) -> None:
    given = [Tensor(samples(9, seed=seed)) for seed in range(5)]
    for latent, tensor in zip([model.encode(tensor) for tensor in given], given, strict=True):
        same(latent, TRUTH.encode(tensor.array))


def test_what_was_given_is_not_kept_alive(model: Autoencoder) -> None:
    given, out = samples(50), np.zeros((50, 2), np.float32)
    alive = [weakref.ref(given), weakref.ref(out)]
    model.encode(Tensor(given), out=Tensor(out))
    model.encode(Tensor(given))
    del given, out
    gc.collect()
    assert [one() for one in alive] == [None, None]


def test_results_go_into_a_tensor_of_the_caller(model: Autoencoder) -> None:
    out = Tensor(np.zeros((7, 2), np.float32))
    for seed in range(3):
        given = Tensor(samples(7, seed=seed))
        assert model.encode(given, out=out) is out
        np.testing.assert_allclose(out.array, TRUTH.encode(given.array), rtol=1e-5, atol=2e-6)


def test_arrays_of_the_host_come_back_to_the_host(model: Autoencoder) -> None:
    for given in (samples(3), samples(3).astype("f8"), samples(3).tolist(), samples(3)):
        latent = model.encode(given)
        assert type(latent) is np.ndarray
        np.testing.assert_allclose(latent, TRUTH.encode(np.array(given)), rtol=1e-5, atol=2e-6)
    for turn in range(4):  # the third time buffers would be bound on a CPU
        np.testing.assert_allclose(
            model.encode(samples(3, seed=turn)), TRUTH.encode(samples(3, seed=turn)), rtol=1e-5, atol=2e-6
        )
    out = np.zeros((3, 2), np.float32)
    assert model.encode(samples(3), out=out) is out
    np.testing.assert_allclose(out, TRUTH.encode(samples(3)), rtol=1e-5, atol=2e-6)


def test_an_empty_batch_is_one_there_too(model: Autoencoder) -> None:
    assert model.encode(Tensor(samples(0))).shape == (0, 2)


def overlapping() -> tuple[Tensor, Tensor]:
    memory = np.zeros(40, np.float32)
    return Tensor(memory[:36].reshape(6, 6)), Tensor(memory[28:].reshape(6, 2))


REFUSED: dict[str, tuple[Any, Any, str]] = {
    "on another GPU": (Tensor(samples(3), (2, 1)), None, "input lies on cuda:1; expected cuda:0"),
    "on a GPU of another make": (Tensor(samples(3), (10, 0)), None, "input lies on rocm:0"),
    "another type": (Tensor(samples(3).astype("f8")), None, r"input is tensor\(double\)\[3, 6\] on cuda:0"),
    "another shape": (Tensor(samples(3, width=5)), None, r"\[3, 5\] on cuda:0; expected float32\[batch, 6\]"),
    "another rank": (Tensor(samples(3)[0]), None, r"float32\[6\] on cuda:0"),
    "with gaps": (Tensor(samples(3, width=12)[:, ::2]), None, "ORT only supports contiguous"),
    "with a gradient": (Tensor(samples(3), error=BufferError("requires gradient")), None, "requires gradient"),
    "out in host memory": (Tensor(samples(3)), np.zeros((3, 2), np.float32), "out lies on cpu; expected cuda:0"),
    "out is no tensor": (Tensor(samples(3)), [0.0], "out is list"),
    "out is shorter": (Tensor(samples(3)), Tensor(np.zeros((2, 2), np.float32)), "out has 2 samples"),
    "out is of another type": (Tensor(samples(3)), Tensor(np.zeros((3, 2))), "out is tensor"),
    "out overlaps the input": (*overlapping(), "shares memory"),
    "out there, input here": (samples(3), Tensor(np.zeros((3, 2), np.float32)), "out is Tensor"),
}


@pytest.mark.parametrize(("given", "out", "text"), REFUSED.values(), ids=REFUSED)
def test_a_tensor_that_does_not_fit_is_refused(model: Autoencoder, given: Any, out: Any, text: str) -> None:
    with pytest.raises(InputError, match=text):
        model.encode(given, out=out)
    same(model.encode(Tensor(samples(3))), TRUTH.encode(samples(3)))


ELSEWHERE = {
    "onnxruntime/cpu": ("onnx", "onnxruntime"),
    "litert/cpu": ("tflite", "litert"),
    **({"openvino/cpu": ("onnx", "openvino")} if OPENVINO else {}),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_engines_without_a_gpu_refuse_its_tensors_by_name(bundle_path: Paths, name: str) -> None:
    kind, backend = ELSEWHERE[name]
    with Autoencoder.open(bundle_path(kind), backend=backend) as model:
        for out in (None, np.zeros((2, 2), np.float32)):
            with pytest.raises(InputError, match=f"input lies on cuda:0, and the graph runs on {name}"):
                model.encode(Tensor(samples(2)), out=out)


def test_integers_that_stand_for_real_values_are_converted_on_the_host_only(engine: Engine, tmp_path: Path) -> None:
    with Autoencoder.open(write_bundle(tmp_path / "b", integer_bundle()), device="cuda") as model:
        assert model.encode(samples(2)).shape == (2, 2)
        with pytest.raises(InputError, match="takes integers that stand for real values"):
            model.encode(Tensor(samples(2)))


def test_awaited_calls_take_no_tensors_of_a_gpu(model: Autoencoder) -> None:
    with pytest.raises(InputError, match="a tensor of a GPU"):
        asyncio.run(model.encode_async(Tensor(samples(2))))


def test_threads_get_their_own_results(model: Autoencoder) -> None:
    given = [Tensor(samples(1 + seed % 9, seed=seed)) for seed in range(200)]
    with ThreadPoolExecutor(8) as pool:
        for latent, tensor in zip(pool.map(model.encode, given), given, strict=True):
            same(latent, TRUTH.encode(tensor.array))


def test_what_the_driver_reports_while_waiting_is_told(
    monkeypatch: pytest.MonkeyPatch, model: Autoencoder, driver: Driver
) -> None:
    monkeypatch.setattr(driver, "cuStreamSynchronize", lambda stream: 700)
    with pytest.raises(InputError, match=r"CUDA_ERROR_ILLEGAL_ADDRESS \(700\)"):
        model.encode(Tensor(samples(2)))


def test_a_closed_model_takes_no_tensors(engine: Engine, bundle_path: Paths) -> None:
    model = Autoencoder.open(bundle_path("onnx"), backend="onnxruntime", device="cuda")
    kept = model.encode(Tensor(samples(3)))
    [graph] = model._graphs
    model.close()
    with pytest.raises(UsageError, match="closed"):
        model.encode(Tensor(samples(3)))
    with pytest.raises(BackendError, match="closed"):
        graph.run_on_device(Tensor(samples(3)))  # type: ignore[attr-defined]
    same(kept, TRUTH.encode(samples(3)))


def test_a_result_is_handed_on_where_it_lies(model: Autoencoder) -> None:
    latent = model.encode(Tensor(samples(3)))
    for asked in ({"copy": True}, {"dl_device": (1, 0)}):
        with pytest.raises(BufferError):
            latent.__dlpack__(**asked)
    assert latent.__dlpack__(stream=7, max_version=(1, 0), dl_device=(2, 0), copy=False) is not None
    assert (len(latent), repr(latent)) == (3, "<DeviceTensor float32[3, 2] on cuda:0>")


def test_where_an_object_lies() -> None:
    assert place_of(Tensor(samples(1), (2, 3))) == (2, 3)
    for at_home in (samples(1), [1.0], None, Tensor(samples(1), (1, 0)), Tensor(samples(1), (3, 0))):
        assert place_of(at_home) is None
    assert [place_name(place) for place in ((1, 0), (2, 1), (99, 0))] == ["cpu", "cuda:1", "device type 99:0"]


# --- the same way, with the tensors of other libraries, on the CPU ---


def on_the_cpu(captured: int = 0) -> Any:
    session = onnxruntime.InferenceSession(
        onnx_graph("encoder").SerializeToString(), providers=["CPUExecutionProvider"]
    )
    artifact = artifact_of("encoder", "onnx", "x", None)
    if captured:
        return CapturedGraph(session, artifact, Device(), onnxruntime, captured)
    return GpuGraph(session, artifact, Device(), onnxruntime)


@pytest.mark.parametrize("captured", [0, 5])
def test_numpys_own_tensors_go_the_same_way(captured: int) -> None:
    graph, out = on_the_cpu(captured), np.zeros((5, 2), np.float32)
    for seed in range(3):
        given = samples(5, seed=seed)
        [latent] = graph.run_on_device(given)
        np.testing.assert_allclose(np.from_dlpack(latent), TRUTH.encode(given), rtol=1e-5, atol=2e-6)
        graph.run_on_device(given, out)
        np.testing.assert_allclose(out, TRUTH.encode(given), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("captured", [0, 5])
def test_pytorchs_tensors_go_the_same_way(captured: int) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    graph = on_the_cpu(captured)
    given = torch.from_numpy(samples(5))
    [latent] = graph.run_on_device(given)
    met = torch.from_dlpack(latent)
    assert met.data_ptr() == latent._value.data_ptr()
    del latent
    np.testing.assert_allclose(met.numpy(), TRUTH.encode(samples(5)), rtol=1e-5, atol=2e-6)
    out = torch.empty(5, 2)
    graph.run_on_device(given, out)
    assert torch.equal(out, met)
    with pytest.raises(InputError, match="gradient"):
        graph.run_on_device(given.requires_grad_())


# --- captured graphs ---


@pytest.fixture
def captured(engine: Engine, bundle_path: Paths) -> Iterator[Autoencoder]:
    with Autoencoder.open(
        bundle_path("onnx"), backend="onnxruntime", device="cuda", batch_size=4, cuda_graph=True
    ) as opened:
        yield opened


def test_a_captured_graph_computes_the_same(captured: Autoencoder, engine: Engine) -> None:
    kept = []
    for seed in range(4):
        given = samples(4, seed=seed)
        kept.append((captured.encode(given), captured.encode(Tensor(given)), TRUTH.encode(given)))
    for host, device, expected in kept:
        assert type(host) is np.ndarray
        np.testing.assert_allclose(host, expected, rtol=1e-5, atol=2e-6)
        same(device, expected)
    out = Tensor(np.zeros((4, 2), np.float32))
    assert captured.encode(Tensor(samples(4)), out=out) is out
    np.testing.assert_allclose(out.array, TRUTH.encode(samples(4)), rtol=1e-5, atol=2e-6)
    assert engine.sessions[0].told["enable_cuda_graph"] == "1"
    assert len(engine.sessions[0].bound) == 1, "inputs are bound once"


@pytest.mark.parametrize("count", [1, 3, 5])
def test_a_captured_graph_refuses_other_batches(captured: Autoencoder, count: int) -> None:
    for given in (samples(count), Tensor(samples(count))):
        with pytest.raises(InputError, match=r"expected 4, for which the CUDA graph was captured"):
            captured.encode(given)
    assert captured.encode(samples(0)).shape == (0, 2)


def test_threads_take_turns_on_a_captured_graph(captured: Autoencoder) -> None:
    given = [samples(4, seed=seed) for seed in range(100)]
    with ThreadPoolExecutor(8) as pool:
        for latent, array in zip(pool.map(captured.encode, given), given, strict=True):
            np.testing.assert_allclose(latent, TRUTH.encode(array), rtol=1e-5, atol=2e-6)


def test_a_graph_with_free_dimensions_is_not_captured() -> None:
    artifact = artifact_of("encoder", "onnx", "x", None)
    free = replace(artifact, inputs=(TensorSpec("input", "float32", (None, None)),))
    with pytest.raises(BackendError, match="free dimensions"):
        CapturedGraph(None, free, Device(), onnxruntime, 2)


def test_a_closed_captured_graph_says_so(captured: Autoencoder) -> None:
    captured.encode(samples(4))
    [graph] = captured._graphs
    captured.close()
    with pytest.raises(BackendError, match="closed"):
        graph.run(samples(4))


NOT_CAPTURED: dict[str, tuple[dict[str, Any], type[AetoolError]]] = {
    "the CPU": ({"backend": "onnxruntime"}, DeviceError),
    "another engine": ({"backend": "litert"}, BackendError),
    "auto": ({"backend": "auto"}, UsageError),
    "no batch": ({"backend": "onnxruntime", "batch_size": 0}, UsageError),
}


@pytest.mark.parametrize(("options", "kind"), NOT_CAPTURED.values(), ids=NOT_CAPTURED)
def test_what_cannot_be_captured_is_refused(
    bundle_path: Paths, options: dict[str, Any], kind: type[AetoolError]
) -> None:
    with pytest.raises(kind):
        Autoencoder.open(bundle_path("both"), cuda_graph=True, **options).encode(samples(1))
