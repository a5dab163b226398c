"""`aetool export --max-drop`: a budget that needs a layer in float32, one that nothing keeps, and wrong calls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.cli.conftest import Aetool
from tests.exporters.wild_model import VALUES, WILD, wild_autoencoder, wild_samples

from aetool_exporters import ExportOptions, verify
from aetool_exporters.budget import Budget, BudgetOptions, Frontier, HeldOut
from aetool_exporters.pipeline import export_reference
from aetool_exporters.request import Calibration, QuantizationOptions
from aetool_runtime import open_bundle
from aetool_runtime.bundle import Bundle


@pytest.fixture(scope="module")
def wild(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model, held-out and calibration data."""
    folder = tmp_path_factory.mktemp("wild")
    wild_autoencoder().save(folder / "wild.keras")
    np.save(folder / "held_out.npy", wild_samples(200, 1))
    np.save(folder / "calibration.npy", wild_samples(300, 2))
    return folder


def call(wild: Path, output: Path, budget: str, *more: object) -> list[object]:
    data = ["--data", wild / "held_out.npy", "--calibration", wild / "calibration.npy"]
    return ["export", wild / "wild.keras", "--onnx", "--latent", WILD, "-o", output, *data, "--max-drop", budget, *more]


def test_a_budget_that_needs_a_layer_in_float32_gets_it(aetool: Aetool, wild: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.aepkg"
    done = aetool(*call(wild, output, "psnr:1", "--precision", "int8", "--json"))
    assert done.code == 0, done.err
    (found,) = done.document["budgets"]
    points = found["frontier"]
    (delivered,) = [point for point in points if point["verdict"] == "delivered"]
    uniform = [point for point in points if not point["float_layers"]]
    assert uniform
    assert all(point["loss"] > 10 for point in uniform), "all at int8 misses by far"
    assert delivered["float_layers"] == [WILD]
    assert delivered["loss"] <= found["limit"] == 1
    assert delivered["bytes"] < 0.5 * found["float32_bytes"]
    assert delivered["latency"] > 0
    manifest = open_bundle(output).manifest
    assert {artifact.precision for artifact in manifest.artifacts} == {"int8"}
    stored = json.loads((output / "report.json").read_text())["budgets"]
    assert [point["loss"] for point in stored[0]["frontier"]] == [point["loss"] for point in points]
    assert "latency" not in stored[0]["frontier"][0]


def test_the_same_search_gives_the_same_bytes(aetool: Aetool, wild: Path, tmp_path: Path) -> None:
    outputs = [tmp_path / "one.aepkg", tmp_path / "other.aepkg"]
    for output in outputs:
        assert aetool(*call(wild, output, "mse:20%", "--precision", "int8", "--name", "wild")).code == 0
    one, other = map(open_bundle, outputs)
    assert one.digest == other.digest


def test_a_budget_that_nothing_keeps_is_6_and_leaves_nothing(aetool: Aetool, wild: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.aepkg"
    done = aetool(*call(wild, output, "psnr:0", "--precision", "int8"))
    assert done.code == 6
    assert "no onnx artifact keeps psnr:0: the best of" in done.err
    assert "bytes and psnr" in done.err
    assert "lost" in done.err
    assert "--finetune" in done.err
    assert "missed" in done.out
    assert "delivered" not in done.out
    assert list(tmp_path.iterdir()) == []


def test_the_document_of_a_failure_tells_what_was_found(aetool: Aetool, wild: Path, tmp_path: Path) -> None:
    done = aetool(*call(wild, tmp_path / "out.aepkg", "psnr:0", "--precision", "int8", "--per-tensor", "--json"))
    assert done.code == 6
    assert done.document["error"]["type"] == "BudgetError"
    assert {point["per_channel"] for point in done.document["budgets"][0]["frontier"]} == {False}
    assert list(tmp_path.iterdir()) == []


def test_the_smallest_of_all_precisions_beside_float32(aetool: Aetool, wild: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.aepkg"
    done = aetool(*call(wild, output, "mse:5%", "--precision", "float32,float16", "--precision", "dynamic_range"))
    assert done.code == 0, done.err
    assert {artifact.precision for artifact in open_bundle(output).manifest.artifacts} == {"float32", "dynamic_range"}
    assert "delivered" in done.out
    assert "int8," not in done.out


def test_labels_say_what_auc_is_about(aetool: Aetool, wild: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    mixed, labels = wild_samples(200, 6), rng.random(200) < 0.3
    mixed[labels] += 0.2 * rng.normal(size=(int(labels.sum()), VALUES))
    rows = np.column_stack([mixed, labels])
    header = ",".join([*(f"v{i}" for i in range(VALUES)), "broken"])
    np.savetxt(tmp_path / "mixed.csv", rows, delimiter=",", header=header, comments="")
    data = ["--data", tmp_path / "mixed.csv", "--labels", "broken", "--precision", "dynamic_range"]
    model = [wild / "wild.keras", "--onnx", "--latent", WILD, "-o", tmp_path / "out.aepkg"]
    done = aetool("export", *model, *data, "--max-drop", "auc:0.01", "--json")
    assert done.code == 0, done.err
    assert done.document["budgets"][0]["model"] > 0.9
    points = done.document["budgets"][0]["frontier"]
    assert [point["verdict"] for point in points].count("delivered") == 1


WRONG = {
    "a budget that is none": (["--max-drop", "psrn:1"], "did you mean 'psnr'"),
    "labels without a budget": (["--labels", "x.npy"], "--labels belongs to a budget"),
    "fine-tuning without a budget": (["--finetune", "10"], "--finetune belongs to a budget"),
    "no held-out data": (["--max-drop", "psnr:1"], "--data FILE"),
    "labels without data": (["--max-drop", "auc:0.1", "--labels", "x.npy"], "--data FILE"),
    "auc without labels": (["--max-drop", "auc:0.1", "--data", "held_out.npy"], "--labels FILE"),
    "tokens where there are none": (["--max-drop", "accuracy:0.1", "--data", "held_out.npy"], "psnr:0.5"),
    "images where there are none": (["--max-drop", "ssim:0.1", "--data", "held_out.npy"], "psnr:0.5"),
    "more neighbours than samples": (["--max-drop", "recall@500:0.1", "--data", "held_out.npy"], "--data FILE"),
    "the same data twice": (
        ["--max-drop", "psnr:1", "--data", "held_out.npy", "--calibration", "./held_out.npy"],
        "split the data",
    ),
    "int8 without calibration": (
        ["--max-drop", "psnr:1", "--data", "held_out.npy", "--precision", "int8"],
        "--calibration FILE",
    ),
    "fine-tuning without samples": (
        ["--max-drop", "psnr:1", "--data", "held_out.npy", "--finetune", "10"],
        "--calibration FILE",
    ),
}


@pytest.mark.parametrize(("options", "hint"), WRONG.values(), ids=WRONG)
def test_a_wrong_call_is_2_with_a_way_out(
    aetool: Aetool, wild: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], hint: str
) -> None:
    monkeypatch.chdir(wild)
    done = aetool("export", "wild.keras", "--onnx", "--latent", WILD, "-o", tmp_path / "out.aepkg", *options)
    assert done.code == 2, done.err
    assert hint in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array(["normal"] * 200), "the labels are texts"),
        (np.zeros(3), "3 labels and 200 samples"),
        (np.zeros(200), "needs anomalous samples and others"),
    ],
    ids=["texts", "too few", "one kind"],
)
def test_labels_that_do_not_fit_are_refused(
    aetool: Aetool, wild: Path, tmp_path: Path, labels: np.ndarray, message: str
) -> None:
    np.save(tmp_path / "labels.npy", labels)
    done = aetool(*call(wild, tmp_path / "out.aepkg", "auc:0.1", "--labels", tmp_path / "labels.npy"))
    assert done.code in (2, 3)
    assert message in done.err


@pytest.fixture(scope="module")
def digits(dense_checkpoint: Path) -> Any:
    from aetool.model import load_model

    return load_model(dense_checkpoint)


def kept(digits: Any, output: Path, budget: str, steps: int) -> tuple[Frontier, Bundle]:
    """int8 in ONNX, without layers in float32."""
    calibration = Calibration(lambda: iter(np.array_split(digits.calibration, 4)))
    held_out = HeldOut(digits.samples.values, 16.0)
    options = BudgetOptions(
        Budget.parse(budget), held_out, methods=("minmax",), granularities=(True,), mixed=False, finetune_steps=steps
    )
    frontiers: list[Frontier] = []
    bundle = export_reference(
        digits.reference,
        output,
        "digits",
        digits.samples,
        ExportOptions(("onnx",), ("float32", "int8"), QuantizationOptions(calibration), budget=options),
        on_frontier=frontiers.append,
    )
    return frontiers[0], bundle


def test_fine_tuning_keeps_a_budget_that_rounding_alone_does_not(digits: Any, tmp_path: Path) -> None:
    frontier, _ = kept(digits, tmp_path / "rounded.aepkg", "mse:10", 0)
    before = frontier.trials[0].quality
    assert before is not None
    frontier, bundle = kept(digits, tmp_path / "tuned.aepkg", f"mse:{0.7 * before.loss:.9f}", 300)
    assert str(frontier.chosen) == "int8, minmax, per channel, fine-tuned"
    checks = list(verify(bundle, digits.reference, digits.samples))
    assert {check.artifact.precision for check in checks} == {"float32", "int8"}
    assert all(check.passed for check in checks), "both are held against the model that was never tuned"
