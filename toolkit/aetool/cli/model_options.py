"""The options that say what a model from elsewhere is: the same for ``export``, ``verify`` and ``inspect``."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any
from unicodedata import category

import click

from aetool.model_request import ModelRequest
from aetool_runtime.errors import UsageError

__all__ = ["check_name", "model_options"]

_OPTIONS = [
    click.option("--latent", metavar="LAYER", help="The layer whose output is the latent. [default: the narrowest]"),
    click.option(
        "--encoder", type=click.Path(path_type=Path), metavar="MODEL", help="The encoder, in a file of its own."
    ),
    click.option("--decoder", type=click.Path(path_type=Path), metavar="MODEL", help="The decoder that belongs to it."),
    click.option("--encoder-only", is_flag=True, help="Leave the decoder out; the whole MODEL, if it has no latent."),
    click.option("--custom", multiple=True, metavar="MODULE:CLASS", help="A layer or function of yours, for Keras."),
    click.option(
        "--replace-layer",
        "replaced",
        multiple=True,
        metavar="LAYER=MODULE:FUNCTION",
        help="Call a function of yours with the layer's input tensors, in place of the layer.",
    ),
]


def model_options(argument: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the options to a command, which is given a ``ModelRequest`` in place of its ``argument``.

    Args:
        argument: the parameter that holds the one MODEL. Of ``against`` the command gets ``None`` where no model is
            named at all.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def run(replaced: tuple[str, ...], **others: Any) -> None:
            named = {name: others.pop(name) for name in ("latent", "encoder", "decoder", "encoder_only", "custom")}
            request = ModelRequest(others.pop(argument), replaced=_pairs(replaced), **named)
            if request == ModelRequest() and argument == "against":
                command(against=None, **others)
                return
            request.check()
            command(**{argument: request}, **others)

        for option in reversed(_OPTIONS):
            run = option(run)
        return run

    return decorate


def check_name(name: str) -> None:
    """Refuse a model's name that no manifest can hold, before any work is done.

    Raises:
        UsageError: it has control characters, or bytes that are no text.
    """
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"the name {name!r} is no Unicode text", hint="give another: --name NAME") from error
    if any(category(letter) == "Cc" for letter in name):
        raise UsageError(f"the name {name!r} has control characters", hint="give another: --name NAME")


def _pairs(given: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    for text in given:
        if "=" not in text or ":" not in text.partition("=")[2]:
            raise UsageError(
                f"--replace-layer {text!r}",
                expected="LAYER=MODULE:FUNCTION",
                hint="--replace-layer lambda_1=mine:identity",
            )
    return tuple((name, place) for name, _, place in (text.partition("=") for text in given))
