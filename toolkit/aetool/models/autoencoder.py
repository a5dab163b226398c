"""The two halves together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from aetool.models.codebook import Codebook

if TYPE_CHECKING:
    import keras

__all__ = ["KerasAutoencoder"]


@dataclass(frozen=True)
class KerasAutoencoder:
    """An encoder and the decoder for it, as they are exported: deterministic; both work on normalized values.

    Args:
        encoder: [batch, *input_shape] → latent [batch, …]; a variational one → mean and log-variance, each like a
            latent; a vector-quantized one → int32 [batch, positions].
        decoder: latent [batch, …] → [batch, *sample_shape].
        codebook: of a vector-quantized one: what is trained in place of the indices.
    """

    encoder: keras.Model
    decoder: keras.Model
    codebook: Codebook | None = None

    @cached_property
    def whole(self) -> keras.Model:
        """decoder(encoder(x)) as one model that shares their weights; of a variational one, through the mean."""
        import keras

        inputs = keras.Input(self.encoder.input_shape[1:], dtype=self.encoder.inputs[0].dtype, name="input")
        latent = self.encoder(inputs)
        latent = latent[0] if isinstance(latent, (list, tuple)) else latent
        return keras.Model(inputs, self.decoder(latent), name="autoencoder")

    @property
    def parameters(self) -> dict[str, int]:
        """Numbers of weights."""
        return {"encoder": int(self.encoder.count_params()), "decoder": int(self.decoder.count_params())}
