"""Text: bits per token of the network's probabilities, beside a model that knows only how frequent each token is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aetool.evaluation.subject import Subject
from aetool_runtime.specs import Array

__all__ = ["Text", "measure_text"]

_SMALLEST = 1e-12  # of a probability, whose logarithm is taken


@dataclass(frozen=True)
class Text:
    """Of the test part; the network knows the latent, so that its bits say what the latent left open.

    Args:
        samples: texts.
        network: bits per token: −log2 of the probability that the decoder gives to the true token, on average.
        unigram: the same with each token's frequency in training (one is added to each count).
        right: share of tokens whose most probable one is the true one.
        exact: share of texts of which all are.
    """

    samples: int
    network: float
    unigram: float
    right: float
    exact: float


def measure_text(subject: Subject) -> Text:
    """On the whole test part."""
    bits = unigram = right = exact = 0.0
    tokens = 0
    frequencies: NDArray[np.float64] | None = None
    for batch in subject.test_batches():
        probabilities = np.asarray(subject.reconstruct(batch), np.float64)
        if frequencies is None:
            frequencies = _frequencies(subject, probabilities.shape[-1])
        true = np.take_along_axis(probabilities, batch[..., None].astype(np.int64), axis=-1)[..., 0]
        hits = probabilities.argmax(axis=-1) == batch
        bits -= float(np.log2(np.maximum(true, _SMALLEST)).sum())
        unigram -= float(np.log2(frequencies[batch]).sum())
        right, exact, tokens = right + float(hits.sum()), exact + float(hits.all(axis=1).sum()), tokens + batch.size
    samples = len(subject.data.split.test)
    return Text(samples, bits / tokens, unigram / tokens, right / tokens, exact / samples)


def _frequencies(subject: Subject, vocabulary: int) -> NDArray[np.float64]:
    counts = np.ones(vocabulary)
    for batch in subject.data.training.batches(256):
        counts += np.bincount(_flat(batch), minlength=vocabulary)
    return np.asarray(counts / counts.sum())


def _flat(tokens: Array) -> NDArray[np.int64]:
    return np.asarray(tokens, np.int64).reshape(-1)
