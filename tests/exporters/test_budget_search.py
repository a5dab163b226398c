"""The search against an exporter whose bytes and errors are known in closed form."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.exporters import budget_fakes
from tests.exporters.budget_fakes import OWN, SAMPLES, FakeExporter, FakeReference, Layer, cost, registered_engine

from aetool_exporters.budget import Budget, Frontier, HeldOut, frontier_json, frontier_rows
from aetool_exporters.budget.candidates import Candidate, Space
from aetool_exporters.budget.deadline import Allowance, Deadline
from aetool_exporters.budget.meter import Meter
from aetool_exporters.budget.search import search
from aetool_exporters.budget.sensitivity import units_of
from aetool_exporters.budget.trials import Bench
from aetool_exporters.cases import Samples, make_suite
from aetool_exporters.judgement import Judge
from aetool_exporters.request import Calibration, ExportRequest, QuantizationOptions

REQUEST = ExportRequest(
    "fake", sample_shape=(4,), quantization=QuantizationOptions(Calibration(lambda: iter([SAMPLES])))
)
SPACE = Space(("int8", "dynamic_range", "float16"))
EASY = [Layer("a", 100, 1e-4), Layer("b", 200, 1e-4), Layer("c", 300, 1e-4)]
ONE_WRECKED = [Layer("a", 100, 1e-4), Layer("b", 200, 0.5), Layer("c", 1000, 1e-4), Layer("d", 300, 1e-4)]


@pytest.fixture(autouse=True)
def _engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with registered_engine(tmp_path, monkeypatch):
        yield


def bench_of(layers: Sequence[Layer], budget: str, exporter: Any = None) -> Bench:
    reference: Any = FakeReference(layers)
    meter = Meter(reference, Budget.parse(budget), HeldOut(SAMPLES, 2.0))
    suite = make_suite(reference, Samples.of(SAMPLES))
    judge = Judge(suite, suite)
    return Bench(exporter or FakeExporter(), reference, REQUEST, meter, judge, lambda format_name, trial: None)


def never() -> Deadline:
    return Deadline(1.0, lambda: 0.0)


def found(
    layers: Sequence[Layer],
    budget: str,
    *,
    space: Space = SPACE,
    deadline: Deadline | None = None,
    exporter: Any = None,
) -> Frontier:
    bench = bench_of(layers, budget, exporter)
    reference: Any = FakeReference(layers)
    best, complete = search(bench, space, units_of(reference), deadline or never(), tuned=False)
    meter = bench.meter
    return Frontier(
        bench.format,
        meter.budget,
        meter.value,
        meter.limit,
        meter.samples,
        bench.baseline,
        tuple(bench.trials),
        complete,
        best.candidate if best else None,
    )


def test_errors_of_the_fakes_add_up() -> None:
    bench = bench_of(ONE_WRECKED, "mse:1")
    trial = bench.trial(Candidate("int8", "mse", True))
    assert bench.meter.value == pytest.approx(OWN, rel=1e-5)
    assert trial.quality is not None
    assert trial.quality.loss == pytest.approx(0.5 * (0.5 + 3e-4), rel=1e-4)


def test_where_all_at_int8_do_the_smallest_of_them_is_taken() -> None:
    frontier = found(EASY, "mse:1")
    best = frontier.within[0].candidate
    assert (best.precision, best.per_channel, best.float_layers) == ("int8", False, frozenset())
    assert best.method == "mse", "of equally small ones the one that loses least"
    assert frontier.complete


def test_the_likeliest_choices_are_tried_first() -> None:
    tried = [str(trial.candidate) for trial in found(EASY, "mse:1").trials]
    assert tried[:3] == ["int8, minmax, per channel", "dynamic_range, per channel", "float16"]
    assert len(tried) == 8 + 2 + 1


def test_one_layer_that_int8_wrecks_stays_in_float32() -> None:
    frontier = found(ONE_WRECKED, "mse:0.001", space=Space(("int8",)))
    assert frontier.within[0].candidate.float_layers == {"b"}
    assert all(
        trial.quality and trial.quality.loss > 0.2 for trial in frontier.trials if not trial.candidate.float_layers
    )


def test_a_uniform_precision_that_is_smaller_than_any_mix_wins() -> None:
    layers = [Layer("a", 100, 0.01), Layer("b", 1000, 0.9), Layer("c", 100, 0.01)]
    frontier = found(layers, "mse:0.1")
    assert frontier.within[0].candidate == Candidate("float16")


def exhaustive(layers: Sequence[Layer], limit: float) -> int:
    """The fewest bytes of any choice at int8, least squared error, that is not float32 everywhere."""
    names = [layer.name for layer in layers]
    sizes = []
    for count in range(len(names)):
        for kept in itertools.combinations(names, count):
            for per_channel in (True, False):
                options = Candidate("int8", "mse", per_channel, frozenset(kept)).options(REQUEST.quantization)
                size, error = cost(layers, replace(REQUEST, precision="int8", quantization=options))
                if error <= limit:
                    sizes.append(size + budget_fakes.BASE_BYTES)
    return min(sizes)


def test_what_is_found_is_near_the_best_that_there_is() -> None:
    rng = np.random.default_rng(4)
    ratios = []
    for _ in range(20):
        sizes, errors = rng.integers(50, 2000, 7), 10 ** rng.uniform(-5, -1, 7)
        layers = [Layer(f"l{i}", int(s), float(e)) for i, (s, e) in enumerate(zip(sizes, errors, strict=True))]
        limit = 0.5 * float(np.sort(errors)[:4].sum()) * 1.1
        frontier = found(layers, f"mse:{limit}", space=Space(("int8",)))
        ratios.append(frontier.within[0].size / exhaustive(layers, limit))
    assert min(ratios) >= 0.999
    assert np.mean(ratios) < 1.05
    assert max(ratios) < 1.3


def test_layers_that_the_user_keeps_are_kept_in_every_trial() -> None:
    frontier = found(ONE_WRECKED, "mse:0.001", space=Space(("int8",), float_layers=frozenset({"d"})))
    assert all("d" in trial.candidate.float_layers for trial in frontier.trials)
    assert frontier.within[0].candidate.float_layers == {"b", "d"}


def test_where_layers_must_not_stay_in_float32_none_does() -> None:
    frontier = found(ONE_WRECKED, "mse:0.001", space=Space(("int8",), mixed=False))
    assert len(frontier.trials) == 8
    assert frontier.chosen is None


def test_a_budget_that_nothing_keeps() -> None:
    frontier = found([Layer("a", 100, 0.5), Layer("b", 100, 0.5)], "mse:1e-9")
    assert frontier.within == []
    assert frontier.complete
    assert frontier.best is not None
    assert str(frontier.best.candidate) == "float16"


def test_what_fails_verification_counts_as_missed() -> None:
    """Signal-to-noise of the reconstruction below 10 dB: more squared error than a tenth of the mean square, 0.34."""
    frontier = found([Layer("a", 300, 0.3), Layer("b", 100, 0.3)], "mse:10", space=Space(("int8",), ("minmax",)))
    assert frontier.chosen is None
    assert all(trial.error and "signal-to-noise" in trial.error.what for trial in frontier.trials)
    frontier = found([Layer("a", 300, 0.3), Layer("b", 100, 0.01)], "mse:10", space=Space(("int8",), ("minmax",)))
    assert frontier.chosen == Candidate("int8", "minmax", False, frozenset({"a"}))


def test_time_that_is_up_ends_the_search_after_the_first_trial() -> None:
    frontier = found(ONE_WRECKED, "mse:0.001", deadline=Deadline(0.0, lambda: 1.0))
    assert [str(trial.candidate) for trial in frontier.trials] == ["int8, minmax, per channel"]
    assert not frontier.complete


def test_what_was_found_before_time_was_up_counts() -> None:
    ticks = itertools.count()
    frontier = found(ONE_WRECKED, "mse:0.001", deadline=Deadline(5, lambda: next(ticks)))
    assert not frontier.complete
    assert str(frontier.within[0].candidate) == "float16"


def test_the_same_trials_in_the_same_order_every_time() -> None:
    one, other = found(ONE_WRECKED, "mse:0.001"), found(ONE_WRECKED, "mse:0.001")
    assert one.trials == other.trials


def test_nothing_is_made_twice() -> None:
    exporter = FakeExporter()
    frontier = found(ONE_WRECKED, "mse:0.001", exporter=exporter)
    assert len({str(trial.candidate) for trial in frontier.trials}) == len(frontier.trials)
    assert len(exporter.made) == len(frontier.trials) + 1, "and float32 once, for comparison"


def test_a_precision_that_cannot_be_converted_is_a_trial_with_a_reason() -> None:
    frontier = found(EASY, "mse:1", exporter=FakeExporter(refused=["int8"]))
    assert {trial.candidate.precision for trial in frontier.trials if trial.error} == {"int8"}
    assert frontier.within[0].candidate.precision == "dynamic_range"


def test_the_frontier_holds_what_nothing_beats_in_bytes_and_quality() -> None:
    frontier = found(ONE_WRECKED, "mse:0.001")
    points = [(trial.size, trial.quality.loss) for trial in frontier.points if trial.quality]
    assert points == sorted(points)
    assert [loss for _, loss in points] == sorted((loss for _, loss in points), reverse=True)
    for trial in frontier.measured:
        assert trial.quality is not None
        assert any(size <= trial.size and loss <= trial.quality.loss for size, loss in points)


def test_the_frontier_as_rows_and_as_json() -> None:
    frontier = found(ONE_WRECKED, "mse:0.001")
    rows = list(frontier_rows(frontier))
    assert rows[-1][1:5] == ("float32", f"{4 * 1600 + 200:,}", "1.00×", "0.01")
    assert [row[-1] for row in rows].count("delivered") == 1
    document = frontier_json(frontier, timed=False)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert "latency" not in document["frontier"][0], "a report must not depend on the clock"
    assert [point["verdict"] for point in document["frontier"]].count("delivered") == 1


def test_searches_share_their_time_and_leave_the_rest() -> None:
    now = [0.0]
    allowance = Allowance(100.0, lambda: now[0])
    with allowance.share(2) as deadline:
        now[0] = 49.0
        assert not deadline.passed
        now[0] = 50.0
        assert deadline.passed
        now[0] = 60.0
    with allowance.share(1) as deadline:
        now[0] = 99.0
        assert not deadline.passed
        now[0] = 100.0
        assert deadline.passed
