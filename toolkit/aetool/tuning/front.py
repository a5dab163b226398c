"""What a study came to: its trials as plain records, the best of them, and a configuration file for each of those."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from aetool.config import config_text
from aetool.config.tuning import Choices, with_values
from aetool.tuning.search import Search
from aetool.tuning.study import Study
from aetool_runtime.atomic import replacing_file

__all__ = ["TrialRecord", "front", "records", "write_winners"]


@dataclass(frozen=True)
class TrialRecord:
    """A trial that counts.

    Args:
        number: from 1.
        state: ``complete``; ``pruned``: given up because others were better; ``failed``: it cannot be done.
        values: what was tried, by path.
        objectives: name → value; empty unless complete.
        reason: of a failure.
    """

    number: int
    state: Literal["complete", "pruned", "failed"]
    values: Mapping[str, Any]
    objectives: Mapping[str, float]
    reason: str = ""


def records(study: Study, search: Search) -> list[TrialRecord]:
    """All trials that count, in order."""
    return [_record(number, trial, search) for number, trial in enumerate(study.trials, 1)]


def front(study: Study, search: Search) -> list[TrialRecord]:
    """The complete trials that no other one beats in all objectives, by rising error; the first of equal ones.

    With one objective that is one trial.
    """
    best = {trial.number for trial in study.best}
    found: list[TrialRecord] = []
    for record, trial in zip(records(study, search), study.trials, strict=True):
        if trial.number in best and record.objectives not in [other.objectives for other in found]:
            found.append(record)
    return sorted(found, key=lambda record: record.objectives["error"])


def write_winners(folder: Path, search: Search, winners: Sequence[TrialRecord]) -> list[Path]:
    """``best-01.toml …``, each ready for ``aetool train``; what an earlier front left there is removed."""
    paths = [folder / f"best-{number:02}.toml" for number in range(1, len(winners) + 1)]
    for path, record in zip(paths, winners, strict=True):
        costs = ", ".join(f"{name} {value:.6g}" for name, value in record.objectives.items())
        text = config_text(with_values(search.config, record.values))
        with replacing_file(path) as partial:
            partial.write_text(f"# trial {record.number} of aetool tune: {costs}\n\n{text}", encoding="utf-8")
    for old in set(folder.glob("best-*.toml")) - set(paths):
        old.unlink()
    return paths


def _record(number: int, trial: Any, search: Search) -> TrialRecord:
    state = trial.state.name
    values = {
        path: json.loads(value) if isinstance(search.space[path], Choices) else value
        for path, value in trial.params.items()
    }
    objectives = dict(zip(search.objectives, trial.values, strict=True)) if state == "COMPLETE" else {}
    names: dict[str, Literal["complete", "pruned"]] = {"COMPLETE": "complete", "PRUNED": "pruned"}
    return TrialRecord(number, names.get(state, "failed"), values, objectives, trial.user_attrs.get("failed", ""))
