"""Texts → token ids, with a vocabulary from the training part."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aetool.data.readers.text_files import Texts
from aetool.data.samples import Report
from aetool.data.subwords import learn_entries
from aetool_runtime.text import BYTES, Tokenizer

__all__ = ["learn_tokenizer", "token_rows"]


def learn_tokenizer(training: Sequence[str], vocabulary: int, length: int) -> Tokenizer:
    """The tokenizer with ``vocabulary`` entries at most, at least one for each byte and the pad.

    Args:
        training: the texts of the training part.
        length: tokens per text.
    """
    return Tokenizer(learn_entries(training, vocabulary), pad=len(BYTES), length=length)


def token_rows(texts: Texts, tokenizer: Tokenizer, report: Report) -> NDArray[np.int32]:
    """Ids [texts, length]; says how many texts were cut off."""
    cut = sum(len(tokenizer.tokens(line)) > tokenizer.length for line in texts.lines)
    if cut:
        report(f"{cut} of {len(texts.lines)} texts are longer than {tokenizer.length} tokens and are cut off")
    return tokenizer.encode(texts.lines)
