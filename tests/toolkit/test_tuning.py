"""Choosing parameters: what may be tried, and a study that is the same however often it is interrupted."""

from __future__ import annotations

import math
import os
import shutil
import signal
from dataclasses import replace

import pytest

from aetool.config import Config, DenseModel, TextModel, config_text, load_config
from aetool.config.tuning import Choices, Range, default_space, load_space, parse_space, with_values
from aetool.training import EpochDone
from aetool.tuning import Search, saved_search, tune
from aetool.tuning import trial as trials
from aetool.tuning.search import combinations
from aetool_runtime.errors import InputError, InterruptedRun, ModelError, UsageError

from .runs import CONV, DENSE, vectors, with_training

CONFIG = with_training(DENSE, epochs=4, batch_size=32)
SPACE = {
    "model.hidden": Choices(((8,), (4, 4))),
    "model.latent": Range(1, 6, log=True),
    "training.learning_rate": Range(1e-4, 0.1, log=True),
}
SEARCH = Search(CONFIG, SPACE)


def told(tuning):
    return [(record.state, dict(record.values), dict(record.objectives)) for record in tuning.trials]


def test_the_section_is_read_and_train_overlooks_it(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text(
        config_text(DENSE)
        + '[tune]\n"model.hidden" = {choices = [[8], [4, 4]]}\nmodel.latent = {low = 1, high = 6, log = true}\n'
        + '"training.learning_rate" = {low = 1e-4, high = 1, log = true}\n'
        + '"training.schedule" = {choices = ["constant", "cosine"]}\n'
    )
    assert load_config(path) == DENSE
    space = load_space(path, DENSE)
    assert space == {
        "model.hidden": Choices(((8,), (4, 4))),
        "model.latent": Range(1, 6, log=True),
        "training.learning_rate": Range(1e-4, 1.0, log=True),
        "training.schedule": Choices(("constant", "cosine")),
    }
    path.write_text(config_text(DENSE))
    assert load_space(path, DENSE) is None


HALF = "expected {choices = [...]} or {low = ..., high = ..., log = true}"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "run.toml: [tune] is empty; expected paths such as model.latent, model.hidden"),
        ({"model.latnt": {"choices": [1]}}, "tune.model.latnt is not known; expected one of model.latent"),
        ({"model.latnt": {"choices": [1]}}, "did you mean 'model.latent'?"),
        ({"latent": {"choices": [1]}}, "tune.latent.choices is not known"),
        ({"model.filters": {"choices": [[1]]}}, "tune.model.filters is not known"),
        ({"training.loss": {"choices": ["mae"]}}, "tune.training.loss cannot be tried: trials with different values"),
        ({"data.normalization": {"choices": ["none"]}}, "tune.data.normalization cannot be tried"),
        ({"penalty.l1": {"low": 0.0, "high": 1.0}}, "tune.penalty.l1 cannot be tried"),
        ({"model.latent": 8}, f"run.toml, [tune] model.latent: is 8; {HALF}"),
        ({"model.latent": {}}, f"is {{}}; {HALF}"),
        ({"model.latent": {"choices": [1], "low": 2}}, HALF),
        ({"model.latent": {"choices": []}}, "choices is []; expected a list of values"),
        ({"model.latent": {"choices": [1, 2, 1]}}, "choices[2] is 1, which is there already"),
        ({"model.latent": {"choices": [1, "2"]}}, "model.latent, choices[1]: model.latent is '2'; expected `int`"),
        ({"model.latent": {"choices": [0]}}, "choices[0]: [model] latent must be > 0"),
        ({"model.activation": {"choices": ["relu", "rleu"]}}, "model.activation is 'rleu'; expected linear, relu"),
        ({"model.activation": {"low": 1, "high": 2}}, "model.activation is no number, so it has no range"),
        ({"model.latent": {"low": 1}}, "high is missing"),
        ({"model.latent": {"low": 1, "high": 4.5}}, "high: model.latent is 4.5; expected `int`, got `float`"),
        ({"model.latent": {"low": 0, "high": 4}}, "low: [model] latent must be > 0"),
        ({"model.latent": {"low": 4, "high": 4}}, "low is 4 and high is 4; expected low < high"),
        ({"model.latent": {"low": 1, "hihg": 4}}, "hihg is not known; expected one of low, high, log\n  try: did you"),
        ({"training.learning_rate": {"low": 0.1, "high": 1.0, "log": 1}}, "log is 1; expected true or false"),
        ({"training.min_delta": {"low": 0.0, "high": 1.0, "log": True}}, "low is 0.0 and log is true"),
    ],
)
def test_what_cannot_be_tried_is_named(table, message):
    with pytest.raises(UsageError) as caught:
        parse_space(table, DENSE, "run.toml")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("config", "paths"),
    [
        (Config(DenseModel()), {"model.hidden", "model.activation"}),
        (CONV, {"model.filters", "model.kernel", "model.batch_norm", "model.activation"}),
        (Config(TextModel()), {"model.filters", "model.kernel", "model.activation"}),
        (Config(TextModel(body="gru")), {"model.units"}),
    ],
    ids=["dense", "conv1d", "text", "text with gru"],
)
def test_each_family_has_a_space_of_its_own_that_holds_its_values(config, paths):
    space = default_space(config)
    assert set(space) == {*paths, "training.batch_size", "training.learning_rate"}
    for path in paths:
        section, key = path.split(".")
        assert getattr(getattr(config, section), key) in space[path].choices


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A study of four trials that nothing interrupted, and its folder."""
    folder = tmp_path_factory.mktemp("whole")
    return tune(SEARCH, vectors(folder), folder / "study", trials=4), folder / "study"


def test_winners_are_ready_to_train(whole):
    tuning, folder = whole
    assert len(tuning.trials) == 4
    own = {"model.hidden": [8], "model.latent": 3, "training.learning_rate": 0.01}
    assert dict(tuning.trials[0].values) == own, "the configuration's own values come first"
    best = min((record for record in tuning.trials if record.objectives), key=lambda record: record.objectives["error"])
    assert tuning.front == (best,)
    assert tuning.files == (folder / "best-01.toml",)
    assert load_config(tuning.files[0]) == with_values(CONFIG, best.values)


def test_the_same_seed_gives_the_same_trials_also_when_interrupted(whole, tmp_path):
    data, events = vectors(tmp_path), []
    with pytest.raises(InterruptedRun) as caught:
        tune(SEARCH, data, tmp_path / "two", trials=4, report=stop_after(2, events))
    assert f"aetool tune --resume {data} -o {tmp_path / 'two'} --trials 4" in caught.value.hint
    assert caught.value.exit_code == 130
    two = tune(saved_search(tmp_path / "two"), data, tmp_path / "two", trials=4, resume=True)
    assert told(two) == told(whole[0])


def test_another_seed_tries_something_else(whole, tmp_path):
    other = tune(replace(SEARCH, seed=1), vectors(tmp_path), tmp_path / "other", trials=2)
    assert told(other)[0] == told(whole[0])[0]
    assert told(other)[1] != told(whole[0])[1]


def stop_after(count, events):
    """SIGINT to ourselves when so many trials are done: it comes between two trials, or in the next."""

    def report(event):
        events.append(event)
        if len(events) == count:
            os.kill(os.getpid(), signal.SIGINT)

    return report


def test_ctrl_c_inside_a_trial_and_a_kill_leave_no_trace(whole, tmp_path, monkeypatch):
    """In the first trial, whose values are the configuration's own, and in the second."""
    data = vectors(tmp_path)
    real, calls = trials._report, []

    def reported(trial, event: EpochDone, **more):
        calls.append(event)
        if len(calls) in (1, 8):
            os.kill(os.getpid(), signal.SIGINT)
        if len(calls) in (3, 10):
            raise SystemExit  # as a kill: nothing of ours handles it
        real(trial, event, **more)

    monkeypatch.setattr(trials, "_report", reported)
    with pytest.raises(InterruptedRun, match="trial 1 of 2: tuning was interrupted"):
        tune(SEARCH, data, tmp_path / "study", trials=2)
    with pytest.raises(SystemExit):
        tune(SEARCH, data, tmp_path / "study", trials=2, resume=True)
    with pytest.raises(InterruptedRun, match="trial 2 of 2: tuning was interrupted"):
        tune(SEARCH, data, tmp_path / "study", trials=2, resume=True)
    with pytest.raises(SystemExit):
        tune(SEARCH, data, tmp_path / "study", trials=2, resume=True)
    assert told(tune(SEARCH, data, tmp_path / "study", trials=2, resume=True)) == told(whole[0])[:2]


def test_trials_are_counted_over_resumed_runs(whole, tmp_path):
    data = vectors(tmp_path)
    for count in (1, 1, 2):
        tuning = tune(SEARCH, data, tmp_path / "study", trials=count, resume=(tmp_path / "study").exists())
        assert told(tuning) == told(whole[0])[:count]


def test_a_trial_that_falls_behind_is_pruned(tmp_path):
    """From the sixth on, against the median of those that came to their end; here all learn but the last ones."""
    rates = tuple(0.01 + step / 1000 for step in range(5))
    config = with_training(DENSE, epochs=4, batch_size=32, learning_rate=rates[0])
    search = Search(config, {"training.learning_rate": Choices((*rates, 1e-7, 1e-8, 1e-9))}, seed=0)
    tuning = tune(search, vectors(tmp_path), tmp_path / "study", trials=8)
    pruned = [record for record in tuning.trials if record.state == "pruned"]
    assert pruned
    assert all(record.values["training.learning_rate"] < 1e-6 and not record.objectives for record in pruned)
    assert all(record.number > 5 for record in pruned)
    assert tuning.front[0].state == "complete"


def test_the_front_is_what_nothing_beats_in_both(tmp_path):
    tuning = tune(replace(SEARCH, against=("parameters",)), vectors(tmp_path), tmp_path / "study", trials=5)
    points = [(record.objectives["error"], record.objectives["parameters"]) for record in tuning.trials]
    best = {point for point in points if not any(all(map(le, other, point)) and other != point for other in points)}
    assert [(r.objectives["error"], r.objectives["parameters"]) for r in tuning.front] == sorted(best)
    assert len(tuning.files) == len(best) >= 2
    assert all(record.state == "complete" for record in tuning.trials), "none is pruned"


def le(one, other):
    return one <= other


@pytest.mark.parametrize("name", ["multiply_adds", "bytes"])
def test_costs_are_those_that_inspect_shows(name, tmp_path):
    space = {"model.hidden": Choices(((8,),))}
    tuning = tune(Search(CONFIG, space, (name,)), vectors(tmp_path), tmp_path / "study", trials=1)
    weights = 2 * (10 * 8 + 8 * 3)  # 10 → 8 → 3 → 8 → 10
    biases = 8 + 3 + 8 + 10
    assert tuning.front[0].objectives[name] == {"multiply_adds": weights, "bytes": 4 * (weights + biases)}[name]


def test_a_trial_that_cannot_be_done_is_recorded_and_the_study_goes_on(tmp_path):
    space = {"training.learning_rate": Choices((0.01, 1e30)), "training.optimizer": Choices(("sgd",))}
    tuning = tune(Search(CONFIG, space), vectors(tmp_path), tmp_path / "study", trials=4)
    states = {record.values["training.learning_rate"]: record for record in tuning.trials}
    assert states[1e30].state == "failed"
    assert "loss is" in states[1e30].reason
    assert states[0.01].state == "complete"

    space = {"training.learning_rate": Choices((1e30,)), "training.optimizer": Choices(("sgd",))}
    with pytest.raises(InputError, match=r"none of 1 trials could be done\n.*the first said: .*loss is"):
        tune(Search(CONFIG, space), vectors(tmp_path), tmp_path / "hopeless", trials=2)


def test_nothing_is_tried_twice_and_a_study_ends_when_all_was_tried(tmp_path):
    config = with_training(DENSE, epochs=1)
    space = {"model.latent": Range(1, 3), "model.hidden": Choices(((8,), (4,)))}
    events = []
    tuning = tune(Search(config, space), vectors(tmp_path), tmp_path / "study", trials=50, report=events.append)
    tried = [tuple(map(str, record.values.values())) for record in tuning.trials]
    assert len(tried) == len(set(tried)) == combinations(space) == 6
    assert events[-1] == "all 6 combinations of values were tried"
    events.clear()
    again = tune(Search(config, space), vectors(tmp_path), tmp_path / "study", trials=50, resume=True)
    assert told(again) == told(tuning)


def test_a_number_that_is_not_whole_leaves_no_end():
    assert combinations({"model.latent": Range(1, 3), "training.learning_rate": Range(0.1, 0.2)}) == math.inf


def test_two_do_not_work_on_one_study(tmp_path):
    data, output = vectors(tmp_path), tmp_path / "study"
    messages = []

    def second(event):
        with pytest.raises(UsageError) as caught:
            tune(saved_search(output), data, output, trials=2, resume=True)
        messages.append(str(caught.value))

    tune(SEARCH, data, output, trials=1, report=second)
    assert "another process works on this study" in messages[0]
    assert len(tune(SEARCH, data, output, trials=1, resume=True).trials) == 1


def test_a_study_that_is_not_ours_or_another_is_refused(tmp_path):
    data, output = vectors(tmp_path), tmp_path / "study"
    with pytest.raises(UsageError, match="there is no study to resume"):
        tune(SEARCH, data, output, trials=1, resume=True)
    tune(SEARCH, data, output, trials=1)
    with pytest.raises(UsageError, match="exists"):
        tune(SEARCH, data, output, trials=1)
    with pytest.raises(UsageError, match="started with another seed"):
        tune(replace(SEARCH, seed=3), data, output, trials=1, resume=True)
    with pytest.raises(UsageError, match="started with another config"):
        tune(replace(SEARCH, config=DENSE), data, output, trials=1, resume=True)
    with pytest.raises(InputError, match="started on other data"):
        tune(SEARCH, vectors(tmp_path, rows=276), output, trials=1, resume=True)
    file = output / "study.sqlite3"
    file.write_bytes(b"SQLite format 3\0" + bytes(4000))
    with pytest.raises(ModelError, match=r"study.sqlite3: the study cannot be read"):
        saved_search(output)
    shutil.rmtree(output)
    output.mkdir()
    (output / "thesis.tex").write_text("...")
    with pytest.raises(UsageError, match="is not a study"):
        tune(SEARCH, data, output, trials=1, overwrite=True)
    assert (output / "thesis.tex").exists()


@pytest.mark.parametrize(
    ("limits", "message"),
    [({}, "a study needs an end"), ({"trials": 0}, "at least 1"), ({"minutes": 0.0}, "more than 0")],
)
def test_limits(limits, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        tune(SEARCH, vectors(tmp_path), tmp_path / "study", **limits)


def test_the_time_ends_a_study_but_not_before_it_has_a_result(tmp_path):
    tuning = tune(SEARCH, vectors(tmp_path), tmp_path / "study", minutes=1e-6, trials=50)
    assert len(tuning.trials) == 1
    assert tuning.front
