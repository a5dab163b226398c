"""A foreign exception's reason in one line: Keras and TensorFlow wrap theirs in tracebacks, colours and arguments."""

from __future__ import annotations

import re

__all__ = ["reason"]

_COLOUR = re.compile(r"\x1b\[\d*m")
_TRACEBACK = re.compile(r'^\s*(in user code:|File ".*)\n(\s{8,}.*\n)?', re.MULTILINE)
_ARGUMENTS = re.compile(r"Arguments received by.*", re.DOTALL)
_LONGEST = 300


def reason(error: Exception) -> str:
    """What went wrong, without where it was noticed; the exception's type where it says nothing."""
    text = _COLOUR.sub("", str(error))
    for noise in (_ARGUMENTS, _TRACEBACK):
        text = noise.sub("", text)
    return " ".join(text.split())[:_LONGEST] or type(error).__name__
