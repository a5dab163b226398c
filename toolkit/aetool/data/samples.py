"""Raw rows → samples, as a stream: what encode, decode and verify feed on."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import numpy as np

from aetool.data.layout import Dtype, Layout
from aetool.data.opening import open_source
from aetool.data.source import Source
from aetool_runtime.errors import InputError
from aetool_runtime.specs import Array

__all__ = ["Report", "as_samples", "read_samples", "sample_batches"]

Report: TypeAlias = Callable[[str], None]
"""Takes one sentence for the user: what was left out, and why."""

_BLOCK_BYTES = 4 << 20


def warn(sentence: str) -> None:
    """The report of callers that give none: a Python warning."""
    warnings.warn(sentence, stacklevel=3)


def as_samples(
    batches: Iterable[Array],
    sample_shape: Sequence[int],
    *,
    report: Report = warn,
    where: str = "",
    dtype: Dtype = "float32",
    first: int = 0,
) -> Iterator[Array]:
    """Raw batches [rows, …] → samples [n, *sample_shape] of ``dtype``, by the rules of ``layout``.

    Args:
        first: how many samples were passed over, for messages.

    A window may span batches. Rows at the end that fill no window are reported, never silently dropped.

    Raises:
        InputError: shapes that do not fit, a NaN or infinity (names the sample), or less than one window.
    """
    kept: list[Array] = []  # rows of the window that the next batch goes on with
    layout, samples, left = None, first, 0
    for batch in batches:
        layout = replace(Layout.fit(batch.shape[1:], sample_shape, where), dtype=dtype)
        rows = np.concatenate([*kept, batch]) if kept else batch
        whole = layout.count(len(rows)) * layout.window
        left = len(rows) - whole
        kept = [rows[whole:]] if left else []
        if whole:
            block = layout.samples(rows[:whole])
            check_finite(block, samples, where)
            samples += len(block)
            yield block
    _report_rest(left, samples, layout, report, where)


def _report_rest(left: int, samples: int, layout: Layout | None, report: Report, where: str) -> None:
    if layout is None and not samples:
        raise InputError("holds no rows", where=where)
    if layout is None:
        return
    if not samples:
        raise InputError(f"{left} rows do not fill one window", where=where, expected=f"at least {layout.window} rows")
    if left:
        report(f"the last {left} rows fill no window of {layout.window} and are left out")


def check_finite(block: Array, first: int, where: str = "") -> None:
    """Refuse NaN and infinity.

    Args:
        block: samples, [n, …].
        first: the index of the block's first sample, for the message.

    Raises:
        InputError: names the sample and the place in it.
    """
    if np.isfinite(block).all():
        return
    place = np.unravel_index(int(np.argmin(np.isfinite(block))), block.shape)
    sample, inside = first + int(place[0]), [int(index) for index in place[1:]]
    raise InputError(
        f"sample {sample} holds {block[place]} at {inside}",
        where=where,
        expected="finite numbers that fit float32",
        hint="remove or fill in such samples before training or encoding",
    )


def sample_batches(
    source: Source,
    sample_shape: Sequence[int],
    size: int,
    *,
    report: Report = warn,
    dtype: Dtype = "float32",
    start: int = 0,
) -> Iterator[Array]:
    """Stream a source as samples [size, *sample_shape] in bounded memory; only the last batch may be shorter.

    Args:
        start: samples that are passed over.

    Raises:
        InputError: see ``as_samples``.
    """
    window = 1
    if None not in source.shape[1:]:
        window = Layout.fit(_row_shape(source), sample_shape, source.name).window
    batches = source.batches(size * window, start * window)
    yield from as_samples(batches, sample_shape, report=report, where=source.name, dtype=dtype, first=start)


def _row_shape(source: Source) -> tuple[int, ...]:
    return tuple(size for size in source.shape[1:] if size is not None)


def read_samples(
    data: str | Path | Source,
    sample_shape: Sequence[int],
    *,
    limit: int | None = None,
    report: Report = warn,
    dtype: Dtype = "float32",
) -> Array:
    """The first ``limit`` samples (all by default), [n, *sample_shape] of ``dtype``, in raw units.

    Args:
        data: what ``open_source`` opens, or a source.
        limit: at least 1; what lies behind it is not read.

    Raises:
        InputError: see ``open_source`` and ``as_samples``.
    """
    source = open_source(data) if isinstance(data, str | Path) else data
    size = max(1, _BLOCK_BYTES // (4 * math.prod(sample_shape)))
    if limit is None:
        return np.concatenate(list(sample_batches(source, sample_shape, size, report=report, dtype=dtype)))
    size = min(size, limit)
    batches = sample_batches(source, sample_shape, size, report=report, dtype=dtype)
    blocks = islice(batches, math.ceil(limit / size))
    return np.concatenate(list(blocks))[:limit]
