"""OpenVINO beyond the contract that holds for every backend: it reports nothing, and computes at the graph's precision.

What needs OpenVINO itself runs where it is installed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from tests.runtime.test_reduced_precision import integer_bundle
from tests.runtime.tiny import OPENVINO, Affine, artifact_of, onnx_graph, samples, write_bundle

from aetool_runtime import Autoencoder, open_bundle, self_test
from aetool_runtime.backends.openvino import OpenVinoBackend, _import_engine, _reason
from aetool_runtime.errors import UnsafeError

needs_openvino = pytest.mark.skipif(not OPENVINO, reason="pip install 'aetool[openvino]'")


# --- no telemetry ---


def test_what_would_report_the_import_looks_missing_while_openvino_is_imported(tmp_path: Path) -> None:
    """A stand-in of OpenVINO that reports when it can."""
    (tmp_path / "openvino.py").write_text(
        "try:\n    import openvino_telemetry\n    reported = True\nexcept ImportError:\n    reported = False\n"
    )
    (tmp_path / "openvino_telemetry.py").write_text("")
    code = (
        "import sys; from aetool_runtime.backends.openvino import _import_engine;"
        "assert _import_engine().reported is False; assert 'openvino_telemetry' not in sys.modules;"
        "import openvino_telemetry"  # others may import it as before
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(tmp_path)})


def test_somebody_elses_import_of_it_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = types.ModuleType("openvino_telemetry")
    monkeypatch.setitem(sys.modules, "openvino_telemetry", theirs)
    monkeypatch.setitem(sys.modules, "openvino", types.ModuleType("openvino"))
    _import_engine()
    assert sys.modules["openvino_telemetry"] is theirs


@needs_openvino
def test_openvino_itself_is_loaded_without_telemetry() -> None:
    code = (
        "import sys; from aetool_runtime.backends import load_backend; load_backend('openvino').devices();"
        "assert 'openvino' in sys.modules; assert 'openvino_telemetry' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- what it refuses ---

REASONS = {
    "the last line, not the places": (
        "Exception from src/inference/src/cpp/core.cpp:117:\nException from src/inference/src/dev/plugin.cpp:54:\n"
        "Check 'parent->getType() == Type::Input' failed at src/plugins/intel_cpu/src/nodes/rnn.cpp:933:\n"
        "GRUSequence node with name 'GRU_1' expects Constant for port 3\n\n\n",
        "GRUSequence node with name 'GRU_1' expects Constant for port 3",
    ),
    "a place, where there is nothing else": ("\nException from core.cpp:1:\n", "Exception from core.cpp:1:"),
    "one line": ("no such node", "no such node"),
    "nothing": ("", "RuntimeError"),
    "not all of it": ("x" * 1000, "x" * 300),
}


@pytest.mark.parametrize(("message", "reason"), REASONS.values(), ids=REASONS)
def test_the_reason_is_taken_from_what_openvino_says(message: str, reason: str) -> None:
    assert _reason(RuntimeError(message)) == reason


# --- what it computes ---


@needs_openvino
def test_sums_are_those_of_float32_also_where_the_processor_has_bfloat16() -> None:
    """256 + 1/4 is 256 in bfloat16."""
    graph = OpenVinoBackend().load(
        onnx_graph("encoder", Affine(encoder_bias=np.array([256.25, -256.25], np.float32))).SerializeToString(),
        artifact_of("encoder", "onnx", "encoder.onnx", None),
        device="cpu",
        threads=1,
    )
    [latent] = graph.run(np.zeros((64, 6), np.float32))
    assert latent.tolist() == [[256.25, -256.25]] * 64
    graph.close()


@needs_openvino
@pytest.mark.parametrize("count", [1, 7, 5000])
def test_read_only_samples_are_taken(count: int, bundle_path) -> None:  # type: ignore[no-untyped-def]
    given = samples(count)
    given.flags.writeable = False
    with Autoencoder.open(bundle_path("onnx"), backend="openvino") as model:
        for _ in range(2):
            np.testing.assert_allclose(model.encode(given), Affine().encode(given), rtol=1e-5, atol=2e-6)


@needs_openvino
def test_integers_pass_the_self_test(tmp_path: Path) -> None:
    bundle = open_bundle(write_bundle(tmp_path / "b", integer_bundle(beside_float=True)))
    checks = [check for check in self_test(bundle) if check.backend == "openvino"]
    assert len(checks) == 6
    assert all(check.passed for check in checks)


@needs_openvino
def test_tensors_in_other_files_are_refused() -> None:
    model = onnx_graph("encoder")
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = 1
    tensor.external_data.add(key="location", value="/etc/passwd")
    with pytest.raises(UnsafeError):
        OpenVinoBackend().load(
            model.SerializeToString(), artifact_of("encoder", "onnx", "x", None), device="cpu", threads=1
        )
