"""The command line: ``aetool VERB``. Each command is imported when it is called, and TensorFlow when it is needed."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from aetool.cli.group import LazyGroup
from aetool.cli.output import emit_json, error_json
from aetool_runtime.errors import AetoolError, InputError, InterruptedRun, UsageError

__all__ = ["COMMANDS", "cli", "main", "run"]

COMMANDS = {
    "demo": ("aetool.cli.demo", "Train, export, verify and run three autoencoders on built-in data."),
    "init": ("aetool.cli.init", "Write a commented configuration."),
    "train": ("aetool.cli.train", "Train an autoencoder: configuration and data in, checkpoint out."),
    "tune": ("aetool.cli.tune", "Look for the best parameters: many short runs, compared by validation."),
    "export": ("aetool.cli.export", "Turn a checkpoint or a Keras file into a verified bundle."),
    "verify": ("aetool.cli.verify", "Check that a bundle computes what Keras computed, on everything here."),
    "encode": ("aetool.cli.encode", "Samples to latents, through a bundle."),
    "decode": ("aetool.cli.decode", "Latents to reconstructions, through a bundle."),
    "evaluate": ("aetool.cli.evaluate", "Measure a bundle on data: its error, and what its latents tell apart."),
    "sample": ("aetool.cli.sample", "Draw latents and decode them to new samples."),
    "inspect": ("aetool.cli.inspect", "Show what a bundle or checkpoint holds and costs, layer by layer."),
    "pack": ("aetool.cli.pack", "Turn a bundle's folder into one file."),
}


_TRACEBACK = "AETOOL_TRACEBACK"  # set it to see tracebacks and everything that native code prints


@click.group(
    cls=LazyGroup,
    commands=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="aetool")
def cli() -> None:
    """Train an autoencoder, ship its encoder and decoder to any device, and know that they still compute the same
    thing there.

    A first look: aetool demo
    """


def main() -> NoReturn:
    """The console script."""
    if not os.environ.get(_TRACEBACK):
        _silence_native_code()
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; no exception leaves, and no traceback for a user's mistake."""
    as_json = "--json" in arguments
    try:
        result = cli.main(list(arguments), prog_name="aetool", standalone_mode=False)
    except AetoolError as error:
        return _fail(error, as_json)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f"\n  try: {context.command_path} --help" if context else ""
        return _fail(UsageError(error.format_message() + hint), as_json)
    except (KeyboardInterrupt, click.Abort):
        return _fail(InterruptedRun("interrupted; nothing half-written is left"), as_json)
    except OSError as error:
        where = str(error.filename or "")
        return _fail(InputError(error.strerror or str(error), where=where), as_json)
    except Exception as error:
        return _internal(error, as_json)
    return result if isinstance(result, int) else 0


def _fail(error: AetoolError, as_json: bool) -> int:
    click.echo(f"{click.style('error:', fg='red', bold=True)} {error}", err=True, color=_color())
    if as_json:
        emit_json({"error": error_json(error)})
    return error.exit_code


def _internal(error: Exception, as_json: bool) -> int:
    if os.environ.get(_TRACEBACK):
        raise error
    message = f"internal error, a mistake of ours: {type(error).__name__}: {error}"
    return _fail(AetoolError(message, hint=f"set {_TRACEBACK}=1 and report what it shows"), as_json)


def _silence_native_code() -> None:
    """Keep the chatter of TensorFlow's and LiteRT's C++ off the terminal: Python keeps stderr, the rest loses it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    ours = os.dup(2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    sys.stderr = os.fdopen(ours, "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace")


def _color() -> bool | None:
    """``None`` lets click decide by the terminal; NO_COLOR (no-color.org) says no."""
    return False if os.environ.get("NO_COLOR") else None
