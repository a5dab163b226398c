"""Text: ``.txt`` files with one sample per line, and ``builtin:text``."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

from aetool_runtime.errors import InputError

__all__ = ["Texts", "open_texts"]

BUILTIN = "builtin:text"
_PARAGRAPHS = re.compile(r"\n\s*\n")
_NO_PROSE = re.compile(r"\s|[*=\-+|>.]|.*::=|.*\n[*=~^-]{3}", re.DOTALL)  # indented, lists, tables, grammars, headings
_SENTENCES = re.compile(r"(?<=[.!?:])\s+(?=[A-Z\"(])")
_SHORTEST, _LONGEST = 16, 64  # characters


@dataclass(frozen=True)
class Texts:
    """Samples of text.

    Args:
        name: what the user called it.
        lines: the samples, none of them empty.
    """

    name: str
    lines: tuple[str, ...] = field(repr=False)


def open_texts(spec: str | Path) -> Texts | None:
    """Read text; ``None`` where ``spec`` is no text.

    A ``.txt`` file whose first line is two or more numbers is a table, not text.

    Raises:
        InputError: not UTF-8, or without a line that is not blank.
    """
    if str(spec) == BUILTIN:
        return Texts(BUILTIN, _documentation())
    path = Path(spec)
    if path.suffix.lower() != ".txt" or not path.is_file():
        return None
    lines = _lines(path)
    if not lines:
        raise InputError("holds no text", where=str(path), expected="one sample per line")
    return None if _is_table(lines[0]) else Texts(str(path), lines)


def _lines(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"is not UTF-8 text (byte {error.start})", where=str(path)) from error
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(path)) from error
    return tuple(line for line in lines if line.strip())


def _is_table(line: str) -> bool:
    cells = line.split()
    try:
        return len([float(cell) for cell in cells]) > 1
    except ValueError:
        return False


def _documentation() -> tuple[str, ...]:
    """Sentences of Python's own documentation strings, in lines of at most 64 ASCII characters, each once."""
    from pydoc_data.topics import topics  # type: ignore[import-not-found, unused-ignore]

    lines: dict[str, None] = {}
    for name in sorted(topics):
        for paragraph in _PARAGRAPHS.split(topics[name]):
            if not _NO_PROSE.match(paragraph):
                for sentence in _SENTENCES.split(" ".join(paragraph.split())):
                    lines |= dict.fromkeys(textwrap.wrap(sentence, _LONGEST, break_long_words=False))
    return tuple(line for line in lines if line.isascii() and _SHORTEST <= len(line) <= _LONGEST)
