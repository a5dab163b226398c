"""``aetool tune [CONFIG] DATA``."""

from __future__ import annotations

import shlex
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aetool.cli.given import Given, given_options
from aetool.cli.output import emit_json, log, next_step, table

if TYPE_CHECKING:
    from aetool.tuning import Search, TrialDone, TrialRecord, Tuning

__all__ = ["command"]

_TRIALS = 30


@click.command("tune")
@click.option("--trials", type=int, help=f"How many in all, resumed ones included; {_TRIALS} where there is no --time.")
@click.option(
    "--time", "minutes", type=float, metavar="MINUTES", help="Stop after so long; the trial that runs is given up."
)
@click.option(
    "--objective",
    "against",
    type=click.Choice(["multiply_adds", "bytes", "parameters"]),
    multiple=True,
    help="What the error is weighed against; may be given more than once.",
)
@click.option("--epochs", type=int, help="Of each trial, instead of the configuration's.")
@click.option("--seed", type=int, help="Of what is tried (0); weights and order have the configuration's.")
@given_options
def command(
    given: Given,
    trials: int | None,
    minutes: float | None,
    against: tuple[str, ...],
    epochs: int | None,
    seed: int | None,
) -> None:
    """Look for the best parameters: train on DATA again and again, compare by the validation part.

    What is tried stands in [tune] of CONFIG, such as "model.hidden" = {choices = [[32], [64]]} or
    "training.learning_rate" = {low = 1e-4, high = 1e-2, log = true}; without it, widths, kernel, activation, batch size
    and learning rate are tried around the configuration's own. Same seed, same result; Ctrl-C stops, --resume goes on.

    \b
    aetool tune --preset dense builtin:digits -o study --trials 20
    aetool tune config.toml windows.npy -o study --time 30 --objective multiply_adds
    aetool tune --resume windows.npy -o study --trials 100
    """
    search = _search(given, against, epochs, seed)
    if given.dry_run:
        _tell_search(search, given.as_json)
        return
    trials = _TRIALS if trials is None and minutes is None else trials
    from aetool.tuning import tune

    tuning = tune(
        search,
        given.data,
        given.output,
        trials=trials,
        minutes=minutes,
        resume=given.resume,
        overwrite=given.overwrite,
        report=_told,
    )
    _tell_result(tuning, given)


def _search(given: Given, against: tuple[str, ...], epochs: int | None, seed: int | None) -> Search:
    from aetool.tuning import Search, saved_search

    config = given.config()
    if config is None:
        saved = saved_search(given.output)
        return replace(
            saved,
            config=_with_epochs(saved.config, epochs),
            against=against or saved.against,
            seed=saved.seed if seed is None else seed,
        )
    config = _with_epochs(config, epochs)
    return Search(config, _space(given.path, config), tuple(dict.fromkeys(against)), seed or 0)


def _with_epochs(config: Any, epochs: int | None) -> Any:
    from aetool.config.tuning import with_values

    return config if epochs is None else with_values(config, {"training.epochs": epochs}, "--epochs")


def _space(path: Path | None, config: Any) -> Any:
    from aetool.config.tuning import default_space, load_space

    space = None if path is None else load_space(path, config)
    return default_space(config) if space is None else space


def _tell_search(search: Search, as_json: bool) -> None:
    space = {path: asdict(dimension) for path, dimension in search.space.items()}
    if as_json:
        emit_json({"config": asdict(search.config), "space": space, "objectives": search.objectives})
        return
    for path, form in space.items():
        click.echo(f'"{path}" = {{{", ".join(f"{key} = {_text(value)}" for key, value in form.items())}}}')
    click.echo(f"objectives: {', '.join(search.objectives)}")
    click.echo("next: the same command without --dry-run")


def _told(event: TrialDone | str) -> None:
    if isinstance(event, str):
        log(event)
        return
    record, values = event.record, ", ".join(f"{path} {_text(value)}" for path, value in event.record.values.items())
    result = ", ".join(f"{name} {_number(value)}" for name, value in record.objectives.items())
    reason = record.reason.splitlines()[0] if record.reason else ""
    of = f"/{event.trials}" if event.trials else ""
    log(f"trial {record.number}{of}: {result or record.state}{': ' + reason if reason else ''} ({values})")


def _tell_result(tuning: Tuning, given: Given) -> None:
    if given.as_json:
        emit_json(
            {
                "study": str(given.output),
                "trials": [asdict(record) for record in tuning.trials],
                "front": [
                    {**asdict(record), "config": str(file)}
                    for record, file in zip(tuning.front, tuning.files, strict=True)
                ],
            }
        )
        return
    states = [record.state for record in tuning.trials]
    counts = ", ".join(f"{states.count(state)} {state}" for state in ("complete", "pruned", "failed"))
    beaten = "nothing beats this one" if len(tuning.front) == 1 else "no other one beats any of these in everything"
    click.echo(f"{len(states)} trials ({counts}); {beaten}, by validation loss:\n")
    click.echo(_front_table(tuning))
    click.echo("")
    next_step(shlex.join(["aetool", "train", str(tuning.files[0]), given.data, "-o", "model"]))


def _front_table(tuning: Tuning) -> str:
    paths = list(tuning.front[0].values)
    header = ("configuration", "trial", *tuning.front[0].objectives, *paths)
    return table(header, [_row(record, file, paths) for record, file in zip(tuning.front, tuning.files, strict=True)])


def _row(record: TrialRecord, file: Path, paths: list[str]) -> tuple[str, ...]:
    objectives = [_number(value) for value in record.objectives.values()]
    return file.name, str(record.number), *objectives, *(_text(record.values[path]) for path in paths)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 or value.is_integer() else f"{value:.5g}"


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_text, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)
