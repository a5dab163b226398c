"""Keeps the converter's chatter off the user's terminal."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["quiet"]

_STDERR = 2


@contextmanager
def quiet() -> Iterator[None]:
    """Drop what C++ writes to standard error, and what TensorFlow logs below errors.

    No error is lost: what the converter has to say about a failure is in its exception.
    """
    with _levels(("absl", "tensorflow")), Path(os.devnull).open("wb") as nowhere:
        sys.stderr.flush()
        saved = os.dup(_STDERR)
        os.dup2(nowhere.fileno(), _STDERR)
        try:
            yield
        finally:
            with suppress(OSError, ValueError):
                sys.stderr.flush()
            os.dup2(saved, _STDERR)
            os.close(saved)


@contextmanager
def _levels(names: tuple[str, ...]) -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
