"""Models from elsewhere → the encoder and decoder that are exported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aetool_exporters.foreign.choice import choose_cut
from aetool_exporters.foreign.flat_graph import flatten
from aetool_exporters.foreign.keras_file import read_keras
from aetool_exporters.foreign.replay import is_graph
from aetool_exporters.foreign.roles import Kind, as_autoencoder, as_encoder, check_ends, kind_of
from aetool_exporters.foreign.saved_model import PROGRAM, read_saved_model
from aetool_exporters.foreign.split import check_agreement, split_autoencoder
from aetool_exporters.foreign.surgery import Surgery
from aetool_runtime.errors import ModelError
from aetool_runtime.specs import format_shape

if TYPE_CHECKING:
    import keras

__all__ = ["Halves", "open_halves", "open_model"]


_TAKEN = {
    "encoder": "{} is taken for an encoder alone; both halves: --encoder FILE --decoder FILE",
    "decoder": "{} is taken for a decoder alone; both halves: --encoder FILE --decoder FILE",
    "whole": "no place cuts {} in two: something flows past each; it is exported whole, as an encoder",
}


@dataclass(frozen=True)
class Halves:
    """An encoder and a decoder, or one of them.

    Args:
        notices: how they were found, and what was rewritten or replaced, in sentences.
    """

    encoder: keras.Model | None
    decoder: keras.Model | None
    notices: tuple[str, ...] = ()


def open_model(
    path: Path, *, latent: str | None = None, encoder_only: bool = False, surgery: Surgery | None = None
) -> Halves:
    """Read a file or SavedModel folder that holds an autoencoder, an encoder, or a decoder.

    Args:
        latent: the layer whose output is the latent; ``None`` finds it.
        encoder_only: take the whole model as an encoder, or with ``latent`` its part up to there.
        surgery: the user's own classes, and functions in place of layers.

    Raises:
        ModelError: it cannot be read, or it is not clear where it divides.
        UnsafeError: it reaches beyond itself.
    """
    if is_saved_model(path):
        return _divide_graph(path, latent, encoder_only)
    models, notices = _read(path, surgery)
    if "model" not in models:
        halves = _pair(models["encoder"], models["decoder"], str(path), list(notices))
    else:
        halves = _divide(models["model"], path, latent, encoder_only, list(notices))
    return Halves(halves.encoder, None, halves.notices) if encoder_only else halves


def open_halves(encoder: Path | None, decoder: Path | None, surgery: Surgery | None = None) -> Halves:
    """Read the halves of a model from a file each; one of them may lack.

    Raises:
        ModelError: one cannot be read, or they do not fit each other.
    """
    notices: list[str] = []
    found: dict[str, Any] = {"encoder": None, "decoder": None}
    for path, role in ((encoder, "encoder"), (decoder, "decoder")):
        if path is not None:
            models, told = _read(path, surgery)
            found[role] = models[role if role in models else "model"]
            check_ends(found[role], str(path))
            notices += told
    where = f"{encoder} and {decoder}" if encoder and decoder else str(encoder or decoder)
    return _pair(found["encoder"], found["decoder"], where, notices)


def is_saved_model(path: Path) -> bool:
    """A folder with a TensorFlow program."""
    return (path / PROGRAM).is_file()


def _read(path: Path, surgery: Surgery | None) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    if is_saved_model(path):
        graph, _, notices = read_saved_model(path)
        return {"model": graph.whole()}, tuple(notices)
    found = read_keras(path, surgery)
    return found.models, found.notices


def _pair(encoder: Any, decoder: Any, where: str, notices: list[str]) -> Halves:
    if encoder is not None:
        encoder, told = as_encoder(encoder)
        notices += told
    if decoder is not None:
        decoder, told = as_autoencoder(decoder)
        notices += told
    if encoder is not None and decoder is not None:
        made, taken = encoder.outputs[0], decoder.inputs[0]
        if not _fits(made.shape, taken.shape):
            raise ModelError(
                f"the encoder makes {format_shape(made.shape)}, the decoder takes {format_shape(taken.shape)}",
                where=where,
                expected="two halves of one model",
                hint="give one of them alone: --encoder FILE, or --decoder FILE",
            )
    return Halves(encoder, decoder, tuple(dict.fromkeys(notices)))


def _fits(made: Any, taken: Any) -> bool:
    return len(made) == len(taken) and all(
        one is None or other is None or one == other for one, other in zip(made[1:], taken[1:], strict=True)
    )


def _divide(model: Any, path: Path, latent: str | None, encoder_only: bool, notices: list[str]) -> Halves:
    where = str(path)
    check_ends(model, where)
    if latent is not None:
        model, told = as_autoencoder(model)
        encoder, decoder, *_ = split_autoencoder(model, latent)
        return Halves(encoder, decoder, (*notices, *told))
    if encoder_only:
        return _pair(model, None, where, notices)
    kind = _kind(model, path)
    if kind != "autoencoder":
        notices.append(_TAKEN[kind].format(path.name))
        return _pair(model, None, where, notices) if kind == "encoder" else _pair(None, model, where, notices)
    model, told = as_autoencoder(model)
    notices += told
    if not is_graph(model) or not flatten(model).cuts:
        notices.append(_TAKEN["whole"].format(path.name))
        return Halves(model, None, tuple(notices))
    encoder, decoder, layer, equals = split_autoencoder(model)
    notices.append(_latent_notice(layer, equals))
    return Halves(encoder, decoder, tuple(notices))


def _divide_graph(path: Path, latent: str | None, encoder_only: bool) -> Halves:
    """As ``_divide``, for a graph of operations."""
    graph, compute, notices = read_saved_model(path)
    if encoder_only and latent is None:
        return Halves(graph.whole("encoder"), None, tuple(notices))
    kind = kind_of(graph.whole(), path.name, min((cut.elements for cut in graph.cuts), default=None))
    if latent is None and (kind != "autoencoder" or not graph.cuts):
        notices.append(_TAKEN[kind if kind != "autoencoder" else "whole"].format(path.name))
        part = graph.whole("decoder" if kind == "decoder" else "encoder")
        return Halves(None, part, tuple(notices)) if kind == "decoder" else Halves(part, None, tuple(notices))
    cut, *others = choose_cut(graph, latent)
    encoder, decoder = graph.split(cut)
    check_agreement(compute, encoder, decoder)
    if latent is None:
        notices.append(_latent_notice(cut.name, [other.name for other in others]))
    return Halves(encoder, None if encoder_only else decoder, tuple(notices))


def _latent_notice(layer: str, equals: Sequence[str]) -> str:
    as_narrow = f" ({', '.join(equals)} would do as well)" if equals else ""
    return f"the latent is the output of layer {layer!r}{as_narrow}; choose another with --latent LAYER"


def _kind(model: Any, path: Path) -> Kind:
    cuts = flatten(model).cuts if is_graph(model) and len(model.outputs) == 1 else []
    return kind_of(model, path.stem, min((cut.elements for cut in cuts), default=None))
