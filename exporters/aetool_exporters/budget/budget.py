"""The budget: how much quality may be lost, as ``psnr:0.5`` or ``mse:5%``."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from difflib import get_close_matches

from aetool_runtime.errors import UsageError

__all__ = ["METRICS", "Budget", "Metric"]


@dataclass(frozen=True)
class Metric:
    """What quality is measured by.

    Args:
        name: as it is written in a budget; ``recall`` is followed by ``@`` and a number of neighbours.
        unit: of its values, "" where they have none.
        better: 1 where larger values are better, -1 where smaller ones are.
        of: the tensor that it looks at: ``reconstruction`` or ``latent``.
    """

    name: str
    unit: str
    better: int
    of: str


METRICS = {
    metric.name: metric
    for metric in (
        Metric("psnr", "dB", 1, "reconstruction"),
        Metric("mse", "", -1, "reconstruction"),
        Metric("ssim", "", 1, "reconstruction"),
        Metric("auc", "", 1, "reconstruction"),
        Metric("accuracy", "", 1, "reconstruction"),
        Metric("recall", "", 1, "latent"),
    )
}
_SPELLINGS = ("psnr", "mse", "ssim", "auc", "accuracy", "recall@10")
_EXPECTED = "METRIC:AMOUNT such as psnr:0.5 or mse:5%, the metric one of " + ", ".join(_SPELLINGS)


@dataclass(frozen=True)
class Budget:
    """The largest loss of quality that the user accepts.

    Args:
        metric: what quality is measured by.
        amount: in the metric's unit, or a share of the float model's value; ≥ 0.
        relative: whether it is a share.
        neighbours: k of recall@k; 0 for other metrics.
    """

    metric: Metric
    amount: float
    relative: bool = False
    neighbours: int = 0

    @classmethod
    def parse(cls, text: str) -> Budget:
        """``psnr:0.5``, ``mse:5%``, ``recall@10:0.02``.

        Raises:
            UsageError: anything else; says what is wrong with it.
        """
        name, colon, amount = text.strip().partition(":")
        if not colon:
            raise _refusal(text, "says not how much may be lost", f"{name or 'psnr'}:0.5")
        name, at, count = name.strip().lower().partition("@")
        if name not in METRICS:
            close = get_close_matches(name, METRICS, 1)
            raise _refusal(text, f"there is no metric {name!r}", close[0] if close else "", close=bool(close))
        metric = METRICS[name]
        return cls(metric, *_amount(text, amount), _neighbours(text, metric, at, count))

    @property
    def name(self) -> str:
        """The metric, with its number of neighbours where it has one."""
        return f"{self.metric.name}@{self.neighbours}" if self.neighbours else self.metric.name

    def limit(self, reference: float) -> float:
        """The largest loss that is accepted where the float model has the value ``reference``; in the metric's unit."""
        return self.amount * abs(reference) if self.relative else self.amount

    def loss(self, reference: float, met: float) -> float:
        """How much worse a value is than the float model's; below zero where it is better, infinite for a NaN."""
        if met == reference:  # infinities too
            return 0.0
        loss = self.metric.better * (reference - met)
        return math.inf if math.isnan(loss) else loss

    def text(self, value: float) -> str:
        """A value of the metric for people; of decibels four decimals."""
        if self.metric.unit == "dB":
            return f"{round(value, 4) + 0.0:.12g} dB"  # no minus before a zero
        return f"{value:.5g}"

    def __str__(self) -> str:
        amount = f"{100 * self.amount:.12g}%" if self.relative else f"{self.amount:.12g}"
        return f"{self.name}:{amount}"


def _amount(text: str, amount: str) -> tuple[float, bool]:
    digits = amount.strip()
    relative = digits.endswith("%")
    try:
        value = float(digits.removesuffix("%"))
    except ValueError:
        raise _refusal(text, f"{digits!r} is no number", "psnr:0.5") from None
    if not math.isfinite(value) or value < 0:
        raise _refusal(text, f"{digits} is no loss", "a number from 0 up")
    return (value / 100 if relative else value), relative


def _neighbours(text: str, metric: Metric, at: str, count: str) -> int:
    if metric.name != "recall":
        if at:
            raise _refusal(text, f"{metric.name} counts no neighbours", f"{metric.name}:…")
        return 0
    if not re.fullmatch(r"[1-9]\d{0,4}", count):
        raise _refusal(text, "recall counts a number of neighbours", "recall@10:0.02")
    return int(count)


def _refusal(text: str, what: str, hint: str, *, close: bool = False) -> UsageError:
    return UsageError(
        f"{text!r} is no budget: {what}", expected=_EXPECTED, hint=f"did you mean {hint!r}?" if close else hint
    )
