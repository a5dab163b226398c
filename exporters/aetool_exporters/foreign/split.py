"""One Keras model → encoder and decoder, cut at the latent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from aetool_exporters.foreign.choice import choose_cut
from aetool_exporters.foreign.flat_graph import flatten
from aetool_exporters.reason import reason
from aetool_runtime.errors import ModelError

if TYPE_CHECKING:
    import keras

__all__ = ["Split", "check_agreement", "split_autoencoder"]

_AGREEMENT = 1e-5


class Split(NamedTuple):
    """The halves of a model, sharing its weights, and the name of the layer whose output is the latent.

    ``equals``: layers right after it that are as narrow, and might as well have been the one.
    """

    encoder: keras.Model
    decoder: keras.Model
    latent: str
    equals: tuple[str, ...] = ()


def split_autoencoder(model: keras.Model, latent: str | None = None) -> Split:
    """Cut a model in two, so that ``decoder(encoder(x))`` is ``model(x)``.

    Args:
        model: functional or Sequential, nested or flat, one input and one output.
        latent: the layer, or nested model, whose output is the latent; ``None`` for the narrowest place that everything
            flows through, which is looked for in an autoencoder only.

    Raises:
        ModelError: the model cannot be cut there, the layer is unknown, or narrow places lie apart.
    """
    graph = flatten(model)
    cut, *others = choose_cut(graph, latent)
    encoder, decoder = graph.split(cut)
    check_agreement(model, encoder, decoder)
    return Split(encoder, decoder, cut.name, tuple(other.name for other in others))


def check_agreement(model: Any, encoder: keras.Model, decoder: keras.Model) -> None:
    """Compute one sample both ways: a mask or a state that the cut loses must not pass unseen.

    Raises:
        ModelError: they differ, or the model cannot be computed.
    """
    given = encoder.inputs[0]
    if None in given.shape[1:]:
        return
    values = np.random.default_rng(0).uniform(0, 1, (2, *given.shape[1:])).astype(given.dtype)
    try:
        whole = np.asarray(model(values, training=False))
        latents = encoder(values, training=False)
        latent = latents[0] if isinstance(latents, (list, tuple)) else latents
        halves = np.asarray(decoder(latent, training=False))
    except Exception as error:  # Keras raises what the layers run into
        raise ModelError(f"the model cannot be computed ({reason(error)})", where=encoder.name) from error
    allowed = _AGREEMENT * max(float(np.abs(whole).max(initial=0)), 1e-6)
    if not np.allclose(whole, halves, rtol=0, atol=allowed, equal_nan=True):
        raise ModelError(
            "encoder and decoder together do not compute what the model computes: "
            "a mask is lost at the cut, or a layer draws random numbers",
            hint="cut elsewhere with --latent LAYER, or export the mean instead of a sample",
        )
