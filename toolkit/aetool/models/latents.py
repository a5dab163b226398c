"""Where a family ends and the latent begins: the last steps of the encoder and the first of the decoder, by kind.

A family computes, from a sample, ``heads`` values for each value of its latent, and a sample from its latent. What is
here stands between the two, made of Keras' own layers only, since it is exported with them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from aetool.config import LatentConfig, VariationalLatent, VectorQuantizedLatent
from aetool.models.autoencoder import KerasAutoencoder
from aetool.models.codebook import Codebook
from aetool_runtime.errors import UsageError

__all__ = ["LatentEnds"]


@dataclass
class LatentEnds:
    """The two ends, for one autoencoder; used in this order.

    Args:
        latent: the kind.
        seeds: draws initial weights.
    """

    latent: LatentConfig
    seeds: np.random.Generator

    @property
    def heads(self) -> int:
        """Values that the family's encoder is to return for each of its latent's, along the last axis."""
        return 2 if isinstance(self.latent, VariationalLatent) else 1

    def encoded(self, features: Any) -> Any:
        """What the family's encoder computed → the encoder's outputs."""
        import keras

        self._features = features
        self._shape: tuple[int, ...] = (*features.shape[1:-1], features.shape[-1] // self.heads)
        if isinstance(self.latent, VariationalLatent):
            return [features[..., : self._shape[-1]], features[..., self._shape[-1] :]]
        if isinstance(self.latent, VectorQuantizedLatent):
            self._vectors = keras.layers.Reshape(self._vector_shape(self.latent), name="encoder_vectors")(features)
            self._scores = keras.layers.Dense(self.latent.codes, trainable=False, name="encoder_codebook")
            return keras.ops.argmax(self._scores(self._vectors), axis=-1)
        return features

    def decoded(self) -> tuple[Any, Any]:
        """The decoder's input, and the tensor that the family's decoder begins with."""
        import keras

        if not isinstance(self.latent, VectorQuantizedLatent):
            inputs = keras.Input(self._shape, name="latent")
            return inputs, inputs
        positions, dimension = self._vector_shape(self.latent)
        inputs = keras.Input((positions,), dtype="int32", name="latent")
        start = keras.initializers.RandomNormal(stddev=1.0, seed=int(self.seeds.integers(2**31)))
        self._entries = keras.layers.Embedding(
            self.latent.codes, dimension, start, trainable=False, name="decoder_codebook"
        )
        self._chosen = self._entries(inputs)
        return inputs, keras.layers.Reshape(self._shape, name="decoder_vectors")(self._chosen)

    def autoencoder(self, encoder: Any, decoder: Any) -> KerasAutoencoder:
        """Both halves, with what training needs of their inside."""
        import keras

        if not isinstance(self.latent, VectorQuantizedLatent):
            return KerasAutoencoder(encoder, decoder)
        vectors = keras.Model(encoder.input, self._vectors, name="vectors")
        restore = keras.Model(self._chosen, decoder.outputs[0], name="restore")
        codebook = Codebook(vectors, restore, self._scores, self._entries)
        codebook.publish()
        return KerasAutoencoder(encoder, decoder, codebook)

    def _vector_shape(self, latent: VectorQuantizedLatent) -> tuple[int, int]:
        size = math.prod(self._shape)
        if size % latent.dimension:
            raise UsageError(
                f"a latent of {size} values cannot be cut into vectors of {latent.dimension}",
                expected=f"[latent] dimension that divides {size}",
                hint="set [latent] dimension, or [model] latent",
            )
        return size // latent.dimension, latent.dimension
