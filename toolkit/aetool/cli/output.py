"""What commands print: tables for people, one JSON document for machines, progress on a terminal."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NoReturn

import click

from aetool_runtime.errors import AetoolError

__all__ = ["emit_json", "error_json", "fail", "guarded", "log", "next_step", "progress", "stdout_failure", "table"]


class _Guarded(io.RawIOBase):
    """Takes everything: work must not end because nobody reads what it says. What failed is kept for the end."""

    def __init__(self, raw: io.RawIOBase, name: str) -> None:
        super().__init__()
        self._raw = raw
        self.name = name
        self.failure: OSError | None = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def isatty(self) -> bool:
        return self._raw.isatty()

    def write(self, data: Any) -> int | None:
        if self.failure is None:
            try:
                return self._raw.write(data)
            except OSError as error:
                self.failure = error
        return len(data)


def guarded(raw: io.RawIOBase, like: io.TextIOWrapper, *, errors: str) -> io.TextIOWrapper:
    """A text stream that neither a reader that has gone, nor a full disk, nor a poor encoding makes raise.

    Args:
        raw: where the bytes go.
        like: the stream that it stands in for.
        errors: what becomes of characters that the encoding does not have.
    """
    binary = io.BufferedWriter(_Guarded(raw, like.name))
    return io.TextIOWrapper(binary, encoding=like.encoding, errors=errors, line_buffering=like.line_buffering)


def stdout_failure() -> OSError | None:
    """Why stdout could not be written; ``None`` also where its reader just had enough of it."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if not isinstance(raw, _Guarded):
        return None
    sys.stdout.flush()
    return None if raw.failure is None or raw.failure.errno == errno.EPIPE else raw.failure


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
