"""What a value may be: checked by the sections when they are made."""

from __future__ import annotations

__all__ = ["want"]


def want(holds: bool, sentence: str) -> None:
    """Refuse a section with ``sentence``, which names the key and its range."""
    if not holds:
        raise ValueError(sentence)
