"""`aetool export --compression`, as its user sees it."""

from __future__ import annotations

from pathlib import Path

from aetool_runtime import open_bundle
from aetool_runtime.compression.reading import read_compression

from .conftest import Aetool


def test_a_bundle_that_compresses(aetool: Aetool, dense_checkpoint: Path, tmp_path: Path) -> None:
    target = tmp_path / "m.aepkg"
    outcome = aetool("export", dense_checkpoint, "--onnx", "--compression", "--qualities", "2", "-o", target)
    assert outcome.code == 0
    assert "bits a value" in outcome.err
    compression = read_compression(open_bundle(target))
    assert {codec.name for codec in compression.codecs} == {"network", "linear"}
    assert all(len(codec.qualities) == 2 for codec in compression.codecs)


def test_codecs_are_for_bundles_that_compress(aetool: Aetool, dense_checkpoint: Path, tmp_path: Path) -> None:
    outcome = aetool("export", dense_checkpoint, "--codec", "linear", "-o", tmp_path / "m.aepkg")
    assert outcome.code == 2
    assert "--compression" in outcome.err
    assert not (tmp_path / "m.aepkg").exists()
