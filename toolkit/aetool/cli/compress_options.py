"""What ``compress`` and ``decompress`` share: the bundle, standard output as a pipe, sums for people."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from aetool_runtime.errors import InputError, UsageError

__all__ = ["PIPE", "Pipe", "amount", "bundle_option", "check_streams", "parse_part"]

PIPE = "-"

bundle_option = click.option(
    "-b", "--bundle", type=click.Path(path_type=Path), required=True, help="The bundle that compresses."
)


class Pipe(io.RawIOBase):
    """Standard output for bytes. Ends the work when its reader has gone."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        target = sys.stdout.buffer
        target.write(data)
        target.flush()
        failure = getattr(getattr(target, "raw", None), "failure", None)
        if failure is not None:
            raise InputError(f"cannot be written ({failure.strerror})", where="standard output")
        return len(data)


def check_streams(given: str, output: str, *, as_json: bool) -> None:
    """Refuse what cannot be: a document and bytes on one stream, an output that is read.

    Raises:
        UsageError: it is so.
    """
    if output == PIPE and as_json:
        raise UsageError("--json and -o - both want standard output", hint="-o FILE")
    if output == PIPE and sys.stdout.isatty():
        raise UsageError("bytes would go to the terminal", hint="-o FILE, or a pipe")
    if PIPE in (given, output):
        return
    with suppress(OSError, ValueError):  # what is not there is told where it is opened
        if Path(output).samefile(given):
            raise UsageError("is read, so it is not written to", where=output, hint="choose another output")


def parse_part(
    context: click.Context, option: click.Parameter, text: str | None
) -> tuple[int | None, int | None] | None:
    """``A:B`` as two numbers, either of which may be left out."""
    if text is None:
        return None
    first, colon, last = text.partition(":")
    try:
        found = int(first) if first else None, int(last) if last else None
    except ValueError:
        found, colon = (None, None), ""
    if not colon:
        raise click.BadParameter(f"{text!r} is no range such as 1000:2000", context, option)
    return found


def amount(paths: Mapping[str, int]) -> str:
    """Chunks by path, the most frequent first."""
    return ", ".join(f"{name} {count:,}" for name, count in sorted(paths.items(), key=lambda item: (-item[1], item[0])))
