"""The command line: ``aetool VERB``. Each command is imported when it is called, and TensorFlow when it is needed."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

try:
    import click

    from aetool.cli.group import LazyGroup
    from aetool.cli.output import emit_json, error_json, guarded, stdout_failure
    from aetool_runtime.errors import AetoolError, InputError, InterruptedRun, UsageError
except KeyboardInterrupt:  # the first tenths of a second go into these, before `run` could catch it
    sys.exit(130)

__all__ = ["COMMANDS", "cli", "main", "run"]

COMMANDS = {
    "demo": ("aetool.cli.demo", "Train, export, verify and run three autoencoders on built-in data."),
    "init": ("aetool.cli.init", "Write a commented configuration."),
    "train": ("aetool.cli.train", "Train an autoencoder: configuration and data in, checkpoint out."),
    "tune": ("aetool.cli.tune", "Look for the best parameters: many short runs, compared by validation."),
    "export": ("aetool.cli.export", "Turn a checkpoint or a Keras file into a verified bundle."),
    "verify": ("aetool.cli.verify", "Check that a bundle computes what Keras computed, on everything here."),
    "debug": ("aetool.cli.debug", "Find the layer where an artifact drifts from Keras, and why."),
    "encode": ("aetool.cli.encode", "Samples to latents, through a bundle."),
    "decode": ("aetool.cli.decode", "Latents to reconstructions, through a bundle."),
    "compress": ("aetool.cli.compress", "Files to compressed streams, within a bound or without loss."),
    "decompress": ("aetool.cli.decompress", "Compressed streams back to the files that they were."),
    "rate": ("aetool.cli.rate", "Measure what a bundle's compression is worth, beside other coders."),
    "evaluate": ("aetool.cli.evaluate", "Measure a bundle on data: its error, and what its latents tell apart."),
    "sample": ("aetool.cli.sample", "Draw latents and decode them to new samples."),
    "benchmark": ("aetool.cli.benchmark", "Measure what runs a bundle fastest here, and how well."),
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
    _guard_streams(silent=not os.environ.get(_TRACEBACK))
    code = run(sys.argv[1:])
    failure = stdout_failure()
    if failure is not None and code == 0:
        code = _fail(InputError(f"cannot be written ({failure.strerror})", where="standard output"), as_json=False)
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; no exception leaves, and no traceback for a user's mistake."""
    as_json = "--json" in arguments
    try:
        as_json = as_json and _wants_json(arguments)
        result = cli.main(list(arguments), prog_name="aetool", standalone_mode=False)
    except AetoolError as error:
        return _fail(error, as_json)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f"\n  try: {context.command_path} --help" if context else ""
        return _fail(UsageError(error.format_message() + hint), as_json)
    except (KeyboardInterrupt, click.Abort):
        return _fail(InterruptedRun("interrupted; nothing half-written is left"), as_json)
    except UnicodeEncodeError as error:
        if not any("\ud800" <= letter <= "\udfff" for letter in error.object):
            return _internal(error, as_json)
        return _fail(UsageError(f"{error.object!r} is no text in UTF-8", hint="write it in UTF-8"), as_json)
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


def _wants_json(arguments: Sequence[str]) -> bool:
    """Whether ``--json`` stands there as a flag, and not as the value of another option or behind ``--``.

    The errors of a call that cannot be parsed are to be JSON as well, so that the parser cannot be asked.
    """
    if arguments[0] not in COMMANDS:
        return True
    command = cli.get_command(click.Context(cli), arguments[0])
    options = [option for option in command.params if isinstance(option, click.Option)] if command else []
    with_value = {name for option in options if not (option.is_flag or option.count) for name in option.opts}
    words = iter(arguments[1:])
    for word in words:
        if word in ("--json", "--"):
            return word == "--json"
        if word in with_value:
            next(words, None)
    return False


def _guard_streams(*, silent: bool) -> None:
    """Let Python's own streams survive a broken pipe, a full disk and letters that the encoding lacks.

    Args:
        silent: also keep the chatter of TensorFlow's and LiteRT's C++ off the terminal: Python keeps stderr, the rest
            loses it.
    """
    out, err = sys.stdout, sys.stderr
    if isinstance(out, io.TextIOWrapper):  # else it was closed by whoever called
        sys.stdout = guarded(_raw(out), out, errors="replace")
    if isinstance(err, io.TextIOWrapper):
        sys.stderr = guarded(_stderr_for_python() if silent else _raw(err), err, errors="backslashreplace")


def _raw(stream: io.TextIOWrapper) -> io.RawIOBase:
    """What lies beneath; with ``python -u`` there is no buffer between."""
    binary: Any = stream.buffer
    raw: io.RawIOBase = getattr(binary, "raw", binary)
    return raw


def _stderr_for_python() -> io.RawIOBase:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    ours = os.dup(2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    return io.FileIO(ours, "w")


def _color() -> bool | None:
    """``None`` lets click decide by the terminal; NO_COLOR (no-color.org) says no."""
    return False if os.environ.get("NO_COLOR") else None
