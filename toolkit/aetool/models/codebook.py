"""The codebook of a vector-quantized autoencoder: van den Oord 2017, with moving averages (its appendix A.1)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

__all__ = ["Codebook"]

_DECAY = 0.99
_DEAD = 0.01  # of the share of the batch that an entry has when all are chosen alike


@dataclass(frozen=True)
class Codebook:
    """What quantizes while training, where indices have no gradient.

    Args:
        vectors: the encoder without its last steps: [batch, *input_shape] → [batch, positions, dimension].
        restore: the decoder without its first: [batch, positions, dimension] → [batch, *sample_shape].
        scores: the encoder's layer vector → c · vector − ½|c|² for each entry c: its maximum is the nearest entry.
        entries: the decoder's layer index → entry; its weights are the codebook.
    """

    vectors: keras.Model
    restore: keras.Model
    scores: keras.layers.Dense
    entries: keras.layers.Embedding

    @cached_property
    def variables(self) -> list[Any]:
        """The codebook, and moving averages of how many vectors chose each entry, and of their sum."""
        import tensorflow as tf

        table = self.entries.embeddings.value
        return [table, tf.Variable(tf.zeros(table.shape[0])), tf.Variable(tf.zeros(table.shape))]

    def quantize(self, vectors: Any, learn: bool) -> Any:
        """[batch, positions, dimension] → the nearest entries; ``learn`` moves the codebook towards what chose it."""
        import tensorflow as tf

        table = self.variables[0]
        flat = tf.reshape(vectors, (-1, table.shape[1]))
        scores = tf.matmul(flat, table, transpose_b=True) - tf.reduce_sum(tf.square(table), axis=1) / 2
        index = tf.argmax(scores, axis=1)
        nearest = tf.reshape(tf.gather(table, index), tf.shape(vectors))
        if learn:
            self._learn(tf.stop_gradient(flat), index)
        return nearest

    def _learn(self, flat: Any, index: Any) -> None:
        """Move every entry; one that hardly anything chooses becomes a vector of this batch (spread over it)."""
        import tensorflow as tf

        table, count, total = self.variables
        codes, vectors = table.shape[0], tf.shape(flat)[0]
        chosen = tf.one_hot(index, codes)
        fair = tf.cast(vectors, tf.float32) / codes
        new_count = _DECAY * count + (1 - _DECAY) * tf.reduce_sum(chosen, axis=0)
        new_total = _DECAY * total + (1 - _DECAY) * tf.matmul(chosen, flat, transpose_a=True)
        dead = new_count < _DEAD * fair
        place = tf.cast(tf.range(codes), tf.int64) * tf.cast(vectors, tf.int64) // codes
        count.assign(tf.where(dead, fair, new_count))
        total.assign(tf.where(dead[:, None], fair * tf.gather(flat, place), new_total))
        table.assign(total / count[:, None])

    def publish(self) -> None:
        """Bring the codebook into the encoder, which holds it in the form of a dense layer."""
        table = np.asarray(self.variables[0])
        self.scores.set_weights([table.T, -np.square(table).sum(axis=1) / 2])
