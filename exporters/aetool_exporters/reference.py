"""The Keras side: encoder and decoder with their normalization, as the truth that every artifact is held against."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from aetool_runtime.specs import Array, Normalization, Role, TensorSpec

if TYPE_CHECKING:
    import keras

__all__ = ["Reference"]

_BATCH = 64


@dataclass(frozen=True)
class Reference:
    """A Keras encoder and decoder, and the normalization between them and raw values.

    ``normalized = (raw − offset) / scale`` goes into the encoder; the decoder's output comes back to raw units the same
    way. The arithmetic is written twice on purpose: in NumPy here (the truth) and as graph operations in ``trace``
    (what is exported), so that a mis-wired normalization shows as a parity failure.

    Args:
        encoder: Keras model, normalized input [batch, …] → latent [batch, …].
        decoder: Keras model, latent → normalized reconstruction; ``None`` for an encoder alone.
        normalization: the identity for models that take raw values.
    """

    encoder: keras.Model
    decoder: keras.Model | None
    normalization: Normalization

    @property
    def roles(self) -> tuple[Role, ...]:
        return ("encoder",) if self.decoder is None else ("encoder", "decoder", "autoencoder")

    @cached_property
    def input(self) -> TensorSpec:
        return _spec("input", self.encoder.inputs[0])

    @cached_property
    def latent(self) -> TensorSpec:
        return _spec("latent", self.encoder.outputs[0])

    @cached_property
    def reconstruction(self) -> TensorSpec:
        assert self.decoder is not None
        return _spec("reconstruction", self.decoder.outputs[0])

    @cached_property
    def parameters(self) -> dict[str, int]:
        """Role → number of trained values, moving averages included."""
        counts = {"encoder": int(self.encoder.count_params())}
        if self.decoder is not None:
            counts["decoder"] = int(self.decoder.count_params())
        return counts

    def tensors(self, role: Role) -> tuple[TensorSpec, TensorSpec]:
        """The input and output of a role, with a free batch dimension."""
        if role == "encoder":
            return self.input, self.latent
        if role == "decoder":
            return self.latent, self.reconstruction
        return self.input, self.reconstruction

    def trace(self, role: Role, tensor: Any) -> Any:
        """Apply a role to a symbolic tensor: raw values in, raw values out. For the exporters' ``tf.function``."""
        if role != "decoder":
            tensor = self.encoder(self._normalize(tensor), training=False)
        if role != "encoder":
            assert self.decoder is not None
            tensor = self._denormalize(self.decoder(tensor, training=False))
        return tensor

    def compute(self, role: Role, array: Array) -> Array:
        """The truth: what Keras computes for a role, raw values in, raw values out, in batches of at most 64."""
        if role == "autoencoder":
            return self.compute("decoder", self.compute("encoder", array))
        model = self.encoder if role == "encoder" else self.decoder
        assert model is not None
        given = self.normalization.apply(array) if role == "encoder" else np.asarray(array)
        pieces = [
            np.asarray(model(given[start : start + _BATCH], training=False)) for start in range(0, len(given), _BATCH)
        ]
        result = np.concatenate(pieces)
        return result if role == "encoder" else self.normalization.invert(result)

    def _normalize(self, tensor: Any) -> Any:
        if self.normalization.is_identity:
            return tensor
        return (tensor - np.array(self.normalization.offset, np.float32)) / np.array(
            self.normalization.scale, np.float32
        )

    def _denormalize(self, tensor: Any) -> Any:
        if self.normalization.is_identity:
            return tensor
        return tensor * np.array(self.normalization.scale, np.float32) + np.array(self.normalization.offset, np.float32)


def _spec(name: str, tensor: Any) -> TensorSpec:
    return TensorSpec(name, str(tensor.dtype), (None, *tensor.shape[1:]))
