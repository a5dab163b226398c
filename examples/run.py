"""Run the examples: train, export to ONNX and TFLite, verify, and print the figure beside the baseline's.

.venv/bin/python examples/run.py              # all; what `make examples` does
.venv/bin/python examples/run.py dense-digits # one
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")  # figures are those of a processor

from outcome import Outcome
from page import page, update_readme
from panels import draw
from rows import ROWS, Row
from trial import EXAMPLES, CommandError, start

ROOT = EXAMPLES.parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 only when every row that ran holds."""
    options = _parser().parse_args(arguments)
    rows = [row for row in ROWS if not options.names or row.name in options.names]
    output: Path = options.output.resolve()
    outcomes = []
    for row in rows:
        outcomes.append(_outcome(row, output, fast=options.fast))
        _write_json(_told(output, row), asdict(outcomes[-1]))
        print(outcomes[-1].line, flush=True)
        if options.write_docs:
            _publish(outcomes[-1], output)
    ran = [outcome for outcome in outcomes if not outcome.skipped]
    if options.json:
        _write_json(options.json, [asdict(outcome) for outcome in outcomes])
    if options.write_docs:
        _write_page(output)
    held = sum(outcome.holds for outcome in ran)
    print(f"{held} of {len(ran)} rows hold")
    return 0 if held == len(ran) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Run the examples.")
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[[], *(row.name for row in ROWS)])
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "build" / "examples", help="for what they make")
    parser.add_argument("--fast", action="store_true", help="one epoch on few data: does everything work?")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the outcomes there as well")
    parser.add_argument("--write-docs", action="store_true", help="renew READMEs, pictures and docs/families.md")
    return parser


def _outcome(row: Row, output: Path, *, fast: bool) -> Outcome:
    """Run one row; what it prints goes into a log beside what it makes."""
    if row.missing:
        return Outcome(row.name, row.family, skipped=row.missing)
    folder = output / row.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    began = time.perf_counter()
    try:
        with _quiet(folder / "log.txt"):
            trial = start(row.name, row.data, row.others, output, fast=fast)
            contest = row.contest(trial)
            draw(row.panels(trial), folder / "picture.png")
    except CommandError as error:
        return Outcome(row.name, row.family, seconds=time.perf_counter() - began, failed=str(error))
    return Outcome.of(row, trial, contest, time.perf_counter() - began)


@contextlib.contextmanager
def _quiet(log: Path) -> Iterator[None]:
    """Send what Python and native code write to stderr into a file."""
    before = os.dup(2)
    with log.open("wb") as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(before, 2)
            os.close(before)


def _publish(outcome: Outcome, output: Path) -> None:
    if outcome.skipped or outcome.failed:
        return
    folder = EXAMPLES / outcome.name
    shutil.copyfile(output / outcome.name / "picture.png", folder / "picture.png")
    update_readme(folder / "README.md", outcome)


def _write_page(output: Path) -> None:
    """Of the last run of every row; not before all have run."""
    files = [_told(output, row) for row in ROWS]
    if not all(file.is_file() for file in files):
        return
    sys.path.append(str(ROOT / "benchmarks"))
    from machine import describe_machine

    target = ROOT / "docs" / "families.md"
    target.parent.mkdir(exist_ok=True)
    outcomes = [Outcome(**json.loads(file.read_text("utf-8"))) for file in files]
    target.write_text(page(outcomes, describe_machine()), "utf-8")


def _told(output: Path, row: Row) -> Path:
    return output / row.name / "outcome.json"


def _write_json(target: Path, document: object) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(document, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
