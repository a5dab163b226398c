"""Which of the places where a graph can be cut is the latent."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Protocol

from aetool_exporters.foreign.cut import Cut
from aetool_runtime.errors import ModelError

__all__ = ["Cuttable", "choose_cut"]


class Cuttable(Protocol):
    """A graph of layers or operations, in an order in which they can be computed.

    ``cuts``: where it falls into two; ``layer_names``: of all its layers; ``elements``: of each step's largest output.
    """

    @property
    def cuts(self) -> Sequence[Cut]: ...
    @property
    def layer_names(self) -> Sequence[str]: ...
    @property
    def elements(self) -> Sequence[int]: ...


def choose_cut(graph: Cuttable, latent: str | None) -> list[Cut]:
    """The cut, and after it those that would do as well.

    Args:
        latent: a layer's name; ``None`` for the narrowest place.

    Raises:
        ModelError: there is no such place, or several are equally narrow and lie apart.
    """
    return _narrowest(graph) if latent is None else [_named(graph, latent)]


def _narrowest(graph: Cuttable) -> list[Cut]:
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
    if len(candidates) > 1 and max(graph.elements[candidates[0].place : candidates[-1].place + 1]) > fewest:
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


def _named(graph: Cuttable, name: str) -> Cut:
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
