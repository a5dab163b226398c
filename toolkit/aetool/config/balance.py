"""[balance]: what rare kinds of samples count for in training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from aetool.config.ranges import want

__all__ = ["BalanceConfig"]


@dataclass(frozen=True)
class BalanceConfig:
    """[balance]: groups of samples, and how much more often a sample of a rare one is trained on.

    A sample of a group with the share f of the training samples gets a weight in proportion to f^-exponent, no more
    than ``limit`` times the least weight, and 1 on average. Each epoch has as many samples as before, drawn so that
    each comes up as often as its weight says. The validation loss, which chooses the epoch that is kept, is weighted
    alike.

    Args:
        by: ``none``; ``column``: by label, where the data has labels; ``cluster``: by k-means cluster of the training
            samples (normalized, flat, reduced by PCA).
        exponent: 0 leaves everything as it is; 1 makes all groups count for as much, as far as the limit allows; what
            the rare groups gain, the others pay, so that the middle is a good start.
        limit: >= 1.
        clusters: for ``cluster``: how many, at most 256.
        components: for ``cluster``: principal components that distances are measured in.
        compare_unbalanced: train the same model without balance as well, and report its errors beside.
    """

    by: Literal["none", "column", "cluster"] = "none"
    exponent: float = 0.5
    limit: float = 20.0
    clusters: int = 8
    components: int = 16
    compare_unbalanced: bool = False

    def __post_init__(self) -> None:
        want(0 <= self.exponent < math.inf, "exponent must be >= 0")
        want(1 <= self.limit < math.inf, "limit must be >= 1")
        want(2 <= self.clusters <= 256, "clusters must be between 2 and 256")
        want(self.components > 0, "components must be > 0")
        want(self.by != "none" or not self.compare_unbalanced, "compare_unbalanced wants a balance to compare with")
