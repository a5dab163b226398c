"""A small vocabulary learned from text: byte-pair merges (Gage 1994, Sennrich 2016), always the same for the same text.

Its own sixty lines rather than a library: the known ones are compiled, large, and keep formats of their own, while all
that is needed here is a list of byte strings (see ``aetool_runtime.text`` for how it is used).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import pairwise

from aetool_runtime.text import BYTES

__all__ = ["learn_entries"]

_WORD = re.compile(rb"\s*\S+|\s+")  # a word with the space before it; nothing is merged across words


def learn_entries(lines: Iterable[str], vocabulary: int) -> tuple[bytes, ...]:
    """All single bytes, an empty entry for the pad, and what is merged most often.

    Args:
        lines: the training part only.
        vocabulary: entries in all, at least 257; fewer come back where no pair is left that occurs twice.
    """
    merges = _Merges(Counter(word for line in lines for word in _WORD.findall(line.encode("utf-8"))))
    entries = dict.fromkeys((*BYTES, b""))
    while len(entries) < vocabulary:
        pair = merges.most_frequent()
        if pair is None:
            break
        merges.merge(pair)
        entries[b"".join(pair)] = None
    return tuple(entries)


class _Merges:
    """Words in pieces, and how often each pair of neighbours occurs in them, kept up to date.

    Args:
        words: each word, and how often it occurs.
    """

    def __init__(self, words: Mapping[bytes, int]) -> None:
        self._counts = [words[word] for word in sorted(words)]
        self._pieces = [[bytes([value]) for value in word] for word in sorted(words)]
        self._pairs: Counter[tuple[bytes, bytes]] = Counter()
        self._places: dict[tuple[bytes, bytes], set[int]] = {}
        for index in range(len(self._pieces)):
            self._count(index, 1)

    def most_frequent(self) -> tuple[bytes, bytes] | None:
        """The pair that occurs most often, the first in order of bytes among equals; ``None`` if none occurs twice."""
        best = min(self._pairs, key=lambda pair: (-self._pairs[pair], pair), default=None)
        return best if best is not None and self._pairs[best] > 1 else None

    def merge(self, pair: tuple[bytes, bytes]) -> None:
        """Make one piece of it wherever it occurs, from left to right."""
        for index in self._places[pair].copy():
            self._count(index, -1)
            pieces, place = self._pieces[index], 0
            while place < len(pieces) - 1:
                if (pieces[place], pieces[place + 1]) == pair:
                    pieces[place : place + 2] = [b"".join(pair)]
                place += 1
            self._count(index, 1)

    def _count(self, index: int, sign: int) -> None:
        """Add a word's pairs to the counts, or take them away."""
        for pair in pairwise(self._pieces[index]):
            self._pairs[pair] += sign * self._counts[index]
            places = self._places.setdefault(pair, set())
            (places.add if sign > 0 else places.discard)(index)
