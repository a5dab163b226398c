"""What is written of a run: the page of all figures, and each example's figures in its README."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from outcome import Outcome
from rows import ROWS

__all__ = ["page", "update_readme"]

_BEGIN, _END = "<!-- figures: written by examples/run.py -->", "<!-- end of figures -->"


def page(outcomes: Sequence[Outcome], machine: dict[str, str]) -> str:
    """``docs/families.md``."""
    lines = [f"| [{o.name}](../examples/{o.name}/README.md) | {o.family} | {_cells(o)} |" for o in outcomes]
    measured = [outcome for outcome in outcomes if not outcome.skipped]
    held = sum(outcome.holds for outcome in measured)
    about = [f"- {name}: {value}" for name, value in machine.items()]
    return "\n".join([_INTRODUCTION, *lines, "", f"{held} of {len(measured)} rows hold.", "", _MACHINE, "", *about, ""])


def update_readme(path: Path, outcome: Outcome) -> None:
    """Put the figures between the two marks."""
    rows = [
        "| | |",
        "|---|---|",
        f"| network | {outcome.network} |",
        f"| {outcome.baseline.replace(': ', ' | ', 1)} |",
        f"| worst difference from Keras, ONNX · TFLite | {outcome.onnx} · {outcome.tflite} of the output's deviation |",
        f"| verdict | **{outcome.verdict}** |",
        *([f"| stated beside | {outcome.stated} |"] if outcome.stated else []),
    ]
    text = path.read_text("utf-8")
    block = "\n".join([_BEGIN, "", *rows, "", _END])
    path.write_text(re.sub(f"{re.escape(_BEGIN)}.*{re.escape(_END)}", lambda _: block, text, flags=re.DOTALL), "utf-8")


def _cells(outcome: Outcome) -> str:
    if outcome.skipped:
        return f"not measured: {outcome.skipped} | | | | |"
    parity = f"{outcome.onnx} · {outcome.tflite}"
    return f"{outcome.network} | {outcome.baseline} | {outcome.stated} | {parity} | {outcome.verdict}"


_INTRODUCTION = f"""# Families

Every kind of autoencoder that aetool trains, on real data, beside what one would use instead. Each of the {len(ROWS)}
rows is an example: a configuration, a page and a picture in [`examples/`](../examples/README.md). `make examples` runs
them all: train, export to ONNX and TFLite (float32, built-in operations only), verify both against Keras on ONNX
Runtime and LiteRT, and print this table; `examples/run.py --write-docs` writes it here.

A row *holds* when the network's figures on the test part are better than the baseline's and both exports compute what
Keras computes. Test parts are measured once: settings were chosen by validation loss, and baselines are fitted on the
training part. A row that does not hold stays in the table, and its example says why. *Stated* figures decide nothing.
PSNR is in dB relative to the range of the training part. Parity is the largest difference from Keras in any check, as a
share of the output's standard deviation.

| example | family | network | baseline | stated | parity, ONNX · TFLite | |
|---|---|---|---|---|---|---|"""

_MACHINE = "Measured on, with one seed:"
