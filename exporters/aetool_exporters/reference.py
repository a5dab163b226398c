"""The Keras side: encoder and decoder with their normalization, as the truth that every artifact is held against."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from aetool_exporters.rate import TrainedRate
from aetool_runtime.errors import ModelError
from aetool_runtime.specs import Array, Normalization, Role, TensorSpec
from aetool_runtime.text import Tokenizer

if TYPE_CHECKING:
    import keras

__all__ = ["Interface", "Reference"]

_BATCH = 64


@dataclass(frozen=True)
class Interface:
    """A role's one input and its outputs, the role's own first."""

    given: TensorSpec
    returned: tuple[TensorSpec, ...]


@dataclass(frozen=True)
class Reference:
    """A Keras encoder and decoder, and the normalization between them and raw values.

    ``normalized = (raw − offset) / scale`` goes into the encoder; the decoder's output comes back to raw units the same
    way. The arithmetic is written twice on purpose: in NumPy here (the truth) and as graph operations in ``trace``
    (what is exported), so that a mis-wired normalization shows as a parity failure.

    Args:
        encoder: Keras model, normalized input [batch, …] → latent [batch, …], or mean and log-variance of it; ``None``
            for a decoder alone.
        decoder: Keras model, latent → normalized reconstruction; ``None`` for an encoder alone. One of them is there.
        normalization: the identity for models that take raw values.
        latent_prior: what latents may be drawn from to make samples, such as ``standard_normal``, or "".
        tokenizer: turns text into the encoder's input and the decoder's output back; ``None`` for other models.
        rate: of models that were trained for rate; ``None`` for others.
    """

    encoder: keras.Model | None
    decoder: keras.Model | None
    normalization: Normalization
    latent_prior: str = ""
    tokenizer: Tokenizer | None = None
    rate: TrainedRate | None = None

    @property
    def models(self) -> tuple[keras.Model, ...]:
        return tuple(model for model in (self.encoder, self.decoder) if model is not None)

    @property
    def roles(self) -> tuple[Role, ...]:
        if self.encoder is None:
            return ("decoder",)
        return ("encoder",) if self.decoder is None else ("encoder", "decoder", "autoencoder")

    @property
    def given(self) -> TensorSpec:
        """What samples are: the encoder's input, or the latents that a decoder alone takes."""
        return self.latent if self.encoder is None else self.input

    @cached_property
    def input(self) -> TensorSpec:
        assert self.encoder is not None
        return _spec("input", self.encoder.inputs[0])

    @cached_property
    def latents(self) -> tuple[TensorSpec, ...]:
        """``latent``; of a variational encoder, which gives mean and log-variance, ``latent`` is the mean."""
        if self.encoder is None:
            assert self.decoder is not None
            return (_spec("latent", self.decoder.inputs[0]),)
        outputs = self.encoder.outputs
        if len(outputs) == 1:
            return (_spec("latent", outputs[0]),)
        if len(outputs) != 2:
            raise ModelError(
                f"the encoder has {len(outputs)} outputs",
                expected="one (the latent), or two (its mean and log-variance)",
                hint="export a model whose encoder leaves the others out",
            )
        return tuple(_spec(name, tensor) for name, tensor in _named(outputs).items())

    @property
    def latent(self) -> TensorSpec:
        return self.latents[0]

    @cached_property
    def reconstruction(self) -> TensorSpec:
        assert self.decoder is not None
        return _spec("reconstruction", self.decoder.outputs[0])

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """What flows through: of ``input``, ``latent`` and ``reconstruction`` those that there are, in this order."""
        before = () if self.encoder is None else (self.input,)
        after = () if self.decoder is None else (self.reconstruction,)
        return (*before, self.latent, *after)

    @cached_property
    def parameters(self) -> dict[str, int]:
        """Role → number of trained values, moving averages included."""
        models = {"encoder": self.encoder, "decoder": self.decoder}
        return {role: int(model.count_params()) for role, model in models.items() if model is not None}

    def interface(self, role: Role) -> Interface:
        """What goes into a role and what comes out, with a free batch dimension."""
        if role == "encoder":
            return Interface(self.input, self.latents)
        return Interface(self.latent if role == "decoder" else self.input, (self.reconstruction,))

    def trace(self, role: Role, tensor: Any) -> dict[str, Any]:
        """Apply a role to a symbolic tensor: raw values in and out, by name. For the exporters' ``tf.function``."""
        if role == "encoder":
            return self._encode(self._normalize(tensor))
        latent = tensor if role == "decoder" else self._encode(self._normalize(tensor))["latent"]
        assert self.decoder is not None
        return {"reconstruction": self._denormalize(self.decoder(latent, training=False))}

    def compute(self, role: Role, array: Array) -> Array:
        """The truth: a role's first output, as Keras computes it; raw values in, raw values out."""
        return next(iter(self.compute_all(role, array).values()))

    def compute_all(self, role: Role, array: Array) -> dict[str, Array]:
        """The truth: all outputs of a role by name, computed in batches of at most 64."""
        if role == "autoencoder":
            return self.compute_all("decoder", self.compute("encoder", array))
        given = self.normalization.apply(array) if role == "encoder" and not self._is_raw else np.asarray(array)
        pieces = [self._piece(role, given[start : start + _BATCH]) for start in range(0, len(given), _BATCH)]
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}

    def _piece(self, role: Role, given: Array) -> dict[str, Array]:
        if role == "encoder":
            return {name: np.asarray(value) for name, value in self._encode(given).items()}
        assert self.decoder is not None
        result = np.asarray(self.decoder(given, training=False))
        return {"reconstruction": result if self._is_raw else self.normalization.invert(result)}

    def _encode(self, tensor: Any) -> dict[str, Any]:
        assert self.encoder is not None
        return _named(self.encoder(tensor, training=False))

    @property
    def _is_raw(self) -> bool:
        """Nothing to normalize; integers stay integers."""
        return self.normalization.is_identity

    def _normalize(self, tensor: Any) -> Any:
        if self._is_raw:
            return tensor
        # One value for each place: TFLite's converter folds a single one into the weights of a following Dense, where
        # offset and input cancel each other only after both were multiplied, and small signals on large offsets drown.
        offset = np.broadcast_to(np.array(self.normalization.offset, np.float32), (tensor.shape[-1] or 1,))
        return (tensor - offset) / np.array(self.normalization.scale, np.float32)

    def _denormalize(self, tensor: Any) -> Any:
        if self._is_raw:
            return tensor
        return tensor * np.array(self.normalization.scale, np.float32) + np.array(self.normalization.offset, np.float32)


def _named(outputs: Any) -> dict[str, Any]:
    """An encoder's output, or its mean and log-variance, by name."""
    if not isinstance(outputs, list | tuple):
        return {"latent": outputs}
    if len(outputs) == 1:
        return {"latent": outputs[0]}
    mean, logvar = outputs
    return {"latent": mean, "latent_mean": mean, "latent_logvar": logvar}


def _spec(name: str, tensor: Any) -> TensorSpec:
    return TensorSpec(name, str(tensor.dtype), (None, *tensor.shape[1:]))
