"""One Keras model → encoder and decoder, cut at the latent."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from aetool_exporters.foreign.flat_graph import Cut, FlatGraph, flatten
from aetool_exporters.reason import reason
from aetool_runtime.errors import ModelError

if TYPE_CHECKING:
    import keras

__all__ = ["Split", "split_autoencoder"]

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
    cut, *others = _narrowest(graph) if latent is None else [_named(graph, latent)]
    encoder, decoder = graph.split(cut)
    _check_agreement(model, encoder, decoder)
    return Split(encoder, decoder, cut.name, tuple(other.name for other in others))


def _narrowest(graph: FlatGraph) -> list[Cut]:
    """The cut with the fewest elements first, then those that are its equals.

    Of neighbours that only transform one another (Dense, BatchNormalization, ReLU), it is the last; a nested model's
    end comes before all of them, since that is where its author saw the border. Of several that are left, the first,
    if nothing between them is wider: they are one bottleneck.
    """
    if not graph.cuts:
        what = "no layer's output is all that the rest of the model needs: something flows past each"
        raise ModelError(what, hint="export it whole: --encoder-only")
    fewest = min(cut.elements for cut in graph.cuts)
    narrow = [cut for cut in graph.cuts if cut.elements == fewest]
    candidates = [cut for cut in narrow if cut.closes_model] or _ends_of_runs(narrow)
    if max(graph.elements[candidates[0].place : candidates[-1].place + 1]) > fewest:
        raise ModelError(
            "several layers, far from each other, are equally narrow: " + ", ".join(map(str, candidates)),
            hint=f"name one: --latent {candidates[0].name}",
        )
    return candidates


def _ends_of_runs(narrow: list[Cut]) -> list[Cut]:
    """One cut for each run of neighbours: its last that is not a mere change of shape."""
    ends: list[Cut] = []
    for cut in narrow:
        if ends and cut.only_reshapes and cut.follows_on:
            continue
        if ends and cut.follows_on:
            ends[-1] = cut
        else:
            ends.append(cut)
    return ends


def _named(graph: FlatGraph, name: str) -> Cut:
    matching = [cut for cut in graph.cuts if name in {*_spellings(cut.name), *_spellings(cut.model)}]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise ModelError(f"{name!r} may mean " + " or ".join(map(str, matching)), hint=f"--latent {matching[0].name}")
    known = [spelling for layer in graph.layer_names for spelling in _spellings(layer)]
    places = "one of " + ", ".join(map(str, graph.cuts))
    if name in known:
        what = f"the model cannot be cut after layer {name!r}: it is an end, or something flows past it"
        raise ModelError(what, expected=places)
    close = get_close_matches(name, known, 1)
    hint = f"did you mean {close[0]!r}?" if close else "see model.summary()"
    raise ModelError(f"there is no layer {name!r}", expected=places, hint=hint)


def _spellings(path: str) -> tuple[str, str]:
    """``encoder/dense`` may be called ``dense``."""
    return path, path.rpartition("/")[2]


def _check_agreement(model: keras.Model, encoder: keras.Model, decoder: keras.Model) -> None:
    """Compute one sample both ways: a mask or a state that the cut loses must not pass unseen."""
    given = model.inputs[0]
    if None in given.shape[1:]:
        return
    values = np.random.default_rng(0).uniform(0, 1, (2, *given.shape[1:])).astype(given.dtype)
    try:
        whole = np.asarray(model(values, training=False))
        latents = encoder(values, training=False)
        latent = latents[0] if isinstance(latents, (list, tuple)) else latents
        halves = np.asarray(decoder(latent, training=False))
    except Exception as error:  # Keras raises what the layers run into
        raise ModelError(f"the model cannot be computed ({reason(error)})", where=model.name) from error
    allowed = _AGREEMENT * max(float(np.abs(whole).max(initial=0)), 1e-6)
    if not np.allclose(whole, halves, rtol=0, atol=allowed, equal_nan=True):
        raise ModelError(
            "encoder and decoder together do not compute what the model computes: "
            "a mask is lost at the cut, or a layer draws random numbers",
            hint="cut elsewhere with --latent LAYER, or export the mean instead of a sample",
        )
