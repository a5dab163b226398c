"""Parity checks as JSON: the report that travels in a bundle, and what `verify --json` prints."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from aetool_runtime.parity import ParityReport
from aetool_runtime.selftest import Check

__all__ = ["REPORT_PATH", "check_json", "format_report"]

REPORT_PATH = "report.json"


def format_report(checks: Sequence[Check], *, real: bool, budgets: Sequence[Mapping[str, Any]] = ()) -> bytes:
    """The report's bytes.

    Args:
        real: whether the samples were real held-out data.
        budgets: of each format, what was found while searching for artifacts that keep a budget.
    """
    document = {
        "samples": "held-out data" if real else "synthetic",
        **({"budgets": list(budgets)} if budgets else {}),
        "checks": [check_json(check) for check in checks],
    }
    return (json.dumps(document, indent=1, allow_nan=False) + "\n").encode()


def check_json(check: Check) -> dict[str, Any]:
    """One artifact on one backend and device; infinities become null."""
    return {
        "role": check.artifact.role,
        "format": check.artifact.format,
        "precision": check.artifact.precision,
        "backend": check.backend,
        "device": check.device,
        "passed": check.passed,
        "error": None if check.error is None else check.error.what,
        "snr": {outcome.tensor: outcome.snr for outcome in check.fidelity},
        "cases": [_report_json(report) for report in check.reports],
    }


def _report_json(report: ParityReport) -> dict[str, Any]:
    return {"passed": report.passed, **_finite(asdict(report))}


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return value
