"""The plug-in point and the engines behind it: found by name, refused by name, and nothing foreign leaves."""

from __future__ import annotations

import importlib.metadata
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tests.runtime.tiny import OPENVINO, Affine, artifact_of, bundle_of, onnx_graph, samples, tflite_file, write_bundle
from tests.vectors.bundles import with_manifest

from aetool_runtime import Autoencoder, backends, open_bundle, self_test
from aetool_runtime.backends import Backend, available_backends, backend_names, load_backend, load_plugin
from aetool_runtime.backends.litert import LiteRtBackend, LiteRtGraph
from aetool_runtime.backends.onnx_binding import OnnxRuntimeGraph
from aetool_runtime.backends.onnxruntime import OnnxRuntimeBackend
from aetool_runtime.backends.openvino import OpenVinoBackend, OpenVinoGraph
from aetool_runtime.backends.pool import Pool
from aetool_runtime.errors import BackendError, DependencyError, DeviceError, InputError
from aetool_runtime.selftest import Case
from aetool_runtime.specs import Artifact, TensorSpec

Paths = Callable[[str], Path]

BACKENDS: dict[str, tuple[Callable[[], Backend], bytes, Artifact]] = {
    "onnxruntime": (
        OnnxRuntimeBackend,
        onnx_graph("encoder").SerializeToString(),
        artifact_of("encoder", "onnx", "encoder.onnx", None),
    ),
    "litert": (LiteRtBackend, tflite_file(), artifact_of("encoder", "tflite", "model.tflite", 1)),
    **(
        {
            "openvino": (
                OpenVinoBackend,
                onnx_graph("encoder").SerializeToString(),
                artifact_of("encoder", "onnx", "encoder.onnx", None),
            )
        }
        if OPENVINO
        else {}
    ),
}
ONNX_ENGINES = ["onnxruntime", "openvino"] if OPENVINO else ["onnxruntime"]
EVERY_BACKEND = pytest.mark.parametrize(("make", "data", "artifact"), BACKENDS.values(), ids=BACKENDS)

# --- plug-ins ---


def register(monkeypatch: pytest.MonkeyPatch, *claims: tuple[str, str]) -> None:
    entries = [importlib.metadata.EntryPoint(name, value, "aetool.backends") for name, value in claims]
    monkeypatch.setattr(backends, "entry_points", lambda group: entries)


def test_every_backend_is_registered_and_the_installed_ones_are_here() -> None:
    assert backend_names() == ["litert", "onnxruntime", "openvino"]
    assert [backend.name for backend in available_backends("onnx")] == ONNX_ENGINES
    assert [backend.name for backend in available_backends("tflite")] == ["litert"]
    assert available_backends("coreml") == []


@pytest.mark.usefixtures("forget_plugins")
def test_two_packages_that_claim_a_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, ("fast", "one.module:Backend"), ("fast", "other.module:Backend"))
    with pytest.raises(BackendError, match=r"claimed twice.*one\.module:Backend and other\.module:Backend"):
        load_backend("fast")


@pytest.mark.usefixtures("forget_plugins")
def test_one_package_seen_twice_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = ("onnxruntime", "aetool_runtime.backends.onnxruntime:OnnxRuntimeBackend")
    register(monkeypatch, twice, twice)
    assert load_backend("onnxruntime").name == "onnxruntime"


@pytest.mark.usefixtures("forget_plugins")
@pytest.mark.parametrize("value", ["no_such_module_here:Backend", "aetool_runtime.specs:NoSuchThing"])
def test_a_plugin_that_cannot_be_imported_is_named_and_spares_the_others(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    register(monkeypatch, ("broken", value), ("onnxruntime", "aetool_runtime.backends.onnxruntime:OnnxRuntimeBackend"))
    with pytest.raises(BackendError, match="'broken' cannot be loaded"):
        load_plugin("aetool.backends", "broken")
    assert [backend.name for backend in available_backends("onnx")] == ["onnxruntime"]


def test_naming_the_backends_loads_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata.EntryPoint, "load", lambda _: pytest.fail("was loaded"))
    assert "onnxruntime" in backend_names()


# --- engines that are missing ---

MISSING = {
    "onnxruntime is not installed": (OnnxRuntimeBackend, {"onnxruntime": None}, "pip install 'aetool[cpu]'"),
    "OpenVINO is not installed": (OpenVinoBackend, {"openvino": None}, "pip install 'aetool[openvino]'"),
    "LiteRT is not installed": (LiteRtBackend, {"ai_edge_litert.interpreter": None}, "pip install 'aetool[litert]'"),
    "onnxruntime was emptied by another one's removal": (
        OnnxRuntimeBackend,
        {"onnxruntime": types.ModuleType("onnxruntime")},
        "pip uninstall onnxruntime onnxruntime-gpu",
    ),
}


@pytest.mark.parametrize(("make", "modules", "command"), MISSING.values(), ids=MISSING)
def test_a_missing_engine_is_named_with_the_command_that_brings_it(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[], Backend], modules: dict[str, Any], command: str
) -> None:
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    with pytest.raises(DependencyError) as refusal:
        make()
    assert command in refusal.value.hint
    assert refusal.value.exit_code == 8


def test_without_any_engine_opening_says_what_to_install(monkeypatch: pytest.MonkeyPatch, bundle_path: Paths) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(BackendError, match=r"aetool\[cpu\].*aetool\[litert\]"):
        Autoencoder.open(bundle_path("both"))


def test_without_the_first_engine_the_next_one_serves(monkeypatch: pytest.MonkeyPatch, bundle_path: Paths) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert Autoencoder.open(bundle_path("both")).backend == "litert"


# --- devices ---


@EVERY_BACKEND
def test_a_device_that_is_not_here_is_refused_by_the_backend_too(
    make: Callable[[], Backend], data: bytes, artifact: Artifact
) -> None:
    backend = make()
    assert "cpu" in backend.devices()
    with pytest.raises(DeviceError, match="'tpu'"):
        backend.load(data, artifact, device="tpu", threads=1)


# --- nothing foreign leaves ---


def garbled(data: bytes) -> dict[str, bytes]:
    return {
        "nothing": b"",
        "noise": np.random.default_rng(1).bytes(400),
        "half of it": data[: len(data) // 2],
        "text": b"this is no graph" * 20,
        "another format": tflite_file() if data[4:8] != b"TFL3" else onnx_graph("encoder").SerializeToString(),
    }


GARBLED = {
    f"{name}: {how}": (make, broken, artifact)
    for name, (make, data, artifact) in BACKENDS.items()
    for how, broken in garbled(data).items()
    if (name, how) != ("litert", "half of it")  # its flatbuffer is not verified: the bundle's digest stands in for it
}


@pytest.mark.parametrize(("make", "data", "artifact"), GARBLED.values(), ids=GARBLED)
def test_a_graph_that_is_none_is_refused(make: Callable[[], Backend], data: bytes, artifact: Artifact) -> None:
    with pytest.raises(BackendError):
        make().load(data, artifact, device="cpu", threads=1)


@EVERY_BACKEND
def test_a_manifest_that_names_other_tensors_than_the_graph_ends_in_our_error(
    make: Callable[[], Backend], data: bytes, artifact: Artifact
) -> None:
    for change in ("inputs", "outputs"):
        lying = Artifact(**{**vars(artifact), change: (TensorSpec("other", "float32", (None, 6)),)})
        with pytest.raises(BackendError):
            make().load(data, lying, device="cpu", threads=1).run(samples(1))


LIES: dict[str, TensorSpec] = {
    "a batch beyond all memory": TensorSpec("input", "float32", (2**40, 6)),
    "a larger batch": TensorSpec("input", "float32", (2, 6)),
    "another size": TensorSpec("input", "float32", (1, 7)),
    "another rank": TensorSpec("input", "float32", (1, 6, 1)),
    "another type": TensorSpec("input", "int8", (1, 6)),
    "another name": TensorSpec("x", "float32", (1, 6)),
}


@pytest.mark.parametrize("spec", LIES.values(), ids=LIES)
def test_an_input_that_the_graph_does_not_have_is_refused_before_anything_is_allocated(spec: TensorSpec) -> None:
    _, data, artifact = BACKENDS["litert"]
    lying = Artifact(**{**vars(artifact), "inputs": (spec,)})
    with pytest.raises(BackendError, match=r"the graph takes input float32\[1, 6\]; expected .*, as the manifest says"):
        LiteRtBackend().load(data, lying, device="cpu", threads=1)


def test_a_bundle_that_declares_a_huge_batch_fails_its_self_test(tmp_path: Path) -> None:
    def edit(document: dict[str, Any]) -> None:
        for artifact in document["artifacts"]:
            artifact["inputs"][0]["shape"][0] = 2**40

    artifact = artifact_of("encoder", "tflite", "model.tflite", 1)
    path = write_bundle(tmp_path / "b", with_manifest(bundle_of([artifact], {"model.tflite": tflite_file()}), edit))
    [check] = self_test(open_bundle(path))
    assert type(check.error) is BackendError
    with pytest.raises(BackendError):
        Autoencoder.open(path).encode(samples(1))


@EVERY_BACKEND
def test_arrays_that_do_not_fit_the_graph_end_in_our_error(
    make: Callable[[], Backend], data: bytes, artifact: Artifact
) -> None:
    graph = make().load(data, artifact, device="cpu", threads=1)
    with pytest.raises(BackendError):
        graph.run(np.zeros((1, 6), np.int64))


FOREIGN = [
    RuntimeError("engine is on fire"),
    ValueError("bad value\nsecond line"),
    KeyError("latent"),
    TypeError("no"),
    OSError(28, "no space"),
    MemoryError(),
    AssertionError(),
]


def raising(error: Exception) -> Callable[..., Any]:
    def call(*_: object, **__: object) -> Any:
        raise error

    return call


@pytest.mark.parametrize("error", FOREIGN, ids=lambda error: type(error).__name__)
def test_whatever_an_engine_raises_becomes_a_backend_error(error: Exception) -> None:
    _, data, artifact = BACKENDS["onnxruntime"]
    failing = types.SimpleNamespace(run=raising(error), reset_all_variables=lambda: None)
    engine = types.SimpleNamespace(
        __version__="0",
        InferenceSession=raising(error),
        SessionOptions=lambda: types.SimpleNamespace(add_session_config_entry=lambda *_: None),
        get_available_providers=list,
    )
    onnxruntime, litert = OnnxRuntimeBackend(), LiteRtBackend()
    onnxruntime._engine, litert._interpreter = engine, raising(error)
    calls: list[Callable[[], Any]] = [
        lambda: onnxruntime.load(data, artifact, device="cpu", threads=1),
        lambda: litert.load(data, artifact, device="cpu", threads=1),
        lambda: OnnxRuntimeGraph(failing, artifact).run(samples(1)),
        lambda: OpenVinoGraph(Pool(failing, raising(error), 1), artifact).run(samples(1)),
        lambda: LiteRtGraph(Pool(failing, raising(error), 1), None, BACKENDS["litert"][2]).run(samples(1)),
    ]
    for call in calls:
        with pytest.raises(BackendError) as refusal:
            call()
        assert refusal.value.__cause__ is error
        assert "encoder" in refusal.value.where


def test_onnxruntimes_own_exceptions_become_ours(tmp_path: Path) -> None:
    """An operation that no version knows, and one that fails while it runs."""
    unknown = onnx_graph("encoder")
    unknown.graph.node[0].op_type = "Gemmm"
    failing = onnx_graph("encoder")
    failing.graph.initializer.append(helper.make_tensor("shape", TensorProto.INT64, [2], [5, 1]))
    failing.graph.node.append(helper.make_node("Reshape", ["input", "shape"], ["elsewhere"]))
    failing.graph.output.append(helper.make_tensor_value_info("elsewhere", TensorProto.FLOAT, None))
    artifact = BACKENDS["onnxruntime"][2]
    backend = OnnxRuntimeBackend()
    with pytest.raises(BackendError, match="cannot load the graph"):
        backend.load(unknown.SerializeToString(), artifact, device="cpu", threads=1)
    both = Artifact(**{**vars(artifact), "outputs": (*artifact.outputs, TensorSpec("elsewhere", "float32", (5, 1)))})
    graph = backend.load(failing.SerializeToString(), both, device="cpu", threads=1)
    with pytest.raises(BackendError, match="failed"):
        graph.run(samples(2))


def test_onnxruntimes_own_format_is_no_onnx(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file could be made to read as a harmless protobuf message and as that format; only one may count."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(tmp_path / "m.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(BACKENDS["onnxruntime"][1], options, providers=["CPUExecutionProvider"])
    data = (tmp_path / "m.ort").read_bytes()
    assert data[4:8] == b"ORTM"
    monkeypatch.setattr("aetool_runtime.backends.onnxruntime.refuse_external_data", lambda *_: None)
    with pytest.raises(BackendError, match="cannot load the graph"):
        OnnxRuntimeBackend().load(data, BACKENDS["onnxruntime"][2], device="cpu", threads=1)


# --- integers ---


def token_bundle(folder: Path) -> Path:
    """An encoder whose input is int8."""
    model = onnx_graph("encoder")
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT8
    model.graph.node[0].input[0] = "real"
    model.graph.node.insert(0, helper.make_node("Cast", ["input"], ["real"], to=TensorProto.FLOAT))
    onnx.checker.check_model(model, full_check=True)
    artifact = artifact_of("encoder", "onnx", "encoder.onnx", None)
    given = TensorSpec("input", "int8", (None, 6))
    artifact = Artifact(**{**vars(artifact), "inputs": (given,)})
    tokens = np.arange(-6, 6).reshape(2, 6).astype("i1")
    case = Case("held-out", {"input": tokens, "latent": Affine().encode(tokens)})
    return write_bundle(folder / "t.aepkg", bundle_of([artifact], {"encoder.onnx": model.SerializeToString()}, [case]))


def test_integers_that_the_graph_cannot_hold_are_refused_instead_of_wrapped(tmp_path: Path) -> None:
    with Autoencoder.open(token_bundle(tmp_path)) as model:
        edge = np.array([[-128, 127, 0, 1, 2, 3]])
        np.testing.assert_allclose(model.encode(edge), Affine().encode(edge), rtol=1e-5)
        for outside in (-129, 128, 2**40):
            with pytest.raises(InputError, match="-128 to 127"):
                model.encode(np.where(edge == 127, outside, edge))
        with pytest.raises(InputError, match="dtype float64"):
            model.encode(edge + 0.5)


# --- the self-test finds an engine that fails ---


def test_an_engine_that_fails_fails_the_self_test_and_says_why(
    monkeypatch: pytest.MonkeyPatch, bundle_path: Paths
) -> None:
    monkeypatch.setattr(OnnxRuntimeGraph, "run", raising(BackendError("engine is on fire")))
    checks = self_test(open_bundle(bundle_path("both")))
    passed = {check.backend: check.passed for check in checks}
    assert passed == {"onnxruntime": False, "litert": True, **({"openvino": True} if OPENVINO else {})}
    assert {str(check.error) for check in checks if not check.passed} == {"engine is on fire"}
