"""Data as a bundle takes them: of its shape, its integers, its tokens."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from aetool.data import Report, open_source, sample_batches
from aetool_runtime import Autoencoder
from aetool_runtime.errors import InputError, UsageError
from aetool_runtime.specs import Array, TensorSpec

__all__ = ["Feed", "batch_size", "feed", "open_feed"]

_BATCH_BYTES = 1 << 20


@dataclass(frozen=True)
class Feed:
    """A stream of samples.

    Args:
        batches: [n, …] each, in raw units.
        count: of all samples, where it is known beforehand.
    """

    batches: Iterator[Array]
    count: int | None


def open_feed(
    model: Autoencoder, data: str, *, tensor: str = "input", size: int | None = None, report: Report, label: str = ""
) -> Feed:
    """Open ``data`` for ``model.encode``, or with ``tensor="latent"`` for ``model.decode``.

    Args:
        size: samples a batch; ``None`` for about 1 MiB.
        label: a column of a table that is left out.

    Raises:
        UsageError: the tensor has free dimensions.
        InputError: the data cannot be read, do not fit, or (while streaming) are no integers where integers are taken.
    """
    spec = model.tensor(tensor)
    if None in spec.sample_shape:
        raise UsageError(f"data cannot be cut into samples for a tensor with free dimensions ({spec})")
    sizes = [size or 0 for size in spec.sample_shape]
    source = open_source(data, tokenizer=model.bundle.manifest.tokenizer, label=label)
    batches = sample_batches(source, sizes, size or batch_size(sizes), report=report)
    return Feed(_typed(batches, spec, source.name), _count(source.shape, sizes))


def feed(model: Autoencoder, data: str, *, report: Report, label: str = "") -> Iterator[Array]:
    """The batches of ``open_feed`` for the encoder."""
    return open_feed(model, data, report=report, label=label).batches


def batch_size(sizes: Sequence[int]) -> int:
    """Samples of these sizes that are about 1 MiB."""
    return max(1, _BATCH_BYTES // (4 * math.prod(sizes)))


def _typed(batches: Iterable[Array], spec: TensorSpec, where: str) -> Iterator[Array]:
    """Sources give 32-bit floats; what takes integers (tokens, codes) is given integers, and none that was rounded."""
    for batch in batches:
        if np.dtype(spec.dtype).kind == "f":
            yield batch
            continue
        whole = batch.astype(spec.dtype)
        if not np.array_equal(whole, batch):
            raise InputError("holds values that are no integers", where=where, expected=spec.dtype)
        yield whole


def _count(shape: Sequence[int | None], sizes: Sequence[int]) -> int | None:
    if None in shape:
        return None
    return math.prod(size or 0 for size in shape) // math.prod(sizes)
