"""How well each group is reconstructed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aetool.balance.balance import Balance
from aetool.evaluation.subject import Subject

__all__ = ["group_report"]


def group_report(balance: Balance, subject: Subject, unbalanced: Subject | None = None) -> list[dict[str, Any]]:
    """The member ``groups`` of ``metrics.json``: an object for each group, by falling number of training samples.

    - ``group``; ``count`` and ``share`` of the training samples; ``weight`` of each.
    - ``test_samples``; ``test_mse``: mean squared error over them in raw units, ``null`` where there are none;
      ``unbalanced_test_mse``: the same of the model that was trained without balance, where there is one.
    """
    counts, size = balance.counts, len(balance.weights)
    tested = np.bincount(balance.groups.test, minlength=size)
    errors = {"test_mse": _errors(balance, subject)}
    if unbalanced is not None:
        errors["unbalanced_test_mse"] = _errors(balance, unbalanced)
    return [
        {
            "group": balance.groups.names[group],
            "count": int(counts[group]),
            "share": float(counts[group] / counts.sum()),
            "weight": float(balance.weights[group]),
            "test_samples": int(tested[group]),
            **{key: float(values[group]) if tested[group] else None for key, values in errors.items()},
        }
        for group in np.argsort(-counts, kind="stable")
    ]


def _errors(balance: Balance, subject: Subject) -> NDArray[np.float64]:
    """Mean squared error of each group over the test part, raw units; 0 where it has none."""
    errors = np.concatenate(
        [
            np.square(np.asarray(subject.reconstruct(batch), np.float64) - batch).reshape(len(batch), -1).mean(axis=1)
            for batch in subject.test_batches()
        ]
    )
    size = len(balance.weights)
    totals = np.bincount(balance.groups.test, errors, minlength=size)
    return np.asarray(totals / np.maximum(1, np.bincount(balance.groups.test, minlength=size)))
