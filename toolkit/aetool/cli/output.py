"""What commands print: tables for people, one JSON document for machines, progress on a terminal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NoReturn

import click

from aetool_runtime.errors import AetoolError

__all__ = ["emit_json", "error_json", "fail", "log", "next_step", "progress", "table"]


def emit_json(document: Any) -> None:
    """The one document on stdout."""
    click.echo(json.dumps(document, indent=2, allow_nan=False))


def error_json(error: AetoolError) -> dict[str, object]:
    """The member ``error`` of a document about a failure."""
    return {"type": type(error).__name__, "message": str(error), "exit_code": error.exit_code}


def fail(error: AetoolError, document: Mapping[str, object], *, as_json: bool) -> NoReturn:
    """End the command with an error whose document says more than the error alone."""
    if not as_json:
        raise error
    emit_json({**document, "error": error_json(error)})
    log(f"error: {error}")
    click.get_current_context().exit(error.exit_code)


def log(line: str) -> None:
    """A line for people on stderr, which leaves stdout to the result."""
    click.echo(line, err=True)


def next_step(command: str) -> None:
    """The last line of a command: what to run next."""
    click.echo(f"next: {command}")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns padded to their widest cell; those whose cells all look like numbers stand to the right."""
    cells = [list(map(str, row)) for row in rows]
    widths = [max(len(row[i]) for row in [list(header), *cells]) for i in range(len(header))]
    right = [bool(cells) and all(row[i][:1] in "-+.0123456789" for row in cells) for i in range(len(header))]
    lines = [
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in [list(header), ["-" * width for width in widths], *cells]
    ]
    return "\n".join(lines)


def progress(length: int | None, label: str) -> AbstractContextManager[Any]:
    """A bar on stderr with the time left, shown only on a terminal; advance it with ``bar.update(n)``.

    Without a length, only what is done can be counted.
    """
    hidden = not sys.stderr.isatty()
    if length is None:
        return _Counter(label, hidden)
    return click.progressbar(
        length=length, label=label, file=sys.stderr, hidden=hidden, color=not os.environ.get("NO_COLOR")
    )


class _Counter(AbstractContextManager["_Counter"]):
    """Stands in for a bar whose end is not known."""

    def __init__(self, label: str, hidden: bool) -> None:
        self._label, self._hidden, self._done = label, hidden, 0

    def update(self, count: int) -> None:
        self._done += count
        if not self._hidden:
            click.echo(f"\r{self._label} {self._done:,}", nl=False, err=True)

    def __exit__(self, *exception: object) -> None:
        if self._done and not self._hidden:
            click.echo(err=True)
