"""Training: the loss curve of ``fit``, early stopping, and stopping and going on without a trace."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from aetool.config import DataConfig
from aetool.training import EpochDone, Event, StepsDone, is_checkpoint, load_checkpoint, plan_training, train
from aetool.training.recipe import make_loss, make_optimizer
from aetool.training.state import load_state
from aetool.training.steps import CompiledSteps
from aetool.training.trainer import epoch_order
from aetool_runtime.errors import InputError, InterruptedRun, ModelError, UsageError

from .runs import CONV, DENSE, assert_same_run, recording, vectors, weights, with_training

RUNS = [pytest.param(DENSE, vectors, id="dense"), pytest.param(CONV, recording, id="conv1d")]


def fit(config, data):
    """The loss curve of ``keras.Model.fit`` on the same seed, normalized samples and order."""
    plan = plan_training(config, data, print)
    model, normalize = plan.autoencoder.whole, plan.data.normalization.apply
    model.compile(make_optimizer(config.training, config.training.epochs * plan.batches), make_loss(config.training))
    training, validation = plan.data.training, plan.data.split.validation
    held = normalize(validation.take(np.arange(len(validation))))
    curve = []
    for epoch in range(config.training.epochs):
        samples = normalize(training.take(epoch_order(config.training.seed, epoch, len(training))))
        history = model.fit(
            samples, samples, config.training.batch_size, shuffle=False, verbose=0, validation_data=(held, held)
        ).history
        curve.append((history["loss"][0], history["val_loss"][0]))
    return curve, model.get_weights()


@pytest.mark.parametrize(
    ("config", "make", "changes"),
    [
        (DENSE, vectors, {}),
        (DENSE, vectors, {"loss": "mae", "optimizer": "SGD"}),
        (DENSE, vectors, {"loss": "binary_crossentropy", "optimizer": "rmsprop"}),
        (CONV, recording, {}),
    ],
    ids=["dense", "mae", "binary crossentropy", "conv1d"],
)
def test_the_loss_curve_is_that_of_fit(config, make, changes, tmp_path):
    config, data = with_training(config, **changes), make(tmp_path)
    ours = train(config, data, tmp_path / "model")
    curve, _ = fit(config, data)
    points = [(point["loss"], point["validation_loss"]) for point in ours.metrics["epochs"]]
    np.testing.assert_allclose(points, curve, rtol=2e-5)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A configuration and its data → the checkpoint of a run that nothing stopped; trained once, not to be changed."""

    @cache
    def trained(config, make):
        folder = tmp_path_factory.mktemp("whole")
        return train(config, make(folder), folder / "model")

    return trained


def test_the_same_run_twice_is_the_same(whole, tmp_path):
    assert_same_run(train(CONV, recording(tmp_path), tmp_path / "model"), whole(CONV, recording))


def test_the_weights_of_the_best_epoch_are_kept(tmp_path):
    """With a rate that diverges slowly, the last epoch is not the best."""
    config = with_training(DENSE, epochs=8, learning_rate=0.4, optimizer="sgd", loss="mae")
    checkpoint = train(config, vectors(tmp_path), tmp_path / "model")
    best = checkpoint.metrics["best_epoch"]
    losses = [point["validation_loss"] for point in checkpoint.metrics["epochs"]]
    assert best == int(np.argmin(losses)) + 1
    again = train(with_training(config, epochs=best), vectors(tmp_path), tmp_path / "shorter")
    for a, b in zip(weights(checkpoint), weights(again), strict=True):
        np.testing.assert_array_equal(a, b)


def test_early_stopping_waits_for_its_patience(tmp_path):
    config = with_training(DENSE, epochs=50, patience=2, min_delta=10.0)  # no epoch is better by as much
    checkpoint = train(config, vectors(tmp_path), tmp_path / "model")
    assert len(checkpoint.metrics["epochs"]) == 3
    assert checkpoint.metrics["stopped_early"]
    assert checkpoint.metrics["best_epoch"] == 1


@pytest.mark.parametrize(("config", "make"), RUNS)
@pytest.mark.parametrize("stop_at", [1, 14, 35])
def test_ctrl_c_loses_nothing(config, make, stop_at, whole, tmp_path):
    """SIGINT between any two blocks: the state is saved, and the resumed run ends as one that was not stopped."""
    data, output = make(tmp_path), tmp_path / "stopped"

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(InterruptedRun) as caught:
        train(config, data, output, report=_interrupt_at(stop_at))
    assert signal.getsignal(signal.SIGINT) is handler
    assert f"aetool train --resume {data} -o {output}" in caught.value.hint
    assert caught.value.exit_code == 130
    assert not is_checkpoint(output)
    with pytest.raises(ModelError, match="not finished\n  try: go on with: aetool train --resume"):
        load_checkpoint(output)
    resumed = train(config, data, output, resume=True)
    assert_same_run(resumed, whole(config, make))
    assert not (output / "training" / "state.npz").exists()


def test_stopping_again_and_again(whole, tmp_path):
    data, output = recording(tmp_path), tmp_path / "stopped"
    for number, stop_at in enumerate((1, 60, 61, 149)):
        with pytest.raises(InterruptedRun):
            train(CONV, data, output, resume=number > 0, report=_interrupt_at(stop_at))
    assert_same_run(train(CONV, data, output, resume=True), whole(CONV, recording))


def _interrupt_at(stop_at):
    def report(event):
        if isinstance(event, StepsDone) and event.step >= stop_at:
            os.kill(os.getpid(), signal.SIGINT)

    return report


def _interrupted(config, data, output):
    with pytest.raises(InterruptedRun):
        train(config, data, output, report=_interrupt_at(1))


def test_resuming_wants_the_same_configuration_and_data(tmp_path):
    data, output = vectors(tmp_path), tmp_path / "model"
    _interrupted(DENSE, data, output)
    with pytest.raises(UsageError, match=r"started with another training\.learning_rate"):
        train(with_training(DENSE, learning_rate=0.5), data, output, resume=True)
    other = np.load(data)
    other[100, 3] += 0.25
    np.save(tmp_path / "other.npy", other)
    with pytest.raises(InputError, match="started on other data"):
        train(DENSE, tmp_path / "other.npy", output, resume=True)
    assert train(DENSE, data, output, resume=True).metrics["epochs"]


def test_resuming_what_is_finished_gives_the_checkpoint(tmp_path):
    data, output = vectors(tmp_path), tmp_path / "model"
    first = train(DENSE, data, output)
    assert_same_run(train(DENSE, data, output, resume=True), first)
    with pytest.raises(UsageError, match=r"started with another training.epochs"):
        train(with_training(DENSE, epochs=9), data, output, resume=True)


def test_resuming_nothing(tmp_path):
    with pytest.raises(UsageError, match="there is no run to resume"):
        train(DENSE, vectors(tmp_path), tmp_path / "none", resume=True)
    assert not (tmp_path / "none").exists()


def test_a_damaged_state_is_named(tmp_path):
    data, output = vectors(tmp_path), tmp_path / "model"
    _interrupted(DENSE, data, output)
    state = output / "training" / "state.npz"
    state.write_bytes(state.read_bytes()[:-50])
    with pytest.raises(ModelError, match=r"state.npz: the saved state cannot be read"):
        train(DENSE, data, output, resume=True)


def test_overwriting_keeps_the_old_checkpoint_until_the_new_one_is_whole(tmp_path):
    data, output = vectors(tmp_path), tmp_path / "model"
    old = train(DENSE, data, output)
    config = with_training(DENSE, seed=6)
    with pytest.raises(UsageError, match="already exists"):
        train(config, data, output)
    with pytest.raises(InterruptedRun):
        train(config, data, output, overwrite=True, report=_interrupt_at(1))
    assert_same_run(load_checkpoint(output), old)
    with pytest.raises(UsageError, match="there is an unfinished run"):
        train(config, data, output)
    new = train(config, data, output, resume=True)
    assert_same_run(load_checkpoint(output), new)
    assert new.config.training.seed == 6
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_overwriting_never_deletes_what_is_not_ours(tmp_path):
    precious = tmp_path / "home"
    precious.mkdir()
    (precious / "thesis.tex").write_text("...")
    with pytest.raises(UsageError, match="is not a checkpoint or a run"):
        train(DENSE, vectors(tmp_path), precious, overwrite=True)
    assert (precious / "thesis.tex").exists()


def test_a_loss_that_is_not_finite_stops_and_names_its_batch(tmp_path):
    """14 batches an epoch; one sample that is huge in the data, but finite, overflows the loss."""
    values = np.load(vectors(tmp_path)).astype(np.float32)
    values[_late_sample(), 0] = 3e38
    np.save(tmp_path / "huge.npy", values)
    config = replace(with_training(DENSE, save_seconds=0.0), data=DataConfig(normalization="none"))
    with pytest.raises(InputError, match=r"epoch 1, batch \d+: the loss is (inf|nan); expected a finite number"):
        train(config, tmp_path / "huge.npy", tmp_path / "model")
    state = load_state(tmp_path / "model" / "training" / "state.npz")
    assert all(np.isfinite(array).all() for array in state.model)


def _late_sample():
    """A row of the training part that is not in the first batch of the first epoch."""
    split = np.random.default_rng(0).permutation(275)[:220]
    return int(split[epoch_order(DENSE.training.seed, 0, 220)[100]])


def test_diverging_weights_name_epoch_and_batch(tmp_path):
    config = with_training(DENSE, optimizer="sgd", learning_rate=1e30)
    with pytest.raises(InputError, match=r"epoch \d+.*: the (validation )?loss is (inf|nan)") as caught:
        train(config, vectors(tmp_path), tmp_path / "model")
    assert "lower the learning rate" in caught.value.hint


def test_a_step_that_does_not_fit_in_memory_is_told(tmp_path, monkeypatch):
    def train_block(*_):
        raise MemoryError("Unable to allocate 1.00 TiB for an array with shape (3,)")

    monkeypatch.setattr(CompiledSteps, "train", train_block)
    with pytest.raises(UsageError, match=r"does not fit in memory\n  try: make \[training\] batch_size, or the model"):
        train(DENSE, vectors(tmp_path), tmp_path / "model")


def test_an_unknown_optimizer_suggests_one_before_anything_is_read(tmp_path):
    with pytest.raises(UsageError, match=r"training.optimizer is 'adm'; expected one of .*\n.*did you mean 'adam'"):
        train(with_training(DENSE, optimizer="adm"), tmp_path / "none.npy", tmp_path / "model")


def test_events_tell_every_epoch_and_growing_steps(tmp_path):
    events: list[Event] = []
    train(DENSE, vectors(tmp_path), tmp_path / "model", report=events.append)
    epochs = [event.point.epoch for event in events if isinstance(event, EpochDone)]
    steps = [event.step for event in events if isinstance(event, StepsDone)]
    assert epochs == [1, 2, 3]
    assert steps == sorted(set(steps))
    assert steps[-1] == 3 * 14


def test_tensorboard_logs_hold_the_loss_curve(tmp_path):
    import tensorflow as tf

    checkpoint = train(DENSE, vectors(tmp_path), tmp_path / "model")
    found: dict[tuple[str, int], float] = {}
    for path in (tmp_path / "model" / "training" / "logs").iterdir():
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                assert value.metadata.plugin_data.plugin_name == "scalars"
                found[value.tag, event.step] = float(tf.make_ndarray(value.tensor))
    for point in checkpoint.metrics["epochs"]:
        for tag in ("loss", "validation_loss"):
            assert found[tag, point["epoch"]] == pytest.approx(point[tag], rel=1e-6)


def test_nothing_is_left_beside_the_checkpoint(tmp_path):
    folder = tmp_path / "runs"
    folder.mkdir()
    train(DENSE, vectors(tmp_path), folder / "model")
    assert [path.name for path in folder.iterdir()] == ["model"]
    assert {path.name for path in (folder / "model").iterdir()} == {
        "encoder.keras", "decoder.keras", "config.toml", "metrics.json", "held_out.npy", "calibration.npy",
        "checkpoint.json", "training",
    }  # fmt: skip


def test_a_model_is_trained_on_mapped_data(tmp_path):
    """The rows stay on disk: what training holds of them is a memory map."""
    plan = plan_training(CONV, recording(tmp_path), print)
    assert isinstance(plan.data.training.rows, np.memmap)
