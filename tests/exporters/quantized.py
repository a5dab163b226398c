"""What the tests of reduced precisions share: export at a precision, run, compare."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
from tests.exporters.keras_models import MODELS, sample

from aetool_exporters.onnx import OnnxExporter
from aetool_exporters.reference import Reference
from aetool_exporters.request import Calibration, Exported, ExportRequest, QuantizationOptions
from aetool_runtime.specs import Array, Artifact, Role

__all__ = ["Trial", "calibration", "model_of", "run", "run_raw", "signal_to_noise", "trial", "trial_of"]


def calibration(values: Array, method: str = "minmax") -> Calibration:
    return Calibration(lambda: iter(np.array_split(values, 4)), method)


@dataclass(frozen=True)
class Trial:
    """One reference, its exporter, which keeps the float graphs, and data."""

    reference: Reference
    exporter: OnnxExporter
    values: Array

    def export(self, precision: str, **options: Any) -> Exported:
        options = {"calibration": calibration(self.values)} | options
        request = ExportRequest("m", precision=precision, quantization=QuantizationOptions(**options))
        return self.exporter.export(self.reference, request)

    def given(self, role: Role) -> Array:
        is_latent = role == "decoder" and self.reference.encoder is not None
        return self.reference.compute("encoder", self.values) if is_latent else self.values

    def quality(self, exported: Exported) -> dict[str, float]:
        """Role → signal-to-noise ratio against Keras, dB, of the role's own output."""
        return {
            artifact.role: signal_to_noise(
                self.reference.compute(artifact.role, self.given(artifact.role)),
                run(exported, artifact, self.given(artifact.role)),
            )
            for artifact in exported.artifacts
        }


@functools.cache
def trial_of(name: str) -> Trial:
    return trial(MODELS[name]())


def trial(reference: Reference, values: Array | None = None) -> Trial:
    return Trial(reference, OnnxExporter(), sample(reference, 96) if values is None else values)


def model_of(exported: Exported, role: Role = "encoder") -> onnx.ModelProto:
    artifact = next(artifact for artifact in exported.artifacts if artifact.role == role)
    return onnx.load_from_string(exported.files[artifact.path])


def run(exported: Exported, artifact: Artifact, given: Array, level: str = "ORT_ENABLE_ALL") -> Array:
    """Real values in and out."""
    spec, returned = artifact.inputs[0], artifact.outputs[0]
    fed = given if spec.quantization is None else spec.quantization.quantize(given, spec.dtype)
    made = run_raw(exported.files[artifact.path], {spec.name: fed}, level)[returned.name]
    return made if returned.quantization is None else returned.quantization.dequantize(made)


def run_raw(data: bytes, fed: dict[str, Array], level: str = "ORT_ENABLE_ALL") -> dict[str, Array]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, fed), strict=True))


def signal_to_noise(expected: Array, met: Array) -> float:
    wanted = expected.astype(np.float64)
    noise = float(np.sum((wanted - met) ** 2))
    signal = float(np.sum((wanted - wanted.mean()) ** 2))
    return 200.0 if noise == 0 else 10 * float(np.log10(signal / noise))
