"""Who takes part in ``gpu.py``: ours, ONNX Runtime by itself and PyTorch, each a call that ends with its result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch_models import TORCH_MODELS, float_weights

from aetool_runtime import Autoencoder

__all__ = ["OURS", "Case", "contending", "memory_of"]

OURS = "ours"
Call = Callable[[], Any]
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}


@dataclass(frozen=True)
class Case:
    """A model, a batch and a device.

    Args:
        name: of ``TORCH_MODELS``.
        bundle: its folder.
        device: as ``Autoencoder.open`` takes it.
    """

    name: str
    bundle: Path
    batch: int
    device: str

    @property
    def graph(self) -> Path:
        return self.bundle / "onnx" / "autoencoder.float32.onnx"


def memory_of(device: str) -> str:
    """Where tensors for a device lie, as PyTorch and ONNX Runtime call it."""
    return "cpu" if device == "cpu" else "cuda"


@contextmanager
def contending(case: Case) -> Iterator[dict[str, Call]]:
    """Name → call, each checked to return what ours returns."""
    shape = (case.batch, *_sample_shape(case))
    host = np.random.default_rng(0).random(shape, np.float32)
    tensor = torch.from_numpy(host).to(memory_of(case.device))
    with ExitStack() as stack:
        calls = {
            **_ours(case, host, tensor, stack),
            **_onnxruntime(case, host, tensor),
            **_pytorch(case, tensor),
        }
        expected = _array(calls[OURS]())
        for name, call in calls.items():
            met = _array(call())
            if not np.allclose(met, expected, rtol=1e-4, atol=1e-5):
                worst = np.abs(met - expected).max()
                raise SystemExit(f"{name} computes something else than ours: {case}, off by {worst:.2e}")
        yield calls


def _ours(case: Case, host: Any, tensor: Any, stack: ExitStack) -> dict[str, Call]:
    """Tensors of the device in and out; into a tensor of the caller's; arrays of the host; a captured graph."""
    options: dict[str, Any] = {"backend": "onnxruntime", "device": case.device}
    model = stack.enter_context(Autoencoder.open(case.bundle, **options))
    calls: dict[str, Call] = {OURS: lambda: model.reconstruct(tensor)}
    if case.device == "cpu":  # there, arrays are what both are
        out = np.empty_like(host)
        return {
            **calls,
            "ours, out=": lambda: model.reconstruct(host, out=out),
            "ours, host": lambda: model.reconstruct(host),
        }
    there = torch.empty_like(tensor)
    captured = stack.enter_context(Autoencoder.open(case.bundle, **options, batch_size=case.batch, cuda_graph=True))
    return {
        **calls,
        "ours, out=": lambda: model.reconstruct(tensor, out=there),
        "ours, CUDA graph": lambda: captured.reconstruct(tensor, out=there),
        "ours, host": lambda: model.reconstruct(host),
    }


def _onnxruntime(case: Case, host: Any, tensor: Any) -> dict[str, Call]:
    """``run`` on arrays of the host, and a binding to memory of the device that stays; TF32 off, as ours."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    told = {"use_tf32": "0"} if case.device == "cuda" else {}
    provider = (_PROVIDERS[case.device], told)
    session = onnxruntime.InferenceSession(case.graph, options, providers=[provider], enable_fallback=0)
    if session.get_providers()[0] != provider[0]:
        raise SystemExit(f"bare ONNX Runtime ran on {session.get_providers()}")
    out, binding, memory = torch.empty_like(tensor), session.io_binding(), memory_of(case.device)
    binding.bind_input("input", memory, 0, np.float32, tuple(tensor.shape), tensor.data_ptr())
    binding.bind_output("reconstruction", memory, 0, np.float32, tuple(out.shape), out.data_ptr())

    def bound() -> Any:
        session.run_with_iobinding(binding)
        return out

    return {"ONNX Runtime, bound": bound, "ONNX Runtime, host": lambda: session.run(None, {"input": host})[0]}


def _pytorch(case: Case, tensor: Any) -> dict[str, Call]:
    module = TORCH_MODELS[case.name](float_weights(case.graph)).eval().to(memory_of(case.device))
    torch._dynamo.reset()  # else another batch would be compiled for any size
    forms = {"PyTorch eager": module, "torch.compile": torch.compile(module, dynamic=False)}
    if case.device != "cpu":
        forms["torch.compile, CUDA graphs"] = torch.compile(module, dynamic=False, mode="reduce-overhead")
    return {name: _waiting(form, tensor) for name, form in forms.items()}


def _waiting(form: Any, tensor: Any) -> Call:
    def call() -> Any:
        with torch.inference_mode():
            result = form(tensor)
        if tensor.is_cuda:
            torch.cuda.synchronize()
        return result

    return call


def _array(result: Any) -> Any:
    if isinstance(result, torch.Tensor):
        return result.cpu().numpy()
    return result if isinstance(result, np.ndarray) else result.numpy()


def _sample_shape(case: Case) -> tuple[int, ...]:
    with Autoencoder.open(case.bundle) as model:
        return tuple(size or 1 for size in model.tensor("input").sample_shape)
