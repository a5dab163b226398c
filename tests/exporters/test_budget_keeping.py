"""From a budget to what is delivered: verified, within the budget, or nothing. On fakes; fine-tuning is replaced."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.exporters.budget_fakes import SAMPLES, FakeExporter, FakeReference, Layer, registered_engine

from aetool_exporters.budget import Budget, BudgetOptions, Frontier, HeldOut, Keeper, frontier_rows
from aetool_exporters.cases import Samples, make_suite
from aetool_exporters.judgement import Judge, Verdict
from aetool_exporters.request import Calibration, Exporter, ExportRequest, QuantizationOptions
from aetool_runtime.errors import BudgetError, ConversionError, InputError, UsageError
from aetool_runtime.specs import TensorSpec

CALIBRATED = QuantizationOptions(Calibration(lambda: iter([SAMPLES])))
EASY = FakeReference([Layer("a", 100, 1e-4), Layer("b", 200, 1e-4)])
HARD = FakeReference([Layer("a", 100, 0.01), Layer("b", 200, 0.01)])


@pytest.fixture(autouse=True)
def _engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with registered_engine(tmp_path, monkeypatch):
        yield


class Delivery:
    """What a keeper did: frontiers, verdict, sentences."""

    def __init__(
        self,
        reference: Any,
        budget: str,
        *exporters: Exporter,
        precisions: tuple[str, ...] = (),
        quantization: QuantizationOptions = CALIBRATED,
        **options: Any,
    ) -> None:
        suite = make_suite(reference, Samples.of(SAMPLES))
        request = ExportRequest("fake", sample_shape=(4,), quantization=quantization)
        kept = BudgetOptions(Budget.parse(budget), options.pop("held_out", HeldOut(SAMPLES, 2.0)), **options)
        self.verdict = Verdict()
        self.frontiers: list[Frontier] = []
        self.told: list[str] = []
        keeper = Keeper(
            kept, reference, request, precisions, Judge(suite, suite), self.frontiers.append, self.told.append
        )
        self.returned = keeper.keep(exporters or [FakeExporter()], self.verdict)

    @property
    def chosen(self) -> str:
        return str(self.frontiers[0].chosen)


def test_the_smallest_is_delivered_and_verified() -> None:
    done = Delivery(EASY, "mse:0.001")
    assert done.chosen == "int8, mse, per tensor"
    (exported,) = done.verdict.passed
    assert {artifact.precision for artifact in exported.artifacts} == {"int8"}
    assert done.verdict.checks
    assert all(check.passed for check in done.verdict.checks)
    assert done.frontiers == done.returned


def test_every_trial_is_told() -> None:
    done = Delivery(EASY, "mse:0.001", precisions=("dynamic_range",))
    assert done.told == [
        "fake dynamic_range, per channel: 502 bytes, mse 0.01012, 0.00012 lost",
        "fake dynamic_range, per tensor: 502 bytes, mse 0.01012, 0.00012 lost",
    ]


def test_only_the_named_precisions_are_tried() -> None:
    done = Delivery(EASY, "mse:1", precisions=("float32", "float16"))
    assert [str(trial.candidate) for trial in done.frontiers[0].trials] == ["float16"]


def test_latency_is_known_of_what_is_listed() -> None:
    frontier = Delivery(EASY, "mse:0.001").frontiers[0]
    assert {trial.candidate for trial in frontier.points} <= set(frontier.latency)
    assert all(seconds > 0 for seconds in frontier.latency.values())


def test_nothing_is_delivered_where_one_format_misses() -> None:
    verdict = Verdict()
    with pytest.raises(BudgetError, match="no fake artifact keeps mse:1e-09"):
        Delivery(HARD, "mse:1e-9", FakeExporter(), FakeExporter())
    assert verdict.passed == []


def test_the_best_that_was_found_is_named_with_its_figures() -> None:
    with pytest.raises(BudgetError) as failure:
        Delivery(HARD, "mse:1e-9", precisions=("int8",), granularities=(False,), methods=("minmax",))
    assert failure.value.exit_code == 6
    text = str(failure.value)
    assert "the best of 3 is int8, minmax, per tensor, float32 in" in text
    assert "bytes and mse 0.025, 0.015 lost" in text
    assert "at most 1e-09 more than the model's 0.01" in text
    assert "--finetune" in text


def test_what_keeps_the_budget_and_fails_verification_is_not_delivered() -> None:
    lost = FakeReference([Layer("a", 300, 1.0)])
    with pytest.raises(BudgetError) as failure:
        Delivery(lost, "mse:10", precisions=("dynamic_range",))
    assert "lost, but it fails verification: decoder fake dynamic_range on fake/cpu" in str(failure.value)
    assert "signal-to-noise" in str(failure.value)


def test_time_that_was_up_is_the_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BudgetError, match=r"the best of 1 is.*\n.*--search-time 1e-05"):
        Delivery(HARD, "mse:1e-9", search_seconds=5e-6)


@pytest.fixture
def tuning(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Fine-tuning that divides every layer's error by a hundred; the calls of it."""
    import aetool_exporters.budget.finetune as module

    calls: list[tuple[Any, ...]] = []

    def finetune(reference: FakeReference, calibration: Calibration, steps: int, **options: Any) -> FakeReference:
        calls.append((steps, options["seed"]))
        return replace(reference, layers=[replace(layer, error=layer.error / 100) for layer in reference.layers])

    monkeypatch.setattr(module, "finetune", finetune)
    return calls


def test_fine_tuning_is_tried_where_nothing_else_keeps_the_budget(tuning: list[tuple[Any, ...]]) -> None:
    done = Delivery(HARD, "mse:0.001", precisions=("int8",), finetune_steps=300, seed=4)
    assert tuning == [(300, 4)]
    assert done.chosen == "int8, mse, per tensor, fine-tuned"
    assert any("fine-tuning for 300 steps" in sentence for sentence in done.told)
    assert not done.frontiers[0].trials[0].candidate.tuned


def test_fine_tuning_is_left_where_the_budget_is_kept_without(tuning: list[tuple[Any, ...]]) -> None:
    done = Delivery(EASY, "mse:0.001", finetune_steps=300)
    assert tuning == []
    assert "fine-tuned" not in done.chosen


def test_all_formats_share_one_fine_tuning(tuning: list[tuple[Any, ...]]) -> None:
    done = Delivery(HARD, "mse:0.001", FakeExporter(), FakeExporter(), precisions=("int8",), finetune_steps=7)
    assert len(tuning) == 1
    assert [str(frontier.chosen) for frontier in done.frontiers] == 2 * ["int8, mse, per tensor, fine-tuned"]


def test_fine_tuning_that_does_not_help_is_said(tuning: list[tuple[Any, ...]]) -> None:
    with pytest.raises(BudgetError, match="more steps of --finetune"):
        Delivery(HARD, "mse:1e-9", precisions=("int8",), finetune_steps=7)


def test_without_calibration_data_the_rest_is_tried_and_that_is_said() -> None:
    done = Delivery(EASY, "mse:1", quantization=QuantizationOptions())
    assert {trial.candidate.precision for trial in done.frontiers[0].trials} == {"dynamic_range", "float16"}
    assert any("--calibration FILE" in sentence for sentence in done.told)


REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "int8 named without calibration": (
        {"precisions": ("int8",), "quantization": QuantizationOptions()},
        UsageError,
        "--calibration",
    ),
    "fine-tuning without samples": (
        {"finetune_steps": 5, "quantization": QuantizationOptions()},
        UsageError,
        "--calibration",
    ),
    "a precision that the format lacks": ({"precisions": ("int16x8",)}, UsageError, "one of float16, dynamic_range"),
    "other samples": ({"held_out": HeldOut(SAMPLES[:, :3], 1.0)}, InputError, "held-out samples have shape"),
}


@pytest.mark.parametrize(("options", "error", "text"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_kept_is_refused_before_any_trial(
    options: dict[str, Any], error: type[Exception], text: str
) -> None:
    exporter = FakeExporter()
    with pytest.raises(error, match=text):
        Delivery(EASY, "mse:1", exporter, **options)
    assert exporter.made == []


def test_no_gradient_passes_a_latent_of_integers() -> None:
    class Codes(FakeReference):
        latent = TensorSpec("latent", "int32", (None, 4))

    exporter = FakeExporter()
    with pytest.raises(UsageError, match="latent of real numbers"):
        Delivery(Codes([Layer("a", 100, 1e-4)]), "mse:1", exporter, finetune_steps=5)
    assert exporter.made == []


def test_a_format_whose_float32_cannot_be_made_has_nothing_to_compare_with() -> None:
    frontier = Delivery(EASY, "mse:1", FakeExporter(refused=["float32"])).frontiers[0]
    assert frontier.baseline is None
    assert {row[3] for row in frontier_rows(frontier)} == {"-"}


def test_where_nothing_converts_that_is_the_error() -> None:
    with pytest.raises(ConversionError, match="no int8 today"):
        Delivery(EASY, "mse:1", FakeExporter(refused=["int8"]), precisions=("int8",))
