"""What a row came to, in words: for the terminal, the page, and machines."""

from __future__ import annotations

from dataclasses import dataclass

from contests import Contest
from rows import Row
from trial import Parity, Trial

__all__ = ["Outcome"]


@dataclass(frozen=True)
class Outcome:
    """One line of the table.

    Args:
        network, baseline: their figures, with units.
        stated: what is said beside.
        onnx, tflite: the worst difference from Keras, as a share of the output's deviation.
        seconds: that it took.
        holds: the network is ahead, and both formats passed.
        skipped: why there is nothing of this, or "".
        failed: what a command said that ended with an error, or "".
    """

    name: str
    family: str
    network: str = "-"
    baseline: str = "-"
    stated: str = ""
    onnx: str = "-"
    tflite: str = "-"
    seconds: float = 0.0
    holds: bool = False
    skipped: str = ""
    failed: str = ""
    parity: bool = False

    @classmethod
    def of(cls, row: Row, trial: Trial, contest: Contest, seconds: float) -> Outcome:
        parity = all(one.passed for one in trial.parity.values())
        return cls(
            row.name,
            row.family,
            contest.network_text,
            contest.baseline_text,
            contest.stated,
            _share(trial.parity["onnx"]),
            _share(trial.parity["tflite"]),
            seconds,
            parity and contest.holds,
            parity=parity,
        )

    @property
    def verdict(self) -> str:
        if self.skipped:
            return f"skipped: {self.skipped}"
        if self.failed:
            return f"failed: {self.failed}"
        if not self.parity:
            return "parity failed"
        return "holds" if self.holds else "lost"

    @property
    def line(self) -> str:
        parity = f"ONNX {self.onnx:>7}  TFLite {self.tflite:>7}"
        return (
            f"{self.name:<18}  {self.family:<25}  {self.network:<34}  {self.baseline:<46}  {parity}  "
            f"{self.seconds:>4.0f} s  {self.verdict}"
        )


def _share(parity: Parity) -> str:
    return f"{parity.worst:.1e}"
