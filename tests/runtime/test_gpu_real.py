"""On a machine with a GPU: parity, tensors that stay there, captured graphs. Elsewhere skipped, with the reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.runtime.tiny import Affine, artifact_of, onnx_graph, samples

from aetool_runtime import Autoencoder, open_bundle, self_test
from aetool_runtime.backends.onnxruntime import OnnxRuntimeBackend
from aetool_runtime.errors import DeviceError, InputError

Paths = Callable[[str], Path]
TRUTH = Affine()
pytestmark = pytest.mark.gpu


@pytest.fixture(params=["cuda", "tensorrt"])
def device(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    try:
        OnnxRuntimeBackend().check_device(name)
    except DeviceError as reason:
        pytest.skip(reason.what)
    return name


@pytest.fixture
def torch(device: str) -> Any:
    module = pytest.importorskip("torch", reason="PyTorch is not installed")
    if not module.cuda.is_available():
        pytest.skip("this PyTorch sees no GPU")
    return module


@pytest.fixture
def model(device: str, bundle_path: Paths) -> Autoencoder:
    return Autoencoder.open(bundle_path("onnx"), backend="onnxruntime", device=device)


def same(met: Any, expected: np.ndarray) -> None:
    np.testing.assert_allclose(met, expected, rtol=1e-5, atol=2e-6)


def test_every_artifact_is_at_parity(device: str, bundle_path: Paths) -> None:
    checks = [check for check in self_test(open_bundle(bundle_path("onnx"))) if check.device == device]
    assert [check.artifact.role for check in checks] == ["encoder", "decoder", "autoencoder"]
    assert all(check.passed for check in checks), [str(check.error) for check in checks]


@pytest.mark.parametrize("count", [0, 1, 7, 64, 5000])
def test_arrays_of_the_host(model: Autoencoder, count: int) -> None:
    for seed in range(4):
        given = samples(count, seed=seed)
        same(model.encode(given), TRUTH.encode(given))
        same(model.reconstruct(given), TRUTH.decode(TRUTH.encode(given)))


@pytest.mark.parametrize("count", [1, 7, 5000])
def test_pytorchs_tensors_there_and_back(model: Autoencoder, torch: Any, count: int) -> None:
    kept = []
    for seed in range(4):
        given = torch.from_numpy(samples(count, seed=seed)).cuda()
        latent = torch.from_dlpack(model.encode(given))
        assert latent.device == given.device
        kept.append((latent, TRUTH.encode(samples(count, seed=seed))))
        same(torch.from_dlpack(model.decode(latent)).cpu().numpy(), TRUTH.decode(kept[-1][1]))
    for latent, expected in kept:
        same(latent.cpu().numpy(), expected)


def test_what_is_queued_on_a_stream_of_the_callers_is_waited_for(model: Autoencoder, torch: Any) -> None:
    """The samples are made by slow work on a stream that no other waits for."""
    expected = samples(64)
    source, slow = torch.from_numpy(expected).cuda(), torch.randn(4096, 4096, device="cuda")
    torch.cuda.synchronize()
    for _ in range(5):
        with torch.cuda.stream(torch.cuda.Stream()):
            given = torch.zeros_like(source)
            work = slow
            for _ in range(20):
                work = work @ slow * 1e-4
            given += source + 0 * work[0, 0].nan_to_num(0, 0, 0)
            latent = torch.from_dlpack(model.encode(given))
            same(latent.cpu().numpy(), TRUTH.encode(expected))


def test_results_go_into_a_tensor_of_pytorchs(model: Autoencoder, torch: Any) -> None:
    out = torch.zeros(7, 2, device="cuda")
    for seed in range(3):
        given = torch.from_numpy(samples(7, seed=seed)).cuda()
        assert model.encode(given, out=out) is out
        same(out.cpu().numpy(), TRUTH.encode(samples(7, seed=seed)))


def test_results_outlive_the_model(device: str, torch: Any, bundle_path: Paths) -> None:
    model = Autoencoder.open(bundle_path("onnx"), backend="onnxruntime", device=device)
    latent = torch.from_dlpack(model.encode(torch.from_numpy(samples(100)).cuda()))
    model.close()
    del model
    torch.randn(1000, 1000, device="cuda")
    same(latent.cpu().numpy(), TRUTH.encode(samples(100)))


def test_tensors_that_do_not_fit(model: Autoencoder, torch: Any) -> None:
    given = torch.from_numpy(samples(4)).cuda()
    for wrong in (given.double(), given[:, :5], given.t(), given.clone().requires_grad_()):
        with pytest.raises(InputError):
            model.encode(wrong)
    with pytest.raises(InputError, match="lies on cpu"):
        model.encode(given, out=torch.zeros(4, 2))


def test_cupys_arrays(model: Autoencoder, device: str) -> None:
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
    latent = cupy.from_dlpack(model.encode(cupy.asarray(samples(9))))
    same(cupy.asnumpy(latent), TRUTH.encode(samples(9)))


def test_captured_graphs(device: str, torch: Any, bundle_path: Paths) -> None:
    options: dict[str, Any] = {"backend": "onnxruntime", "device": device, "batch_size": 4, "cuda_graph": True}
    with Autoencoder.open(bundle_path("onnx"), **options) as model:
        for seed in range(5):
            given = samples(4, seed=seed)
            same(model.encode(given), TRUTH.encode(given))
            there = torch.from_dlpack(model.reconstruct(torch.from_numpy(given).cuda()))
            same(there.cpu().numpy(), TRUTH.decode(TRUTH.encode(given)))
        with pytest.raises(InputError, match="captured"):
            model.encode(samples(3))


def test_products_are_not_rounded_to_tf32(device: str) -> None:
    """With TF32 the error of such a sum is about a thousand times as large."""
    rng = np.random.default_rng(0)
    weights, given = rng.normal(size=(512, 2)).astype("f4"), rng.normal(size=(256, 512)).astype("f4")
    graph = onnx_graph("encoder")
    graph.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, "w0"))
    graph.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.zeros(2, "f4"), "b0"))
    graph.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 512
    artifact = artifact_of("encoder", "onnx", "x", None)
    loaded = OnnxRuntimeBackend().load(graph.SerializeToString(), artifact, device=device, threads=1)
    [met] = loaded.run(given)
    assert np.abs(met - given.astype("f8") @ weights).max() < 1e-4


def test_a_graph_that_would_be_split_with_the_cpu_is_refused(device: str) -> None:
    graph = onnx_graph("encoder")
    graph.graph.node[-1].output[0] = "before"
    graph.graph.node.append(helper.make_node("Det", ["square"], ["latent"]))  # neither provider has it
    graph.graph.node.insert(1, helper.make_node("Reshape", ["before", "shape"], ["square"]))
    graph.graph.initializer.append(helper.make_tensor("shape", TensorProto.INT64, [3], [-1, 1, 1]))
    del graph.graph.output[0].type.tensor_type.shape.dim[:]
    artifact = artifact_of("encoder", "onnx", "x", None)
    with pytest.raises(DeviceError, match="does not take the whole graph"):
        OnnxRuntimeBackend().load(graph.SerializeToString(), artifact, device=device, threads=1)
