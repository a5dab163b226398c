"""What a device needs: measured in fresh processes, within a limit, without TensorFlow."""

from __future__ import annotations

from pathlib import Path

import pytest

from aetool.edge import EdgeProfile, installed_bytes, profile
from aetool_runtime.errors import BackendError

BUNDLE = Path(__file__).parents[1] / "vectors" / "bundles" / "encoder-decoder-in-both-formats.aepkg"
MIB = 1 << 20


@pytest.mark.parametrize("backend", ["onnxruntime", "litert"])
def test_a_profile(backend: str) -> None:
    met = profile(BUNDLE, {"backend": backend}, repeats=1)
    assert met.ran_on == f"{backend}/cpu float32"
    assert met.bundle_bytes == BUNDLE.stat().st_size
    assert 0 < met.next_encode_s < met.first_encode_s < met.cold_s
    assert met.import_s + met.open_s + met.first_encode_s < met.cold_s
    assert 10 * MIB < met.peak_bytes < 400 * MIB


@pytest.mark.parametrize("backend", ["onnxruntime", "litert"])
def test_what_is_installed_for_an_engine_is_the_engine_and_numpy_and_no_tensorflow(backend: str) -> None:
    assert 20 * MIB < installed_bytes(backend) < 250 * MIB


def test_a_limit_that_suffices() -> None:
    assert isinstance(profile(BUNDLE, {"backend": "onnxruntime"}, memory_limit=4096 * MIB, repeats=1), EdgeProfile)


def test_a_limit_that_does_not() -> None:
    with pytest.raises(BackendError, match="did not run within 64 MiB"):
        profile(BUNDLE, {"backend": "onnxruntime"}, memory_limit=64 * MIB, repeats=1)


def test_an_engine_that_refuses_is_told() -> None:
    with pytest.raises(BackendError, match="did not run in a fresh process"):
        profile(BUNDLE, {"backend": "onnxruntime", "device": "no such"}, repeats=1)
