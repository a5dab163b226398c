"""Train, export, verify, run without TensorFlow: three autoencoders on built-in real data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aetool.config import load_preset
from aetool.demo.latency import encode_latencies
from aetool.model import model_of
from aetool.training import Event, train
from aetool_exporters.cases import HELD_OUT
from aetool_exporters.pipeline import ExportOptions, export_reference
from aetool_runtime import Autoencoder
from aetool_runtime.selftest import Check
from aetool_runtime.specs import Array

if TYPE_CHECKING:
    from aetool.training import Checkpoint

__all__ = ["MODELS", "Chapter", "tell"]

MODELS = {"dense": "builtin:digits", "conv2d": "builtin:digits", "conv1d": "builtin:ecg"}
_SHOWN = 8


@dataclass(frozen=True)
class Chapter:
    """What one model came to.

    Args:
        name: its preset.
        parameters: of encoder and decoder together.
        latent: values per sample.
        sizes: format → bytes of its files.
        parity: backend → largest difference from Keras on held-out samples, as a share of the output's range.
        psnr, pca_psnr: on the test part, dB.
        latencies: engine → median microseconds to encode one sample, one thread.
        originals, reconstructions: a few held-out samples, and what the runtime made of them.
    """

    name: str
    parameters: int
    latent: int
    sizes: dict[str, int]
    parity: dict[str, float]
    psnr: float
    pca_psnr: float
    latencies: dict[str, float]
    originals: Array
    reconstructions: Array


def tell(name: str, folder: Path, on_step: Callable[[str], None], on_event: Callable[[Event], None]) -> Chapter:
    """Take one preset from data to bundle.

    Args:
        folder: receives ``NAME`` (the checkpoint) and ``NAME.aepkg`` (the bundle).
        on_step: told what is being done.
        on_event: told how training goes.

    Raises:
        ParityError: an export does not compute what Keras computes.
    """
    on_step(f"{name}: training on {MODELS[name]}")
    checkpoint = train(load_preset(name), MODELS[name], folder / name, report=on_event)
    on_step(f"{name}: exporting to ONNX and TFLite, checking both against Keras")
    model = model_of(checkpoint)
    reference = model.reference
    checks: list[Check] = []
    bundle = export_reference(reference, folder / f"{name}.aepkg", name, model.samples, ExportOptions(), checks.append)
    on_step(f"{name}: encoding and decoding without TensorFlow")
    with Autoencoder.open(bundle) as runtime:
        originals = checkpoint.held_out[:_SHOWN]
        reconstructions = runtime.decode(runtime.encode(originals))
    network, pca = _psnr(checkpoint)
    return Chapter(
        name=name,
        parameters=sum(reference.parameters.values()),
        latent=int(checkpoint.encoder.output_shape[-1]),
        sizes={
            kind: sum(entry.bytes for path, entry in bundle.manifest.files.items() if path.startswith(f"{kind}/"))
            for kind in ("onnx", "tflite")
        },
        parity=_parity(checks),
        psnr=network,
        pca_psnr=pca,
        latencies=encode_latencies(reference, bundle, originals[:1]),
        originals=originals,
        reconstructions=reconstructions,
    )


def _psnr(checkpoint: Checkpoint) -> tuple[float, float]:
    evaluation = checkpoint.metrics["evaluation"]
    return evaluation["network"]["psnr"], evaluation["pca"]["psnr"]


def _parity(checks: list[Check]) -> dict[str, float]:
    """The largest over encoder, decoder and both."""
    errors: dict[str, float] = {}
    for check in checks:
        for report in check.reports:
            if report.case == HELD_OUT:
                errors[check.backend] = max(errors.get(check.backend, 0.0), report.worst_error / report.peak)
    return errors
