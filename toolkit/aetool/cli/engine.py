"""The options of commands that run a bundle on an engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aetool.cli.output import log

if TYPE_CHECKING:
    from aetool_runtime import Autoencoder, Bundle

__all__ = ["Engine", "engine_options"]


@dataclass(frozen=True)
class Engine:
    """What to run a bundle on; see ``Autoencoder.open``."""

    backend: str | None
    device: str | None
    threads: int | None
    precision: str | None
    min_snr: float | None = None

    def open(self, path: Path, batch_size: int | None = None) -> Autoencoder:
        """Open a bundle to run on it, and say what was chosen where that was left to us.

        Args:
            batch_size: samples a call; ``None`` for what commands take when they are not told.
        """
        from aetool_runtime import Autoencoder, open_bundle

        bundle = open_bundle(path)
        model = Autoencoder.open(
            bundle,
            backend=self.backend,
            device=self.device,
            threads=self.threads,
            precision=self.precision,
            min_snr=self.min_snr,
            batch_size=(batch_size or _usual_batch(bundle)) if self.backend == "auto" else 1,
        )
        if model.chosen is not None:
            log(str(model.chosen))
        return model


def engine_options(function: Callable[..., None]) -> Callable[..., None]:
    """``--backend``, ``--device``, ``--threads``, ``--precision`` and ``--min-snr``, handed on as one ``engine``."""

    @wraps(function)
    def command(
        backend: str | None,
        device: str | None,
        threads: int | None,
        precision: str | None,
        min_snr: float | None,
        **others: Any,
    ) -> None:
        function(engine=Engine(backend, device, threads, precision, min_snr), **others)

    options = [
        click.option(
            "--backend",
            help="onnxruntime, litert, ..., or auto: the fastest here, as measured. [default: the first installed]",
        ),
        click.option("--device", help="cpu, cuda, ...; never another silently. [default: cpu; with auto, any here]"),
        click.option(
            "--threads", type=int, help="For one call; 0 for all cores. [default: 1; with auto, what is fastest]"
        ),
        click.option(
            "--precision",
            help="Of the bundle's artifacts; with auto also any. [default: float32, else the first]",
        ),
        click.option(
            "--min-snr",
            type=float,
            metavar="DB",
            help="With auto: any precision that is so near to the model.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _usual_batch(bundle: Bundle) -> int:
    from aetool.running.feeding import batch_size

    spec = bundle.manifest.tensor("input") or bundle.manifest.tensor("latent")
    sizes = [] if spec is None else [size or 1 for size in spec.sample_shape]
    return batch_size(sizes)
