"""What goes into a bundle: float32 that computes what Keras computes, and reduced precisions that come near it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from aetool_exporters import ExportOptions, Reference, Samples, export, verify
from aetool_exporters.pipeline import export_reference
from aetool_runtime import Autoencoder, open_bundle, self_test
from aetool_runtime.errors import ParityError, UsageError
from aetool_runtime.specs import Array

from .matrix_plugin import MatrixExporter

BOTH = ExportOptions(formats=("matrix",), precisions=("float32", "int8"))


def held_out() -> Samples:
    return Samples.of(np.random.default_rng(1).normal(size=(40, 6)).astype(np.float32))


def other() -> Samples:
    return Samples.of(np.random.default_rng(2).normal(size=(50, 6)).astype(np.float32))


@pytest.mark.usefixtures("registered")
class TestReducedPrecision:
    def test_it_brings_its_own_golden_vectors_and_says_how_near_it_is(self, linear: Reference, tmp_path: Path) -> None:
        notices: list[str] = []
        bundle = export_reference(linear, tmp_path / "b", "b", held_out(), BOTH, on_notice=notices.append)
        exact, reduced = bundle.manifest.artifacts[:3], bundle.manifest.artifacts[3:]
        assert [(a.precision, a.cases, a.snr) for a in exact] == [("float32", (), {})] * 3
        assert [a.precision for a in reduced] == ["int8"] * 3
        for artifact in reduced:
            assert 30 < artifact.snr[artifact.outputs[0].name] < 60
            assert "held-out" in [case.name for case in artifact.cases]
        assert all(check.passed for check in self_test(bundle))
        assert notices == ["matrix int8: it is rounded"]
        checks = json.loads(bundle.read("report.json"))["checks"]
        assert [list(check["snr"]) for check in checks][3:] == [["latent"], ["reconstruction"], ["reconstruction"]]

    def test_the_golden_vectors_are_what_the_artifact_returns(self, linear: Reference, tmp_path: Path) -> None:
        export(linear.encoder, linear.decoder, tmp_path / "b", samples=held_out(), options=BOTH)
        with Autoencoder.open(tmp_path / "b", precision="int8") as model:
            latent = model.encode(held_out().values[:4])
        bundle = open_bundle(tmp_path / "b")
        case = next(c for c in bundle.manifest.artifacts[3].cases if c.name == "held-out")
        golden = np.frombuffer(bundle.read("golden.bin"), "<f4", 8, case.tensors["latent"].offset).reshape(4, 2)
        np.testing.assert_array_equal(golden, latent)

    def test_one_that_collapsed_is_set_aside_and_the_rest_is_shipped(
        self,
        linear: Reference,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(MatrixExporter, "make_int8", staticmethod(np.zeros_like))
        with pytest.raises(ParityError, match=r"latent: signal-to-noise .* dB against Keras, at least 10.0 dB wanted"):
            export(linear.encoder, linear.decoder, tmp_path / "b", samples=held_out(), options=BOTH)
        assert {a.precision for a in open_bundle(tmp_path / "b").manifest.artifacts} == {"float32"}
        assert (tmp_path / "b.rejected" / "matrix" / "encoder.int8.npz").is_file()

    def test_it_is_verified_on_other_data(self, linear: Reference, tmp_path: Path) -> None:
        bundle = export(linear.encoder, linear.decoder, tmp_path / "b", samples=held_out(), options=BOTH)
        checks = list(verify(bundle, linear, other()))
        assert [check.passed for check in checks] == [True] * 6
        assert [bool(check.reports) for check in checks] == [True] * 3 + [False] * 3
        assert [check.fidelity[0].tensor for check in checks[3:]] == ["latent", "reconstruction", "reconstruction"]

    def test_another_model_does_not_verify(
        self,
        linear: Reference,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Well above what would count as collapsed, but below what the bundle says of itself."""
        bundle = export(linear.encoder, linear.decoder, tmp_path / "b", samples=held_out(), options=BOTH)
        weights = linear.encoder.get_weights()
        try:
            linear.encoder.set_weights([weight * 1.1 for weight in weights])
            checks = list(verify(bundle, linear, other()))
        finally:
            linear.encoder.set_weights(weights)
        failed = [(check.artifact.precision, check.artifact.role) for check in checks if not check.passed]
        assert failed == [(p, r) for p in ("float32", "int8") for r in ("encoder", "autoencoder")]
        assert all(15 < check.fidelity[0].snr < 25 for check in checks if check.fidelity and not check.passed)

    def test_a_precision_that_no_format_has_is_refused(self, linear: Reference, tmp_path: Path) -> None:
        options = ExportOptions(formats=("matrix",), precisions=("float32", "int16x8"))
        with pytest.raises(UsageError, match="int16x8"):
            export(linear.encoder, linear.decoder, tmp_path / "b", samples=held_out(), options=options)
        assert list(tmp_path.glob("b*")) == []

    def test_the_same_model_gives_the_same_bytes(self, linear: Reference, tmp_path: Path) -> None:
        digests = {
            export(linear.encoder, linear.decoder, tmp_path / name, name="x", samples=held_out(), options=BOTH).digest
            for name in ("one", "two")
        }
        assert len(digests) == 1


def test_samples_that_must_stay_private_do_not_travel_in_own_golden_vectors(
    registered: Path,
    linear: Reference,
    tmp_path: Path,
) -> None:
    private: Array = held_out().values
    options = ExportOptions(formats=("matrix",), precisions=("float32", "int8"), golden="synthetic")
    bundle = export(linear.encoder, linear.decoder, tmp_path / "b", samples=held_out(), options=options)
    golden = bundle.read("golden.bin")
    assert all(sample.tobytes() not in golden for sample in private)
