"""What a sample of each group counts for, and the order of an epoch that gives it as much."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aetool.balance.groups import Groups, find_groups
from aetool.config import Config
from aetool.data import PreparedData
from aetool_runtime.errors import UsageError

__all__ = ["Balance", "find_balance", "group_weights"]


@dataclass(frozen=True)
class Balance:
    """Groups and their weights; see ``BalanceConfig`` for the rule.

    Args:
        groups: of all samples.
        weights: of a sample of each group, float64 [groups]: 1 on average over the training samples.
    """

    groups: Groups
    weights: NDArray[np.float64] = field(repr=False)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Training samples of each group."""
        return np.bincount(self.groups.training, minlength=len(self.weights))

    def order(self, seed: int, epoch: int) -> NDArray[np.int64]:
        """The samples of an epoch (from 0), as many as there are: each comes up as often as its weight says.

        Every group gets its share of places, rounded; in them each sample comes up equally often, or once more. It
        depends on nothing but the seed and the epoch, so that a resumed run has the same.
        """
        draws = np.random.default_rng((seed, epoch))
        places = _apportion(self.counts * self.weights, len(self.groups.training))
        order = [
            _repeated(np.flatnonzero(self.groups.training == group), int(count), draws)
            for group, count in enumerate(places)
            if count
        ]
        return draws.permutation(np.concatenate(order))

    def validation(self) -> list[tuple[NDArray[np.int64], float]]:
        """The validation samples of each group, and their weight."""
        members = [np.flatnonzero(self.groups.validation == group) for group in range(len(self.weights))]
        return [(indices, float(self.weights[group])) for group, indices in enumerate(members) if len(indices)]


def find_balance(config: Config, data: PreparedData) -> Balance | None:
    """Group the samples and weigh the groups; ``None`` where no balance is asked for.

    Raises:
        UsageError: the data cannot be balanced like that.
    """
    if config.balance.by == "none":
        return None
    if data.tokenizer is not None:
        raise UsageError(f'[balance] by = "{config.balance.by}" is for real values, and these data are texts')
    groups = find_groups(config.balance, data)
    counts = np.bincount(groups.training, minlength=len(groups.names))
    return Balance(groups, group_weights(counts, config.balance.exponent, config.balance.limit))


def group_weights(counts: NDArray[np.int64], exponent: float, limit: float) -> NDArray[np.float64]:
    """In proportion to share^-exponent, at most ``limit`` times the least, and Σ share · weight = 1.

    A group without training samples gets the greatest weight, which only the validation loss sees.
    """
    shares = counts / counts.sum()
    present = counts > 0
    weights = np.full(len(counts), np.inf)
    weights[present] = (shares[present] / shares.max()) ** -exponent
    weights = np.minimum(weights, limit if present.all() else min(limit, weights[present].max()))
    return np.asarray(weights / (shares @ weights))


def _apportion(wanted: NDArray[np.float64], total: int) -> NDArray[np.int64]:
    """Whole numbers that add up to ``total``, as near to ``wanted`` as can be (largest remainders)."""
    floors = np.floor(wanted).astype(np.int64)
    missing = total - int(floors.sum())
    order = np.argsort(floors - wanted, kind="stable")
    floors[order[: max(0, missing)]] += 1
    return floors


def _repeated(members: NDArray[np.int64], count: int, draws: np.random.Generator) -> NDArray[np.int64]:
    """``count`` of ``members``: all of them as often as they fit, and for the rest some, without repetition."""
    whole, rest = divmod(count, len(members))
    return np.concatenate([np.tile(members, whole), draws.permutation(members)[:rest]])
