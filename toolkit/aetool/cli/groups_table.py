"""What ``train`` says about the groups of balanced samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aetool.cli.output import table

__all__ = ["groups_text"]


def groups_text(groups: Sequence[Mapping[str, Any]]) -> str:
    """One line for each group; see ``aetool.balance.group_report``."""
    compared = "unbalanced_test_mse" in groups[0]
    header = ("group", "samples", "share", "weight", "test samples", "MSE", *(("unbalanced", "change") * compared))
    return "balanced groups:\n\n" + table(header, [_row(group, compared) for group in groups])


def _row(group: Mapping[str, Any], compared: bool) -> tuple[str, ...]:
    samples = (group["group"], f"{group['count']:,}", f"{group['share']:.1%}", f"{group['weight']:.3g}")
    error = group["test_mse"]
    if error is None:
        return (*samples, "0", *("-",) * (3 if compared else 1))
    row = (*samples, f"{group['test_samples']:,}", f"{error:.5g}")
    if not compared:
        return row
    before = group["unbalanced_test_mse"]
    return (*row, f"{before:.5g}", f"{error / before - 1:+.1%}" if before else "-")
