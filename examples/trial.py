"""One example on its way from data to a verified bundle, through the commands that its README names."""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from aetool.cli import run
from aetool.config import Config
from aetool.data import PreparedData, open_source, open_texts, prepare_data
from aetool.training import Checkpoint, is_checkpoint, load_checkpoint

__all__ = ["EXAMPLES", "CommandError", "Parity", "Trial", "command", "start", "working_in"]

EXAMPLES = Path(__file__).resolve().parent
_CONFIG = "config.toml"
_FEW_LINES, _FEW_STEPS, _FEW_SAMPLES = 300, 6000, 120


class CommandError(Exception):
    """A command ended with another exit code than 0."""


@dataclass(frozen=True)
class Parity:
    """How far an exported format is from Keras.

    Args:
        worst: the largest difference of any check, as a share of its output's deviation.
        passed: ``export`` and ``verify`` both found it equal.
    """

    worst: float
    passed: bool


@dataclass(frozen=True)
class Trial:
    """What an example left.

    Args:
        data: what it was trained on.
        model: the checkpoint of ``config.toml``.
        others: name of another configuration → its checkpoint.
        bundle: exported from ``model``.
        parity: ``onnx`` and ``tflite``.
    """

    data: str
    model: Checkpoint
    others: Mapping[str, Checkpoint]
    bundle: Path
    parity: Mapping[str, Parity]

    @property
    def evaluation(self) -> Any:
        """On the test part, as ``aetool train`` printed it."""
        return self.model.metrics["evaluation"]

    def evaluation_of(self, other: str) -> Any:
        return self.others[other].metrics["evaluation"]

    @property
    def config(self) -> Config:
        return self.model.config

    @cached_property
    def prepared(self) -> PreparedData:
        """The data once more, split as in training."""
        return prepare_data(self.data, self.config.data, lambda line: None)

    def shown(self, count: int) -> Any:
        """Samples evenly spread over the test part, raw units: [count, …]."""
        test = self.prepared.split.test
        return test.take(np.arange(count) * len(test) // count)


def start(name: str, data: str, others: tuple[str, ...], output: Path, *, fast: bool) -> Trial:
    """Train, export, verify.

    Args:
        name: the example's folder.
        others: configurations beside ``config.toml``, by their path from the folder, trained on the same data.
        output: receives a folder for each example; a model that is there already is not trained again.
        fast: one epoch on a few of the data, to see that everything works.

    Raises:
        CommandError: a command failed; the message is its own.
    """
    extra = ["--epochs", 1] if fast else []
    used = _few(data, output / name) if fast else data
    with working_in(EXAMPLES / name):
        checkpoints = {config: _trained(Path(config), used, output, extra) for config in (_CONFIG, *others)}
        model = _checkpoint_folder(Path(_CONFIG), output)
        bundle = output / name / "model.aepkg"
        exported = command("export", model, "-o", bundle, "--overwrite")
        verified = command("verify", bundle)
    return Trial(used, checkpoints.pop(_CONFIG), checkpoints, bundle, _parity(exported["checks"], verified["checks"]))


def command(*arguments: object) -> Any:
    """Run an ``aetool`` command in this process and return the document that it prints.

    Raises:
        CommandError: its exit code is not 0.
    """
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        code = run([*map(str, arguments), "--json"])
    document = json.loads(printed.getvalue())
    if code != 0:
        raise CommandError(f"aetool {arguments[0]}: {document['error']['message']}")
    return document


@contextlib.contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Code of the user's own is looked for in the working directory."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _trained(config: Path, data: str, output: Path, extra: list[object]) -> Checkpoint:
    folder = _checkpoint_folder(config, output)
    if not is_checkpoint(folder):
        command("train", config, data, "-o", folder, *extra)
    return load_checkpoint(folder)


def _checkpoint_folder(config: Path, output: Path) -> Path:
    return output / config.resolve().parent.name / config.stem


def _few(data: str, folder: Path) -> str:
    """A small part of the data as a file."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = open_texts(data)
    if texts or data.endswith(".txt"):
        lines = texts.lines if texts else Path(data).read_text("utf-8").splitlines()
        (folder / "few.txt").write_text("\n".join(lines[:_FEW_LINES]) + "\n", "utf-8")
        return str(folder / "few.txt")
    rows = open_source(data).array()
    np.save(folder / "few.npy", rows[: _FEW_STEPS if rows.ndim == 2 else _FEW_SAMPLES])
    return str(folder / "few.npy")


def _parity(exported: list[Any], verified: list[Any]) -> dict[str, Parity]:
    checks = [*exported, *verified]
    return {name: _of_format([check for check in checks if check["format"] == name]) for name in ("onnx", "tflite")}


def _of_format(checks: list[Any]) -> Parity:
    errors = [case["relative_error"] for check in checks for case in check["cases"]]
    return Parity(max(errors, default=0.0), bool(checks) and all(check["passed"] for check in checks))
