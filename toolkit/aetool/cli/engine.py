"""The options of commands that run a bundle on an engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

__all__ = ["engine_options"]

Command = TypeVar("Command", bound=Callable[..., None])


def engine_options(function: Command) -> Command:
    """``--backend``, ``--device``, ``--threads`` and ``--precision``, as ``Autoencoder.open`` takes them."""
    options = [
        click.option("--backend", help="onnxruntime, litert, ... [default: the first that is installed]"),
        click.option("--device", default="cpu", show_default=True, help="cpu, cuda, ...; never another one silently."),
        click.option("--threads", type=int, default=1, show_default=True, help="For one call; 0 for all cores."),
        click.option("--precision", default="float32", show_default=True, help="Which of the bundle's artifacts."),
    ]
    for option in reversed(options):
        function = option(function)
    return function
