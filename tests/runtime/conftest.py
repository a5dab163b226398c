"""Bundles of the tiny affine autoencoder, written once; a test that damages one takes its own copy."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.runtime.tiny import bundle_of, onnx_files, tflite_files, tiny_files, write_bundle

from aetool_runtime.backends import _plugins

FILES = {
    "onnx": lambda: bundle_of(*onnx_files()),
    "tflite": lambda: bundle_of(*tflite_files(batch=1)),
    "tflite of batch 3": lambda: bundle_of(*tflite_files(batch=3)),
    "both": tiny_files,
}


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a bundle by its key in FILES; read only."""
    top = tmp_path_factory.mktemp("bundles")
    paths: dict[str, Path] = {}

    def path(kind: str) -> Path:
        if kind not in paths:
            paths[kind] = write_bundle(top / f"{kind.replace(' ', '-')}.aepkg", FILES[kind]())
        return paths[kind]

    return path


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A bundle in both formats, for this test alone."""
    return write_bundle(tmp_path / "tiny.aepkg", tiny_files())


@pytest.fixture
def forget_plugins() -> Iterator[None]:
    """Lets a test register plugins of its own."""
    _plugins.cache_clear()
    yield
    _plugins.cache_clear()


@pytest.fixture
def one_engine_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each format has one engine, whatever is installed: for tests that count checks."""
    monkeypatch.setitem(sys.modules, "openvino", None)
