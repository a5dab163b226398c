"""From the name of a data set to what training needs."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aetool.data.dataset import Dataset, Split, split_rows, split_starts, with_stride
from aetool.data.labels import open_labels
from aetool.data.layout import Layout, resolve_sample_shape
from aetool.data.opening import open_source
from aetool.data.readers.text_files import Texts, open_texts
from aetool.data.samples import Report, sample_batches
from aetool.data.source import ArraySource
from aetool.data.statistics import Statistics, learn_normalization, measure, resolution_notices
from aetool.data.tokens import learn_tokenizer, token_rows
from aetool_runtime.errors import InputError, UsageError
from aetool_runtime.specs import Array, Normalization
from aetool_runtime.text import Tokenizer

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
        tokenizer: of texts: learned from the training part; ``None`` for data that are no text.
    """

    raw_shape: tuple[int, ...]
    split: Split
    training: Dataset
    statistics: Statistics
    normalization: Normalization
    digest: str
    tokenizer: Tokenizer | None = None

    @property
    def sample_shape(self) -> tuple[int, ...]:
        return self.training.sample_shape

    @property
    def labels(self) -> Array | None:
        """Of ``training``, one for each sample; ``None`` where the data have none."""
        return self.training.labels


def prepare_data(spec: str | Path, config: DataConfig, report: Report) -> PreparedData:
    """Open, check, split and measure.

    Raises:
        InputError: what cannot be read, shapes that do not fit, NaN or infinity (names the sample), too few samples, or
            labels that are not one for each sample.
        UsageError: a stride for data that is not a recording, or a normalization of tokens.
    """
    texts = open_texts(spec)
    if texts is not None:
        return _prepare_texts(texts, config, report)
    source = open_source(
        spec,
        image_size=(config.image_size[0], config.image_size[1]) if config.image_size else None,
        label=config.label,
    )
    rows = source.array()
    sample_shape = resolve_sample_shape(config.sample_shape, rows.shape[1:], source.name)
    layout = Layout.fit(rows.shape[1:], sample_shape, source.name)
    labels = _labels(spec, config.label, layout, len(rows), source.name)
    return _prepared(ArraySource(source.name, rows), layout, config, report, labels=labels)


def _prepare_texts(texts: Texts, config: DataConfig, report: Report) -> PreparedData:
    if config.normalization != "none":
        raise UsageError(
            f'[data] normalization is "{config.normalization}", and token ids have no scale',
            where=texts.name,
            expected='normalization = "none"',
        )
    layout = Layout((config.text_length,), dtype="int32")
    parts = split_starts(len(texts.lines), layout, config.split, config.split_seed, texts.name)
    lines = [[texts.lines[index] for index in part] for part in parts]
    tokenizer = learn_tokenizer(lines[0], config.vocabulary, config.text_length)
    trained_on = set(lines[0])
    repeated = sum(line in trained_on for line in lines[2])
    if repeated:
        report(f"{repeated} of {len(lines[2])} texts of the test part stand in the training part as well")
    source = ArraySource(texts.name, token_rows(texts, tokenizer, report))
    labels = _labels(texts.name, config.label, layout, len(texts.lines), texts.name)
    return _prepared(source, layout, config, report, labels=labels, tokenizer=tokenizer)


def _prepared(
    source: ArraySource,
    layout: Layout,
    config: DataConfig,
    report: Report,
    *,
    labels: Array | None,
    tokenizer: Tokenizer | None = None,
) -> PreparedData:
    rows = source.array()
    digest = _digest(source, layout.sample_shape, report)
    split = split_rows(rows, layout, config.split, config.split_seed, source.name, labels=labels)
    training = _augmented(split.training, config.stride, source.name)
    statistics = measure(split.training.batches(_block(layout.sample_shape)))
    normalization, notices = learn_normalization(statistics, config.normalization, config.normalization_scope)
    for notice in (*notices, *resolution_notices(statistics)):
        report(notice)
    return PreparedData(rows.shape, split, training, statistics, normalization, digest, tokenizer)


def _labels(spec: str | Path, label: str, layout: Layout, rows: int, where: str) -> Array | None:
    """One for each row, where rows are samples; windows of a recording have none."""
    labels = open_labels(spec, label)
    if labels is None:
        return None
    if layout.is_recording:
        raise InputError("windows of a recording have no labels", where=where, hint="leave [data] label out")
    if len(labels) != rows:
        raise InputError(f"has {rows} samples and {len(labels)} labels", where=where, expected="one label a sample")
    return labels


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
