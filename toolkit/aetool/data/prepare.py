"""From the name of a data set to what training needs."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aetool.data.dataset import Dataset, Split, split_rows, with_stride
from aetool.data.layout import Layout, resolve_sample_shape
from aetool.data.opening import open_source
from aetool.data.samples import Report, sample_batches
from aetool.data.source import ArraySource
from aetool.data.statistics import Statistics, learn_normalization, measure
from aetool_runtime.errors import UsageError
from aetool_runtime.specs import Normalization

if TYPE_CHECKING:
    from aetool.config import DataConfig

__all__ = ["PreparedData", "prepare_data"]

_BLOCK_BYTES = 4 << 20


@dataclass(frozen=True)
class PreparedData:
    """Data that was read once from end to end, split and measured.

    Args:
        raw_shape: of the source, rows first.
        split: the three parts; none overlaps another, and no sample another of its part.
        training: the training part as it is trained on: with overlapping windows where a stride says so.
        statistics: of the training part.
        normalization: learned from it.
        digest: sha256 of all samples as float32: the same data, wherever it lies, has the same.
    """

    raw_shape: tuple[int, ...]
    split: Split
    training: Dataset
    statistics: Statistics
    normalization: Normalization
    digest: str

    @property
    def sample_shape(self) -> tuple[int, ...]:
        return self.training.sample_shape


def prepare_data(spec: str | Path, config: DataConfig, report: Report) -> PreparedData:
    """Open, check, split and measure.

    Raises:
        InputError: what cannot be read, shapes that do not fit, NaN or infinity (names the sample), too few samples.
        UsageError: a stride for data that is not a recording.
    """
    source = open_source(spec, image_size=(config.image_size[0], config.image_size[1]) if config.image_size else None)
    rows = source.array()
    sample_shape = resolve_sample_shape(config.sample_shape, rows.shape[1:], source.name)
    layout = Layout.fit(rows.shape[1:], sample_shape, source.name)
    digest = _digest(ArraySource(source.name, rows), sample_shape, report)
    split = split_rows(rows, layout, config.split, config.split_seed, source.name)
    training = _augmented(split.training, config.stride, source.name)
    statistics = measure(split.training.batches(_block(sample_shape)))
    normalization, notices = learn_normalization(statistics, config.normalization, config.normalization_scope)
    for notice in notices:
        report(notice)
    return PreparedData(rows.shape, split, training, statistics, normalization, digest)


def _block(sample_shape: tuple[int, ...]) -> int:
    return max(1, _BLOCK_BYTES // (4 * math.prod(sample_shape)))


def _digest(source: ArraySource, sample_shape: tuple[int, ...], report: Report) -> str:
    """Read everything once: this is also what finds NaN and infinity in any part, and the remainder."""
    sha = hashlib.sha256(repr(sample_shape).encode())
    for block in sample_batches(source, sample_shape, _block(sample_shape), report=report):
        sha.update(block.tobytes())
    return sha.hexdigest()


def _augmented(training: Dataset, stride: int, where: str) -> Dataset:
    if not stride:
        return training
    if not training.layout.is_recording:
        raise UsageError("[data] stride is for windows of a recording, and these rows are samples", where=where)
    return with_stride(training, stride)
