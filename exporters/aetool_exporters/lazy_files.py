"""Files that are made when they are read, so that large ones are in memory one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

__all__ = ["LazyFiles"]


class LazyFiles(Mapping[str, bytes]):
    """Path → a file's bytes.

    Args:
        makers: path → what makes the bytes, the same at every call.
    """

    def __init__(self, makers: Mapping[str, Callable[[], bytes]]) -> None:
        self._makers = dict(makers)

    def __getitem__(self, path: str) -> bytes:
        return self._makers[path]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)
