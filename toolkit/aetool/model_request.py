"""Which model is meant: one MODEL, or its halves in a file each, and what the user adds to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aetool.user_code import import_object
from aetool_runtime.errors import UsageError

if TYPE_CHECKING:
    from aetool_exporters.foreign.surgery import Surgery

__all__ = ["ModelRequest"]

_SUFFIXES = (".keras", ".h5", ".hdf5")


@dataclass(frozen=True)
class ModelRequest:
    """A model as it is named on the command line.

    Args:
        path: a checkpoint, a Keras file or a SavedModel folder; ``None`` where encoder or decoder is given.
        latent: the layer whose output is the latent; ``None`` finds it.
        encoder, decoder: files that hold one half each.
        encoder_only: leave the decoder out.
        custom: ``module:Class`` each.
        replaced: layer and ``module:function`` each.
    """

    path: Path | None = None
    latent: str | None = None
    encoder: Path | None = None
    decoder: Path | None = None
    encoder_only: bool = False
    custom: tuple[str, ...] = ()
    replaced: tuple[tuple[str, str], ...] = ()

    def check(self) -> None:
        """Refuse what does not go together.

        Raises:
            UsageError: no model, or two; ``latent`` or ``encoder_only`` where there is nothing to cut.
        """
        halves = self.encoder is not None or self.decoder is not None
        if halves == (self.path is not None):
            what = "both MODEL and --encoder or --decoder are given" if halves else "no model is given"
            raise UsageError(what, expected="MODEL, or --encoder FILE --decoder FILE, or one of these two")
        if halves and (self.latent is not None or self.encoder_only):
            flag = "--latent" if self.latent is not None else "--encoder-only"
            raise UsageError(f"{flag} goes with a MODEL that holds both halves", hint=f"leave {flag} out")

    @property
    def is_plain(self) -> bool:
        """Nothing is asked for that a checkpoint does not know itself."""
        return not (self.latent or self.encoder or self.decoder or self.encoder_only or self.custom or self.replaced)

    @property
    def shown(self) -> str:
        """The paths, for messages."""
        return " and ".join(str(path) for path in (self.path, self.encoder, self.decoder) if path is not None)

    @property
    def stem(self) -> str:
        """The name of the file without a Keras file's suffix; a folder called run-0.01 has none."""
        first = next(path for path in (self.path, self.encoder, self.decoder) if path is not None).resolve()
        return first.stem if first.suffix.lower() in _SUFFIXES else first.name

    def surgery(self) -> Surgery:
        """Import what ``custom`` and ``replaced`` name.

        Raises:
            InputError: there is no such module or name, or importing it failed.
        """
        from aetool_exporters.foreign.surgery import Surgery

        custom = {place.rpartition(":")[2].rpartition(".")[2]: _imported(place, "--custom") for place in self.custom}
        return Surgery(custom, {layer: _imported(place, "--replace-layer") for layer, place in self.replaced})


def _imported(place: str, option: str) -> Callable[..., Any]:
    """An object from the user's own code, which is run because the user names it."""
    module, colon, name = place.partition(":")
    if not colon or not module or not name:
        raise UsageError(f"{option} {place!r}", expected="MODULE:NAME", hint="the module as Python imports it")
    expected = "a class or function in a module that Python can import"
    return import_object(place, where=f"{option} {place}", expected=expected)
