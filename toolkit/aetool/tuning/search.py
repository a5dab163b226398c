"""What is searched for: the question that a study answers, and how one trial's values are drawn."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from aetool.config import Config, config_text, parse_config
from aetool.config.tuning import Choices, Dimension, Range, SearchSpace, parse_space

__all__ = ["OBJECTIVES", "Search", "combinations", "own_values", "suggest"]

OBJECTIVES = ("multiply_adds", "bytes", "parameters")  # what the error is weighed against


@dataclass(frozen=True)
class Search:
    """A question.

    Args:
        config: what all trials share; each replaces the values of ``space``.
        space: what may be tried, by path.
        against: what else is to be small: names of ``OBJECTIVES``. The first objective is always the error: the best
            validation loss of a trial's epochs.
        seed: of what is tried; weights and orders have the configuration's.
    """

    config: Config
    space: SearchSpace
    against: tuple[str, ...] = ()
    seed: int = 0

    @property
    def objectives(self) -> tuple[str, ...]:
        """All names, the error first."""
        return ("error", *self.against)

    def to_json(self) -> dict[str, Any]:
        """Everything, as a study keeps it."""
        space = {path: asdict(dimension) for path, dimension in self.space.items()}
        return {"config": config_text(self.config), "space": space, "against": self.against, "seed": self.seed}

    @classmethod
    def from_json(cls, table: Mapping[str, Any], where: str) -> Search:
        """The other way round."""
        config = parse_config(table["config"], where)
        return cls(config, parse_space(table["space"], config, where), tuple(table["against"]), table["seed"])


def suggest(trial: Any, space: SearchSpace) -> dict[str, Any]:
    """Let an ``optuna.Trial`` choose a value for each path. Choices go by their JSON text, which a study can keep."""
    values: dict[str, Any] = {}
    for path, dimension in space.items():
        if isinstance(dimension, Choices):
            values[path] = json.loads(trial.suggest_categorical(path, [json.dumps(c) for c in dimension.choices]))
        elif isinstance(dimension.low, int):
            values[path] = trial.suggest_int(path, dimension.low, int(dimension.high), log=dimension.log)
        else:
            values[path] = trial.suggest_float(path, dimension.low, dimension.high, log=dimension.log)
    return values


def combinations(space: SearchSpace) -> float:
    """How many different trials there are; infinity where a number that is not whole may be tried."""
    return math.prod(_sizes(dimension) for dimension in space.values())


def _sizes(dimension: Dimension) -> float:
    if isinstance(dimension, Choices):
        return len(dimension.choices)
    return dimension.high - dimension.low + 1 if isinstance(dimension.low, int) else math.inf


def own_values(search: Search) -> dict[str, Any]:
    """The configuration's own values as Optuna's parameters, as far as the space holds them: they are tried first."""
    values: dict[str, Any] = {}
    for path, dimension in search.space.items():
        section, _, key = path.partition(".")
        value = getattr(getattr(search.config, section), key)
        if isinstance(dimension, Range):
            if dimension.low <= value <= dimension.high:
                values[path] = value
        elif value in dimension.choices:
            values[path] = json.dumps(value)
    return values
