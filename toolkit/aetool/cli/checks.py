"""How ``export``, ``verify`` and ``demo`` show parity checks."""

from __future__ import annotations

from collections.abc import Sequence

import click

from aetool.cli.output import table
from aetool_runtime.selftest import Check

__all__ = ["HEADER", "check_row", "echo_checks"]

HEADER = ("artifact", "runs on", "worst error", "at", "of scale", "PSNR dB", "passes from", "SNR dB", "verdict")


def echo_checks(checks: Sequence[Check]) -> None:
    """The table, and below it the reason of each failure."""
    click.echo(table(HEADER, map(check_row, checks)))
    for check in checks:
        if check.error is not None:
            click.echo(f"  {check.artifact} on {check.backend}/{check.device}: {check.error}")


def check_row(check: Check) -> tuple[str, ...]:
    """A check in one line: its report that is nearest to failing, and how near a reduced precision is to the model."""
    where = (str(check.artifact), f"{check.backend}/{check.device}")
    verdict = (_ratio(check), "ok" if check.passed else "FAILED")
    report = check.worst
    if report is None or (check.fidelity and check.passed):  # what was made here was compared with itself here
        return (*where, "-", "-", "-", "-", "-", *verdict)
    place = f"{report.case}, {report.tensor}{list(report.worst_index)}"
    return (
        *where,
        f"{report.worst_error:.2e}",
        place,
        f"{report.relative_error:.1e}",
        f"{report.psnr:.1f}",
        f"atol {report.smallest.atol:.1e}, rtol {report.smallest.rtol:.1e}",
        *verdict,
    )


def _ratio(check: Check) -> str:
    """Of the role's own output; only a reduced precision has one."""
    return f"{check.fidelity[0].snr:.1f}" if check.fidelity else ""
