"""The options of commands that run a bundle on an engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from aetool_runtime import Autoencoder

__all__ = ["Engine", "engine_options"]


@dataclass(frozen=True)
class Engine:
    """What to run a bundle on; see ``Autoencoder.open``."""

    backend: str | None
    device: str
    threads: int
    precision: str | None

    def open(self, bundle: Path) -> Autoencoder:
        """Open a bundle to run on it."""
        from aetool_runtime import Autoencoder

        return Autoencoder.open(
            bundle, backend=self.backend, device=self.device, threads=self.threads, precision=self.precision
        )


def engine_options(function: Callable[..., None]) -> Callable[..., None]:
    """``--backend``, ``--device``, ``--threads`` and ``--precision``, handed on as one ``engine``."""

    @wraps(function)
    def command(backend: str | None, device: str, threads: int, precision: str | None, **others: Any) -> None:
        function(engine=Engine(backend, device, threads, precision), **others)

    options = [
        click.option("--backend", help="onnxruntime, litert, ... [default: the first that is installed]"),
        click.option("--device", default="cpu", show_default=True, help="cpu, cuda, ...; never another one silently."),
        click.option("--threads", type=int, default=1, show_default=True, help="For one call; 0 for all cores."),
        click.option("--precision", help="Which of the bundle's artifacts. [default: float32, else the first]"),
    ]
    for option in reversed(options):
        command = option(command)
    return command
