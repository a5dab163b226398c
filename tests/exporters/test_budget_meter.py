"""How quality is measured through engines: what it is held against, and that the worst way counts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.exporters.budget_fakes import OWN, SAMPLES, FakeExporter, FakeReference, Layer, registered_engine

from aetool_exporters.budget import Budget, HeldOut
from aetool_exporters.budget.meter import Meter
from aetool_exporters.request import Exported, ExportRequest
from aetool_runtime.errors import UsageError
from aetool_runtime.specs import TensorSpec

LAYERS = [Layer("a", 300, 0.02)]
ALIKE = np.arange(len(SAMPLES)) % 2 == 0


@pytest.fixture(autouse=True)
def _engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with registered_engine(tmp_path, monkeypatch):
        yield


def meter(budget: str, reference: Any = None, **held_out: Any) -> Meter:
    reference = reference or FakeReference(LAYERS)
    return Meter(reference, Budget.parse(budget), HeldOut(**{"values": SAMPLES, "peak": 2.0, **held_out}))


def exported(precision: str = "int8", reference: Any = None) -> Exported:
    return FakeExporter().export(reference or FakeReference(LAYERS), ExportRequest("fake", precision))


def test_reconstructions_are_held_against_the_data() -> None:
    assert meter("mse:1").value == pytest.approx(OWN, rel=1e-5)
    assert meter("psnr:1").value == pytest.approx(10 * np.log10(4 / OWN), rel=1e-5)
    assert meter("psnr:1").measure(exported()).loss == pytest.approx(10 * np.log10(3), rel=1e-4)


def test_the_worst_way_to_use_it_counts() -> None:
    """The graph that holds both halves is good, the encoder's and the decoder's in a row are not."""
    made = exported()
    apart = {
        **{f"fake/{artifact.role}": made.files[artifact.path] for artifact in made.artifacts},
        "fake/autoencoder": json.dumps({"error": 0.0}).encode(),
    }
    artifacts = tuple(replace(artifact, path=f"fake/{artifact.role}") for artifact in made.artifacts)
    assert meter("mse:1").measure(Exported(artifacts, apart)).loss == pytest.approx(0.02, rel=1e-4)


def test_what_is_not_finite_loses_everything() -> None:
    made = exported()
    broken = {path: json.dumps({"error": float("nan")}).encode() for path in made.files}
    quality = meter("mse:1000%").measure(replace(made, files=broken))
    assert quality.loss == float("inf")
    assert not meter("mse:1000%").keeps(quality)


def test_a_relative_limit_is_a_share_of_the_models_own_value() -> None:
    assert meter("mse:50%").limit == pytest.approx(OWN / 2, rel=1e-5)


def test_latents_that_are_the_same_have_the_same_neighbours() -> None:
    quality = meter("recall@3:0").measure(exported())
    assert (quality.value, quality.loss) == (1.0, 0.0)


def test_scores_of_anomalies_come_from_the_reconstruction_error() -> None:
    class Uneven(FakeReference):
        """Fails on every other sample."""

        def compute(self, role: str, array: np.ndarray) -> np.ndarray:
            made = super().compute(role, array)
            return made if role == "encoder" else made + ALIKE[: len(array), None]

    assert meter("auc:0.1", Uneven(LAYERS), anomalous=ALIKE).value == 1.0
    assert meter("auc:0.1", Uneven(LAYERS), anomalous=~ALIKE).value == 0.0


class Enlarging(FakeReference):
    """Gives back more than it is given, as super-resolution does."""

    reconstruction = TensorSpec("reconstruction", "float32", (None, 4, 1))


def test_where_the_data_cannot_be_compared_the_float_model_is_the_truth() -> None:
    assert meter("mse:0.1", Enlarging(LAYERS)).value == 0.0
    assert meter("mse:0.1", FakeReference(LAYERS, roles=("decoder",), encoder=None)).value == 0.0


REFUSED: dict[str, tuple[str, Any, dict[str, Any], str]] = {
    "decibels of nothing": ("psnr:1", Enlarging(LAYERS), {}, "the float model is the truth"),
    "a share of nothing": ("mse:5%", Enlarging(LAYERS), {}, "the float model is the truth"),
    "no decoder": ("psnr:1", FakeReference(LAYERS, roles=("encoder",), decoder=None), {}, "there is no decoder"),
    "no encoder": ("recall@3:0", FakeReference(LAYERS, roles=("decoder",), encoder=None), {}, "there is no encoder"),
    "no images": ("ssim:0.1", FakeReference(LAYERS), {}, "is of images"),
    "no tokens": ("accuracy:0.1", FakeReference(LAYERS), {}, "is of tokens"),
    "no labels": ("auc:0.1", FakeReference(LAYERS), {}, "--labels FILE"),
    "one kind of label": ("auc:0.1", FakeReference(LAYERS), {"anomalous": ALIKE & False}, "anomalous samples and"),
    "too few samples": ("recall@32:0.1", FakeReference(LAYERS), {}, "wants more than 32 held-out samples"),
    "data without a range": ("psnr:1", FakeReference(LAYERS), {"peak": 0.0}, "relative to the range"),
}


@pytest.mark.parametrize(("budget", "reference", "held_out", "text"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_measured_is_refused(budget: str, reference: Any, held_out: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        meter(budget, reference, **held_out)
