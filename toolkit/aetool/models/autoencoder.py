"""The two halves together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

__all__ = ["KerasAutoencoder"]


@dataclass(frozen=True)
class KerasAutoencoder:
    """An encoder and the decoder for it; both work on normalized values.

    Args:
        encoder: [batch, *sample_shape] → latent [batch, latent].
        decoder: latent [batch, latent] → [batch, *sample_shape].
    """

    encoder: keras.Model
    decoder: keras.Model

    @cached_property
    def whole(self) -> keras.Model:
        """decoder(encoder(x)) as one model that shares their weights: what is trained."""
        import keras

        inputs = keras.Input(self.encoder.input_shape[1:], name="input")
        return keras.Model(inputs, self.decoder(self.encoder(inputs)), name="autoencoder")

    @property
    def parameters(self) -> dict[str, int]:
        """Numbers of weights."""
        return {"encoder": int(self.encoder.count_params()), "decoder": int(self.decoder.count_params())}
