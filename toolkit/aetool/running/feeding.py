"""Data as a bundle takes them: of its shape, its integers, its tokens."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aetool.data import ImageSource, Report, image_size_of, open_source, sample_batches
from aetool_runtime import Autoencoder
from aetool_runtime.errors import InputError, UsageError
from aetool_runtime.specs import Array, TensorSpec

__all__ = ["Feed", "batch_size", "feed", "open_feed"]

_BATCH_BYTES = 1 << 20


@dataclass(frozen=True)
class Feed:
    """A stream of samples.

    Args:
        batches: gives them, [n, …] each in raw units, without the first so many.
        count: of all samples, where it is known beforehand.
        made_of: what the stream depends on (JSON): the data, as they are now, and how they are cut up.
    """

    batches: Callable[[int], Iterator[Array]]
    count: int | None
    made_of: Mapping[str, Any]


def open_feed(
    model: Autoencoder, data: str, *, tensor: str = "input", size: int | None = None, report: Report, label: str = ""
) -> Feed:
    """Open ``data`` for ``model.encode``, or with ``tensor="latent"`` for ``model.decode``.

    Images in a folder are resized to what the model takes, as training does with [data] image_size.

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
    image_size = image_size_of(spec.sample_shape) if tensor == "input" else None
    source = open_source(data, image_size=image_size, tokenizer=model.bundle.manifest.tokenizer, label=label)
    if isinstance(source, ImageSource) and source.notice:
        report(source.notice)
    size = size or batch_size(sizes)

    def batches(start: int) -> Iterator[Array]:
        return _typed(sample_batches(source, sizes, size, report=report, start=start), spec, source.name)

    return Feed(batches, _count(source.shape, sizes), {"data": _fingerprint(data), "batch size": size})


def feed(model: Autoencoder, data: str, *, report: Report, label: str = "") -> Iterator[Array]:
    """The batches of ``open_feed`` for the encoder."""
    return open_feed(model, data, report=report, label=label).batches(0)


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


def _fingerprint(data: str) -> str:
    """Of the files' names, sizes and times, so that nothing need be read: changed data are told from the same."""
    path = Path(data.partition(":")[0]) if not Path(data).exists() else Path(data)
    if not path.exists():
        return data
    digest = hashlib.sha256()
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        status = file.stat()
        digest.update(f"{file.name}\0{status.st_size}\0{status.st_mtime_ns}\0".encode("utf-8", "surrogateescape"))
    return f"{data} {digest.hexdigest()[:16]}"


def _count(shape: Sequence[int | None], sizes: Sequence[int]) -> int | None:
    if None in shape:
        return None
    return math.prod(size or 0 for size in shape) // math.prod(sizes)
