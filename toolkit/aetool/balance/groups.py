"""Which group each sample is in: by label, or by cluster where there are no labels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aetool.config import BalanceConfig
from aetool.data import Dataset, PreparedData
from aetool.data.packages import import_package
from aetool.evaluation.subject import spread
from aetool_runtime.errors import UsageError
from aetool_runtime.specs import Array

__all__ = ["Groups", "find_groups"]

_MOST = 256
_BATCH = 1024
_FITTED_ON = 20_000  # samples that clusters are learned from


@dataclass(frozen=True)
class Groups:
    """The group of each sample, by its place in ``names``, int64 [n].

    Args:
        names: of the groups, in the order of their labels or clusters.
        training: of ``PreparedData.training``.
        validation, test: of the other parts.
    """

    names: tuple[str, ...]
    training: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


def find_groups(config: BalanceConfig, data: PreparedData) -> Groups:
    """Group the samples of all parts.

    Raises:
        UsageError: there are no labels, or they are no groups; or more clusters than samples.
        DependencyError: scikit-learn is not installed.
    """
    parts = (data.training, data.split.validation, data.split.test)
    found = _labels(parts) if config.by == "column" else _clusters(config, data, parts)
    values, indices = np.unique(np.concatenate(found), return_inverse=True)
    if len(values) > _MOST:
        raise UsageError(
            f"the labels have {len(values):,} different values",
            expected=f"at most {_MOST} groups",
            hint='balance by cluster: [balance] by = "cluster"',
        )
    ends = np.cumsum([len(part) for part in parts])[:-1]
    prefix = "" if config.by == "column" else "cluster "
    names = tuple(prefix + _name(value) for value in values)
    return Groups(names, *(part.astype(np.int64) for part in np.split(indices.reshape(-1), ends)))


def _labels(parts: tuple[Dataset, ...]) -> list[Array]:
    labels = [part.labels for part in parts]
    present = [found for found in labels if found is not None]
    if len(present) < len(labels):
        raise UsageError(
            "the data have no labels to balance by",
            expected="[data] label",
            hint='name a column or a .npy file with it, or balance by cluster: [balance] by = "cluster"',
        )
    return present


def _clusters(config: BalanceConfig, data: PreparedData, parts: tuple[Dataset, ...]) -> list[Array]:
    """k-means of the training samples: normalized, flat, reduced by PCA; fitted on at most 20,000 spread evenly."""
    if config.clusters > len(data.training):
        raise UsageError(f"{len(data.training)} training samples cannot be put into {config.clusters} clusters")
    decomposition = import_package("sklearn.decomposition", extra="train")
    cluster = import_package("sklearn.cluster", extra="train")

    def flat(samples: Array) -> NDArray[np.float64]:
        return data.normalization.apply(samples).reshape(len(samples), -1).astype(np.float64)

    with _one_thread():
        matrix = flat(spread(data.training, _FITTED_ON))
        pca = decomposition.PCA(min(config.components, *matrix.shape), random_state=0).fit(matrix)
        means = cluster.KMeans(config.clusters, n_init=10, random_state=0).fit(pca.transform(matrix))

        def assigned(part: Dataset) -> Array:
            return np.concatenate([means.predict(pca.transform(flat(batch))) for batch in part.batches(_BATCH)])

        return [assigned(part) for part in parts]


@contextmanager
def _one_thread() -> Iterator[None]:
    """The sums of several threads come in any order: one thread gives the same clusters every time."""
    with import_package("threadpoolctl", extra="train").threadpool_limits(1):
        yield


def _name(value: Any) -> str:
    plain = value.item()
    return str(int(plain)) if isinstance(plain, float) and plain.is_integer() else str(plain)
