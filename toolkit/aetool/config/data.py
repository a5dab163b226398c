"""[data]."""

from __future__ import annotations

import math
from dataclasses import dataclass

from aetool.config.ranges import want
from aetool.data.statistics import Kind, Scope

__all__ = ["DataConfig"]


@dataclass(frozen=True)
class DataConfig:
    """[data]: how the data is read, split and normalized.

    Args:
        sample_shape: of one sample; ``()`` takes the data's own, ``(-1,)`` flattens it, ``(256, -1)`` cuts a recording
            into windows of 256 time steps with all its channels.
        stride: time steps between the starts of training windows; 0 for windows that do not overlap. Validation and
            test windows never overlap.
        split: shares of training, validation and test part, each > 0, together 1.
        split_seed: of the permutation of independent samples.
        normalization: ``none``, ``minmax`` (to 0 … 1) or ``standard`` (mean 0, deviation 1), learned in training.
        normalization_scope: ``global``, ``channel`` (the last axis), or ``auto``: see ``learn_normalization``.
        image_size: (height, width) to resize a folder's images to; ``()`` wants them all of one size.
        label: what says which kind a sample is, and is no part of it: the name of a column of a table (its number,
            from 1, where the table names none), or a ``.npy`` file with a value for each sample. Built-in digits have
            theirs.
        text_length: of texts: tokens per sample; shorter texts are padded, longer ones cut off.
        vocabulary: of texts: tokens that there may be: 257 are all bytes and the pad, more are learned from the
            training part (byte-pair merges).
    """

    sample_shape: tuple[int, ...] = ()
    stride: int = 0
    split: tuple[float, float, float] = (0.8, 0.1, 0.1)
    split_seed: int = 0
    normalization: Kind = "standard"
    normalization_scope: Scope = "auto"
    image_size: tuple[int, ...] = ()
    label: str = ""
    text_length: int = 64
    vocabulary: int = 257

    def __post_init__(self) -> None:
        want(all(size > 0 or size == -1 for size in self.sample_shape), "sample_shape holds sizes > 0, or -1")
        want(self.stride >= 0, "stride must be >= 0")
        want(self.split_seed >= 0, "split_seed must be >= 0")
        want(all(share > 0 for share in self.split), "each share of split must be > 0")
        want(math.isclose(sum(self.split), 1, abs_tol=1e-6), "the shares of split must add up to 1")
        want(len(self.image_size) in (0, 2), "image_size holds height and width")
        want(all(size > 0 for size in self.image_size), "image_size holds sizes > 0")
        want(self.text_length > 0, "text_length must be > 0")
        want(257 <= self.vocabulary <= 65536, "vocabulary must be between 257 and 65536")
