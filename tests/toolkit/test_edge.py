"""What a device needs: measured in fresh processes, within a limit, without TensorFlow."""

from __future__ import annotations

import py_compile
import sys
from pathlib import Path

import pytest
from tests.runtime.tiny import bundle_of, onnx_files, write_bundle

from aetool import edge
from aetool.edge import _sizes, installed_bytes, profile
from aetool_runtime.errors import BackendError, UsageError

BUNDLE = Path(__file__).parents[1] / "vectors" / "bundles" / "encoder-decoder-in-both-formats.aepkg"
MIB = 1 << 20
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="caps are kept on Linux only")


@pytest.mark.parametrize("backend", ["onnxruntime", "litert"])
def test_a_profile(backend: str) -> None:
    met = profile(BUNDLE, {"backend": backend}, repeats=1)
    assert met.ran_on == f"{backend}/cpu float32"
    assert met.bundle_bytes == BUNDLE.stat().st_size
    assert 0 < met.next_s < met.first_s < met.cold_s
    assert met.import_s + met.open_s + met.first_s < met.cold_s
    assert 10 * MIB < met.peak_bytes < 400 * MIB
    assert met.resident_bytes is None or 10 * MIB < met.resident_bytes <= met.peak_bytes


@pytest.mark.parametrize("backend", ["onnxruntime", "litert"])
def test_what_is_installed_for_an_engine_is_the_engine_and_numpy_and_no_tensorflow(backend: str) -> None:
    assert 20 * MIB < installed_bytes(backend) < 250 * MIB


def test_bytecode_counts_whoever_wrote_it(tmp_path: Path) -> None:
    source = tmp_path / "module.py"
    source.write_text("x = 1\n")
    assert _sizes([source]) == 6
    compiled = Path(py_compile.compile(str(source), doraise=True) or "")
    assert _sizes([source]) == _sizes([source, compiled]) == 6 + compiled.stat().st_size


def test_a_bundle_without_an_encoder_is_measured_by_its_decoder(tmp_path: Path) -> None:
    artifacts, files = onnx_files()
    decoder = next(artifact for artifact in artifacts if artifact.role == "decoder")
    bundle = write_bundle(tmp_path / "decoder.aepkg", bundle_of([decoder], {decoder.path: files[decoder.path]}))
    met = profile(bundle, {"backend": "onnxruntime"}, repeats=1)
    assert met.ran_on == "onnxruntime/cpu float32"


# --- a cap ---


@on_linux
def test_a_cap_that_suffices() -> None:
    assert profile(BUNDLE, {"backend": "onnxruntime"}, memory_cap=400 * MIB, repeats=1).peak_bytes < 400 * MIB


@on_linux
@pytest.mark.parametrize("backend", ["onnxruntime", "litert"])
def test_a_cap_that_does_not(backend: str) -> None:
    with pytest.raises(BackendError, match="does not run within 32 MiB") as refusal:
        profile(BUNDLE, {"backend": backend}, memory_cap=32 * MIB, repeats=1)
    assert "Traceback" not in str(refusal.value)


@on_linux
def test_what_is_resident_counts_also_where_the_system_does_not_limit_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Code and other pages of files are not private memory."""
    times = {"import_s": 0.1, "open_s": 0.1, "first_s": 0.1, "next_s": 0.1, "cold_s": 1.0}
    held = {"ran_on": "onnxruntime/cpu float32", "resident_bytes": 60 * MIB, "peak_bytes": 65 * MIB}
    monkeypatch.setattr(edge, "_run", lambda *_: times | held)
    assert profile(BUNDLE, {}, memory_cap=65 * MIB).peak_bytes == 65 * MIB
    with pytest.raises(BackendError, match=r"within 64 MiB \(it held 65 MiB"):
        profile(BUNDLE, {}, memory_cap=64 * MIB)


def test_where_the_system_keeps_no_cap_none_is_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(UsageError, match="on Linux only"):
        profile(BUNDLE, {}, memory_cap=400 * MIB)


DEATHS = {
    "aborted by its allocator": ("import os; os.abort()", "killed by SIGABRT"),
    "crashed": ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "killed by SIGSEGV"),
    "out of memory": ("import sys; sys.exit('out of memory')", "out of memory"),
    "silent": ("import os; os._exit(3)", "exit code 3"),
}


@on_linux
@pytest.mark.parametrize(("code", "reason"), DEATHS.values(), ids=DEATHS)
def test_what_a_process_died_of_is_told(monkeypatch: pytest.MonkeyPatch, code: str, reason: str) -> None:
    monkeypatch.setattr(edge, "_CHILD", code)
    with pytest.raises(BackendError, match=rf"does not run within 64 MiB \({reason}"):
        profile(BUNDLE, {}, memory_cap=64 * MIB, repeats=1)


def test_an_engine_that_refuses_is_told() -> None:
    with pytest.raises(BackendError, match=r"does not run in a fresh process \(.*no such"):
        profile(BUNDLE, {"backend": "onnxruntime", "device": "no such"}, repeats=1)
