"""A bundle as what data frameworks map over batches: made once for each worker, called with one batch after the other.

Ray Data makes one for each actor, and loads the bundle once there:

    dataset.map_batches(MapBatches, fn_constructor_args=("model.aepkg",), concurrency=4, batch_size=256)

Spark gives a function an iterator of pandas frames for each task:

    frame.mapInPandas(map_in_pandas("model.aepkg"), "number int, data array<float>, latent array<float>")

Nothing of a framework is imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal

import numpy as np

from aetool_runtime.autoencoder import Autoencoder
from aetool_runtime.errors import InputError, UsageError
from aetool_runtime.specs import Array

__all__ = ["MapBatches", "map_in_pandas"]

_VERBS = {  # what is taken, and what it becomes
    "encode": ("data", "latent"),
    "decode": ("latent", "reconstruction"),
    "reconstruct": ("data", "reconstruction"),
}


class MapBatches:
    """Takes a batch of columns and adds one: what the bundle makes of another.

    Args:
        bundle: path of a bundle, as the worker sees it.
        verb: ``encode``, ``decode`` or ``reconstruct``.
        column: the column to take: an array [batch, …], or arrays of one shape; ``data`` unless it is given, or to
            decode ``latent``.
        output: the column to add; ``latent`` or ``reconstruction`` unless it is given.
        options: of ``Autoencoder.open``: ``backend``, ``device``, ``threads``, ``precision``.

    Raises:
        UsageError: another verb, or see ``Autoencoder.open``.

    Attributes:
        output: the column that is added.
    """

    def __init__(
        self,
        bundle: str,
        verb: Literal["encode", "decode", "reconstruct"] = "encode",
        column: str | None = None,
        output: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if verb not in _VERBS:
            raise UsageError(f"there is no verb {verb!r}", expected="one of " + ", ".join(_VERBS))
        self._column, self.output = column or _VERBS[verb][0], output or _VERBS[verb][1]
        self._model = Autoencoder.open(bundle, **(options or {}))
        self._run = getattr(self._model, verb)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The batch with the new column: [batch, …].

        Raises:
            InputError: the column is missing, or does not fit.
        """
        if self._column not in batch:
            raise InputError(f"the batch has no column {self._column!r}", expected="one of " + ", ".join(batch))
        return {**batch, self.output: self._run(_stacked(batch[self._column], self._column))}


def map_in_pandas(
    bundle: str,
    verb: Literal["encode", "decode", "reconstruct"] = "encode",
    column: str | None = None,
    output: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Callable[[Iterable[Any]], Iterator[Any]]:
    """A function for ``DataFrame.mapInPandas`` of Spark: adds a column of lists, one for each row, nested as its shape.

    The schema has the columns that there were, and the new one. The bundle is opened once for each task, so give a task
    many rows; threads within one are of no use where Spark has a task for each core.

    Args:
        bundle, verb, column, output, options: see ``MapBatches``.
    """

    def run(frames: Iterable[Any]) -> Iterator[Any]:
        call = MapBatches(bundle, verb, column, output, options)
        for frame in frames:
            values = call({name: frame[name].to_numpy() for name in frame})[call.output]
            yield frame.assign(**{call.output: list(values) if values.ndim <= 2 else values.tolist()})

    return run


def _stacked(values: Any, column: str) -> Array:
    """Frameworks hand out arrays of one shape also as an array of objects, or as a list."""
    if isinstance(values, np.ndarray) and values.dtype != object:
        return values
    try:
        return np.stack([_array(item) for item in values])
    except ValueError as error:
        raise InputError(f"the column {column!r} holds no arrays of one shape ({error})") from error


def _array(item: Any) -> Array:
    """An array, also where its rows are arrays in an array of objects, as Spark nests them."""
    met = np.asarray(item)
    return np.stack([_array(row) for row in met]) if met.dtype == object and met.ndim else met
