"""A format and an engine of somebody else's: registered by entry points, exported, verified and run like ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aetool_exporters import ExportOptions, Reference, Samples, export, pipeline
from aetool_exporters.request import DerivedExporter, Exporter
from aetool_runtime import Autoencoder, self_test
from aetool_runtime.errors import BackendError

from .matrix_plugin import MatrixExporter, register


def test_a_plugged_in_format_is_verified_and_run(registered: Path, linear: Reference, tmp_path: Path) -> None:
    samples = Samples.of(np.random.default_rng(1).normal(size=(20, 6)).astype(np.float32))
    options = ExportOptions(formats=("onnx", "matrix"))
    bundle = export(linear.encoder, linear.decoder, tmp_path / "out.aepkg", samples=samples, options=options)
    assert {(check.backend, check.passed) for check in self_test(bundle)} == {("onnxruntime", True), ("matrix", True)}
    with Autoencoder.open(bundle, backend="matrix") as ours, Autoencoder.open(bundle, backend="onnxruntime") as onnx:
        np.testing.assert_allclose(ours.encode(samples.values), onnx.encode(samples.values), atol=1e-5)


class Matrices32(MatrixExporter):
    """A format made of another one's files."""

    format, based_on = "matrix32", "matrix"

    def __init__(self) -> None:
        self.source: Exporter | None = None

    def derive_from(self, source: Exporter) -> None:
        self.source = source


@pytest.mark.parametrize("formats", [("matrix", "matrix32"), ("matrix32", "matrix"), ("matrix32",)])
def test_a_format_made_of_another_shares_its_exporter(
    formats: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = {"matrix": MatrixExporter, "matrix32": Matrices32}
    monkeypatch.setattr(pipeline, "_exporter", lambda name: kinds[name]())
    made = {exporter.format: exporter for exporter in pipeline._exporters(formats)}
    assert list(made) == list(formats)
    assert isinstance(made["matrix32"], DerivedExporter)
    assert not isinstance(made.get("matrix"), DerivedExporter)
    assert made["matrix32"].source is made.get("matrix")


def test_a_name_claimed_twice_is_an_error(registered: Path, linear: Reference, tmp_path: Path) -> None:
    register(registered, "other_plugin")
    with pytest.raises(BackendError, match="claimed twice"):
        export(linear.encoder, linear.decoder, tmp_path / "out.aepkg", options=ExportOptions(formats=("matrix",)))
