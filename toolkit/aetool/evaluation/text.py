"""Text: bits per character, beside a model that knows only how frequent each token is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aetool.evaluation.subject import Subject

__all__ = ["Text", "measure_text"]

_SMALLEST = 1e-12  # of a probability, whose logarithm is taken


@dataclass(frozen=True)
class Text:
    """Of the test part. What stands behind a text's end (the pad) does not count, but for ``exact``.

    The network knows the latent, and the unigram model nothing of the text: the network's bits are what its latent
    leaves open, and no size of a compressed file.

    Args:
        samples: texts.
        latent_bits: per character, that the latent's values take as 32-bit floats.
        network: bits per character: −log2 of the probability that the decoder gives to each true token.
        unigram: the same with each token's frequency in training (one is added to each count).
        right: share of tokens whose most probable one is the true one.
        exact: share of texts that come back as they were.
    """

    samples: int
    latent_bits: float
    network: float
    unigram: float
    right: float
    exact: float


def measure_text(subject: Subject) -> Text:
    """On the whole test part."""
    tokenizer, test = subject.data.tokenizer, subject.data.split.test
    assert tokenizer is not None
    frequencies = _frequencies(subject, len(tokenizer.entries), tokenizer.pad)
    bits = unigram = right = exact = 0.0
    tokens = characters = 0
    for batch in subject.test_batches():
        probabilities, counts = np.asarray(subject.reconstruct(batch), np.float64), batch != tokenizer.pad
        true = np.take_along_axis(probabilities, batch[..., None].astype(np.int64), axis=-1)[..., 0]
        hits = probabilities.argmax(axis=-1) == batch
        bits -= float(np.log2(np.maximum(true[counts], _SMALLEST)).sum())
        unigram -= float(np.log2(frequencies[batch[counts]]).sum())
        right, exact = right + float(hits[counts].sum()), exact + float(hits.all(axis=1).sum())
        tokens, characters = tokens + int(counts.sum()), characters + sum(map(len, tokenizer.decode(batch)))
    latent_bits = 32 * subject.latent * len(test) / characters
    return Text(len(test), latent_bits, bits / characters, unigram / characters, right / tokens, exact / len(test))


def _frequencies(subject: Subject, vocabulary: int, pad: int) -> NDArray[np.float64]:
    counts = np.ones(vocabulary)
    for batch in subject.data.training.batches(256):
        counts += np.bincount(np.asarray(batch, np.int64).reshape(-1), minlength=vocabulary)
    counts[pad] = 0
    return np.asarray(counts / counts.sum())
