"""What is said where nothing keeps the budget."""

from __future__ import annotations

from aetool_exporters.budget.frontier import Frontier
from aetool_runtime.errors import BudgetError

__all__ = ["budget_error", "refuse_unconvertible"]


def budget_error(frontier: Frontier, seconds: float, *, finetuned: bool) -> BudgetError:
    """Names the best that was found, with its figures, and one thing to try.

    Args:
        seconds: that the search was given.
        finetuned: whether fine-tuning was tried.
    """
    budget, direction = frontier.budget, "less" if frontier.budget.metric.better > 0 else "more"
    limit, value = budget.text(frontier.limit), budget.text(frontier.value)
    hint = "--finetune 500, a larger budget, or other precisions with --precision"
    if finetuned:
        hint = "more steps of --finetune, a larger budget, or other precisions with --precision"
    if not frontier.complete:
        hint = f"--search-time {2 * seconds:g}: time was up before everything was tried"
    return BudgetError(
        f"no {frontier.format} artifact keeps {budget}: the best of {len(frontier.trials)} is {_told(frontier)}",
        expected=f"at most {limit} {direction} than the model's {value}",
        hint=hint,
    )


def _told(frontier: Frontier) -> str:
    """The best that was found, with its figures."""
    best, budget = frontier.best, frontier.budget
    assert best is not None
    assert best.quality is not None
    value, loss = budget.text(best.quality.value), budget.text(best.quality.loss)
    figures = f"{best.candidate}, with {best.size:,} bytes and {budget.name} {value}, {loss} lost"
    return figures if best.error is None else f"{figures}, but it {best.error.what}"


def refuse_unconvertible(frontier: Frontier) -> None:
    """Raise the first trial's error where none could be made or measured."""
    errors = [trial.error for trial in frontier.trials if trial.error is not None and trial.quality is None]
    if errors and len(errors) == len(frontier.trials):
        raise errors[0]
