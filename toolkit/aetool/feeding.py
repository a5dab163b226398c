"""Data as a bundle's encoder takes them: of its shape, its integers, its tokens."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from aetool.data import Report, open_source, sample_batches
from aetool_runtime import Autoencoder
from aetool_runtime.errors import InputError, UsageError
from aetool_runtime.specs import Array, TensorSpec

__all__ = ["batch_size", "feed"]

_BATCH_BYTES = 1 << 20


def feed(model: Autoencoder, data: str, *, report: Report, label: str = "") -> Iterator[Array]:
    """Stream the samples of ``data``, [n, …] in raw units, for ``model.encode``.

    Args:
        label: a column of a table that is left out.

    Raises:
        UsageError: the encoder's input has free dimensions.
        InputError: the data cannot be read, do not fit, or are no integers where the encoder takes integers.
    """
    spec = model.tensor("input")
    if None in spec.sample_shape:
        raise UsageError(f"data cannot be cut into samples for an input with free dimensions ({spec})")
    sizes = [size or 0 for size in spec.sample_shape]
    source = open_source(data, tokenizer=model.bundle.manifest.tokenizer, label=label)
    for batch in sample_batches(source, sizes, batch_size(sizes), report=report):
        yield _typed(batch, spec, source.name)


def batch_size(sizes: list[int]) -> int:
    """Samples of these sizes that are about 1 MiB."""
    return max(1, _BATCH_BYTES // (4 * math.prod(sizes)))


def _typed(batch: Array, spec: TensorSpec, where: str) -> Array:
    if np.dtype(spec.dtype).kind == "f":
        return batch
    whole = batch.astype(spec.dtype)
    if not np.array_equal(whole, batch):
        raise InputError("holds values that are no integers", where=where, expected=spec.dtype)
    return whole
