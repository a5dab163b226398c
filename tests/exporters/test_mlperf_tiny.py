"""The MLPerf Tiny anomaly-detection autoencoder, beside the TFLite files that its authors published.

The models are not part of this repository: they are looked for beside it, or where ``AETOOL_MODELS`` says.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from aetool_exporters.reference import Reference
from aetool_exporters.request import Calibration, ExportRequest, QuantizationOptions
from aetool_exporters.tflite import TfliteExporter

ROOT = Path(__file__).parents[2]
MODELS = Path(os.environ.get("AETOOL_MODELS", ROOT.parent / "shared" / "models"))
PUBLISHED_BYTES = 276_976

pytestmark = pytest.mark.skipif(not (MODELS / "mlperf_tiny_ad").is_dir(), reason="the models are not here")


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mlperf_tiny", ROOT / "benchmarks" / "mlperf_tiny.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["mlperf_tiny"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def reference(benchmark: ModuleType) -> Reference:
    return benchmark.load_reference(MODELS)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def exporter() -> TfliteExporter:
    return TfliteExporter()


def exported(exporter: TfliteExporter, reference: Reference, windows: Any, precision: str, **options: Any) -> Any:
    quantization = QuantizationOptions(Calibration(lambda: iter([windows[::2]])), **options)
    made = exporter.export(reference, ExportRequest("ad01", precision, quantization=quantization))
    return made.artifacts[-1], made.files[made.artifacts[-1].path]


def run(benchmark: ModuleType, artifact: Any, data: bytes, values: Any) -> Any:
    return benchmark.run(data, artifact.signature, values, artifact.inputs[0].stored, artifact.outputs[0].real)


def test_float32_is_keras(benchmark: ModuleType, reference: Reference, exporter: TfliteExporter) -> None:
    """Within 1e-5 of the output's scale. (On real windows Keras itself is 2e-4 away from 64-bit arithmetic.)"""
    given = np.random.default_rng(0).uniform(size=(64, 640)).astype(np.float32)
    expected = reference.compute("autoencoder", given)
    met = run(benchmark, *exported(exporter, reference, given, "float32"), given)
    assert np.abs(met - expected).max() <= 1e-5 * expected.std()


def test_int8_is_no_larger_and_better_than_the_published(
    benchmark: ModuleType, reference: Reference, exporter: TfliteExporter
) -> None:
    """Three signatures of ours in the bytes of their one; both with one scale for each kernel."""
    windows = benchmark.load_windows(MODELS)
    artifact, data = exported(exporter, reference, windows, "int8", per_channel=False)
    assert len(data) <= PUBLISHED_BYTES
    expected = reference.compute("autoencoder", windows)
    wanted = benchmark.errors(windows, expected)
    published = benchmark.run_published((MODELS / "mlperf_tiny_ad" / "ad01_int8.tflite").read_bytes(), windows)
    ours = run(benchmark, artifact, data, windows)
    assert np.mean((ours - expected) ** 2) < 0.2 * np.mean((published - expected) ** 2)
    ranks = {
        name: benchmark.rank_correlation(wanted, benchmark.errors(windows, met))
        for name, met in (("ours", ours), ("published", published))
    }
    assert ranks["ours"] > 0.99 > 0.97 > ranks["published"]


@pytest.mark.parametrize(("precision", "least"), [("float16", 0.9995), ("int8", 0.995), ("int16x8", 0.995)])
def test_windows_are_ranked_like_by_the_model(
    benchmark: ModuleType, reference: Reference, exporter: TfliteExporter, precision: str, least: float
) -> None:
    windows = benchmark.load_windows(MODELS)
    judged = windows[1::2]
    met = run(benchmark, *exported(exporter, reference, windows, precision), judged)
    wanted = benchmark.errors(judged, reference.compute("autoencoder", judged))
    assert benchmark.rank_correlation(wanted, benchmark.errors(judged, met)) > least
