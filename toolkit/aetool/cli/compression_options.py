"""The options of ``export`` for what a bundle brings for compression."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from aetool.cli.reduced import Reduced
from aetool_runtime.errors import UsageError

if TYPE_CHECKING:
    from aetool.model import Model
    from aetool_exporters.pipeline import ExportOptions

__all__ = ["CompressionFlags", "compression_options"]

_CODECS = ("network", "linear")
_MOST_QUALITIES = 64


@dataclass(frozen=True)
class CompressionFlags:
    """``--compression`` and what belongs to it; ``wanted`` is ``None`` where it was left to the model."""

    wanted: bool | None
    codecs: tuple[str, ...]
    qualities: int

    def applied(self, options: ExportOptions, loaded: Model, reduced: Reduced) -> ExportOptions:
        """The options with compression in them: where it is asked for, or the model was trained for it.

        Raises:
            UsageError: codecs are named, and no compression is wanted.
        """
        from aetool_exporters.compression import CompressionOptions, first_samples

        trained = loaded.reference.rate is not None
        if not (trained if self.wanted is None else self.wanted):
            if self.codecs:
                raise UsageError("--codec is for bundles that compress", hint="add --compression")
            return options
        calibration = options.quantization.calibration if reduced.calibration is not None else None
        samples = first_samples(calibration) if calibration is not None else None
        wanted = CompressionOptions(samples, self.codecs or _CODECS, self.qualities)
        return replace(options, compression=wanted)


def compression_options(function: Callable[..., None]) -> Callable[..., None]:
    """``--compression`` and what belongs to it, handed on as one ``compression``."""

    @wraps(function)
    def command(compression: bool | None, codec: tuple[str, ...], qualities: int, **others: Any) -> None:
        function(compression=CompressionFlags(compression, tuple(dict.fromkeys(codec)), qualities), **others)

    options = [
        click.option(
            "--compression/--no-compression",
            default=None,
            help="Bring what compresses: codecs and tables, fitted to training samples. "
            "[default: for a model that was trained for it]",
        ),
        click.option(
            "--codec", multiple=True, type=click.Choice(_CODECS),
            help="A codec to bring: the model's decoder in integers, or principal components.  [default: both]",
        ),
        click.option(
            "--qualities", type=click.IntRange(1, _MOST_QUALITIES), default=12, show_default=True,
            help="How many of each codec, from coarse to fine, at most.",
        ),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command
